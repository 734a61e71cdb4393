"""The number of threads that few and many clips use, and the memory that is kept from batch to batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skelrep import embed, matmul
from skelrep.encoder import device
from skelrep.encoder.causal_convolution import CausalConvolutionConfig
from skelrep.encoder.device import THREADED_CLIPS, threads_for
from skelrep.encoder.inference import KEPT, MAX_WORKERS
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.matmul import PRECISIONS
from skelrep.preprocess_config import CMD_LINE
from skelrep.skeletons import SKELETONS
from tests.conftest import untrained
from tests.ragged_clips import ragged

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def used(monkeypatch) -> list[int]:
    """The number of threads at each product."""
    found: list[int] = []
    call = matmul.Product.__call__

    def counting(self, rows):
        found.append(torch.get_num_threads())
        return call(self, rows)

    monkeypatch.setattr(matmul.Product, "__call__", counting)
    return found


def clips(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 1, 9, 25, 3)).astype(np.float32)


def test_few_clips_use_one_thread(tiny_encoder, used):
    for count, threads in ((1, 1), (THREADED_CLIPS - 1, 1), (THREADED_CLIPS, 2)):
        used.clear()
        tiny_encoder.embed(clips(count), skeleton="ntu-25")
        assert used and {*used} == {threads} and torch.get_num_threads() == 2


@pytest.mark.parametrize("threads", [2, 3, 2 * MAX_WORKERS])
def test_batches_are_embedded_at_once_and_give_the_same_bits_as_one_thread(tiny_encoder, used, threads):
    poses = clips(5 * 4 + 3)
    torch.set_num_threads(1)
    expected = tiny_encoder.embed(poses, skeleton="ntu-25", batch_size=4)
    persons = tiny_encoder.embed_persons(poses, skeleton="ntu-25", batch_size=4)
    used.clear()
    torch.set_num_threads(threads)
    np.testing.assert_array_equal(tiny_encoder.embed(poses, skeleton="ntu-25", batch_size=4), expected)
    assert {*used} == {max(1, threads // min(MAX_WORKERS, 6))} and torch.get_num_threads() == threads
    again = tiny_encoder.embed_persons(poses, skeleton="ntu-25", batch_size=4)
    np.testing.assert_array_equal(again.rows, persons.rows)
    np.testing.assert_array_equal(again.clips, persons.clips)
    started = []  # threads that the caller starts afterwards have the default
    later = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert started == [threads]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("backbone", [RecurrentConfig(hidden=32, layers=2), CausalConvolutionConfig(width=16)])
def test_batches_at_once_share_packed_weights_of_every_kind(tiny_config, backbone, precision):
    encoder = untrained(replace(tiny_config, backbone=backbone))
    torch.set_num_threads(1)
    expected = encoder.embed(clips(40), skeleton="ntu-25", batch_size=8, precision=precision)
    torch.set_num_threads(4)
    for _ in range(3):
        encoder.__dict__.pop("_packed_streams", None)
        rows = encoder.embed(clips(40), skeleton="ntu-25", batch_size=8, precision=precision)
        np.testing.assert_array_equal(rows, expected)


def test_batches_are_really_at_work_at_the_same_time(tiny_encoder, monkeypatch):
    together = threading.Barrier(2)
    prepare = tiny_encoder.prepare_weighted

    def waiting(batch):
        together.wait(timeout=60)  # raises if no other batch is at work
        return prepare(batch)

    monkeypatch.setattr(tiny_encoder, "prepare_weighted", waiting)
    assert len(tiny_encoder.embed(clips(8), skeleton="ntu-25", batch_size=2)) == 8


def test_an_error_in_one_of_several_batches_ends_the_call(tiny_encoder, monkeypatch):
    prepare, begun = tiny_encoder.prepare_weighted, []

    def infinite(batch):
        begun.append(batch.ids[0])
        poses, weights = prepare(batch)
        return poses * (torch.inf if "21" in batch.ids else 1), weights

    monkeypatch.setattr(tiny_encoder, "prepare_weighted", infinite)
    with pytest.raises(ValueError, match="the embeddings of 4 clips are not finite: 20, 21, 22, 23"):
        tiny_encoder.embed(clips(400), skeleton="ntu-25", batch_size=4)
    assert len(begun) < 20  # of 100; those that were waiting are given up
    assert torch.get_num_threads() == 2 and not [t for t in threading.enumerate() if t.name.startswith("skelrep")]


def test_a_thread_that_cannot_be_started_is_an_error_and_not_a_wait(tiny_encoder, monkeypatch):
    start = threading.Thread.start

    def second_fails(self):
        if self.name.endswith("_1"):
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    with pytest.raises(RuntimeError, match="can't start"):
        tiny_encoder.embed(clips(8), skeleton="ntu-25", batch_size=2)
    assert torch.get_num_threads() == 2


def test_an_error_restores_the_threads(tiny_encoder):
    with pytest.raises(ValueError, match="nobody"):
        tiny_encoder.embed(np.full((1, 9, 25, 3), np.nan), skeleton="ntu-25")
    assert torch.get_num_threads() == 2


def test_a_frame_of_a_stream_uses_one_thread(tiny_config, used):
    config = replace(
        tiny_config, skeleton=SKELETONS["ntu-25"], backbone=RecurrentConfig(hidden=4, layers=1), preprocess=CMD_LINE
    )
    stream = untrained(config).stream()
    used.clear()
    stream.step(clips(1)[0, :, 0])
    assert used and {*used} == {1} and torch.get_num_threads() == 2


def test_threads_of_the_caller_get_their_number_back():
    inside, go_on, found = threading.Event(), threading.Event(), []

    def first() -> None:
        with threads_for(1, CPU):
            inside.set()
            go_on.wait()
        found.append(torch.get_num_threads())

    def second() -> None:  # begins while the first is limited, and takes over its limit from torch
        with threads_for(1, CPU):
            found.append(torch.get_num_threads())
        found.append(torch.get_num_threads())

    one = threading.Thread(target=first)
    one.start()
    inside.wait()
    other = threading.Thread(target=second)
    other.start()
    other.join()
    go_on.set()
    one.join()
    assert found == [1, 2, 2] and device._limited == 0


def test_weights_are_packed_once_for_all_numbers_of_threads(monkeypatch):
    packed = []
    pack = matmul._packed
    monkeypatch.setattr(matmul, "_packed", lambda *arguments: packed.append(1) or pack(*arguments))
    weight, bias, rows = torch.randn(48, 32), torch.randn(48), torch.randn(16, 32)
    product = matmul.Product(weight, bias)
    for threads in (1, 2, 1, 2):
        torch.set_num_threads(threads)
        torch.testing.assert_close(product(rows), rows @ weight.T + bias, rtol=1e-4, atol=1e-4)
    assert len(packed) <= 1


def test_freed_memory_is_kept_for_the_next_batch(tiny_encoder, monkeypatch):
    asked = []
    glibc = SimpleNamespace(mallopt=lambda name, value: asked.append((name, value)))
    monkeypatch.setattr(device, "_kept", 0)
    monkeypatch.setattr(device, "ctypes", SimpleNamespace(CDLL=lambda name: glibc))
    clips = ragged(3)
    embed(clips, tiny_encoder, batch_size=3)
    assert not asked  # a single batch needs nothing later
    embed(clips, tiny_encoder, batch_size=2)
    assert asked == [(-1, KEPT), (-3, 2**25)]  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
    device.keep_freed_memory(KEPT // 2)  # less than before
    assert len(asked) == 2
    device.keep_freed_memory(2 * KEPT)
    assert asked[2] == (-1, 2 * KEPT)
