"""Fixtures of the tests of the Hub."""

import shutil
from pathlib import Path

import pytest

from skelrep.encoder import Encoder
from tests.hub.saved import files_of


@pytest.fixture
def files(tiny_encoder: Encoder, tmp_path: Path) -> dict[str, bytes]:
    return files_of(tiny_encoder, tmp_path / "original")


@pytest.fixture
def folder(files: dict[str, bytes], tmp_path: Path) -> Path:
    """A saved encoder for the tests to damage."""
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    return tmp_path / "copy"
