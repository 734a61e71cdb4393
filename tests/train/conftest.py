"""An untrained encoder and labelled clips, for the tests of fine-tuning and of protocols."""

from __future__ import annotations

import pytest

from skelrep.encoder import Encoder
from skelrep.poses import Poses
from tests.train.gestures import fresh, gestures


@pytest.fixture
def encoder() -> Encoder:
    return fresh()


@pytest.fixture(scope="module")
def train() -> Poses:
    return gestures(36, 0)


@pytest.fixture(scope="module")
def test() -> Poses:
    return gestures(24, 1)
