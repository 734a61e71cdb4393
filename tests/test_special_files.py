"""Pipes, devices, folders and links in place of a file, beside it or within a folder: nothing waits or fills memory."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.run import Worker
from tests.fuzz.seeds import SEEDS
from tests.test_fuzz import NEEDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kinds of files of POSIX, and memory from /proc")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    started.close()


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        here = Path.cwd()
        os.fchdir(folder)  # names of sockets are short
        made.bind(path.name)
        os.chdir(here)
        os.close(folder)


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "empty device": lambda path: path.symlink_to("/dev/null"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "socket": listening,
}


@pytest.mark.slow
@pytest.mark.parametrize("format", SEEDS)
def test_a_special_file_is_refused(format, worker, tmp_path):
    if format in NEEDS:
        pytest.importorskip(NEEDS[format])
    original = SEEDS[format](tmp_path)
    assert worker.ask(original.job())["outcome"] == "accepted"
    for file in [file for file in sorted(tmp_path.rglob("*")) if file.is_file()]:
        content = file.read_bytes()
        for kind, make in KINDS.items():
            file.unlink()
            make(file)
            answer = worker.ask(original.job())
            where = f"{kind} in place of {file.relative_to(tmp_path)}: {answer}"
            assert answer["outcome"] in ("clean", "accepted") and answer["megabytes"] < 100, where
            shutil.rmtree(file) if kind == "folder" else file.unlink()
            file.write_bytes(content)
