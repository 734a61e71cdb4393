"""A library is read in parts, and the same whatever the parts."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import Poses, save_pretrained, write
from skelrep.libraries import Library
from skelrep.libraries.copies import KINDS, SHORTEST, copies, mirrored
from tests.bodies import walking
from tests.recordings.made_up import clips_of


@pytest.fixture
def poses() -> Poses:
    return clips_of(("squat", "kick"), 5)


def test_parts_and_files_give_the_same_library(poses, tiny_encoder, tmp_path):
    whole = Library.of(poses, tiny_encoder, mirrors=True)
    parts = Library.of_parts([poses[:3], poses[3:4], poses[4:]], tiny_encoder, mirrors=True)
    poses.save(tmp_path / "clips.npz")
    file = Library.of(tmp_path / "clips.npz", tiny_encoder, mirrors=True)
    for other in (parts, file):
        assert other.ids.tolist() == whole.ids.tolist() == poses.ids
        for name in ("content", "seen"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
        np.testing.assert_allclose(other.rows, whole.rows, atol=1e-5)
        np.testing.assert_allclose(other.mirrored, whole.mirrored, atol=1e-5)
        np.testing.assert_allclose(other.originals, whole.originals, atol=1e-5)
        for kind in KINDS:
            np.testing.assert_allclose(other.copies[kind], whole.copies[kind], atol=1e-4)
    np.testing.assert_allclose(whole.rows, tiny_encoder.embed(poses), atol=1e-5)
    assert Library.of(whole) is whole


def test_a_folder_of_several_formats_and_a_clip_that_shows_nobody(poses, tiny_encoder, tmp_path):
    save_pretrained(tiny_encoder, tmp_path / "model")
    folder = tmp_path / "motions"
    folder.mkdir()
    write(poses[:2], folder / "a.npz")
    write(poses[2:3], folder / "b.csv")
    nobody = Poses([np.full((1, 20, 17, 3), np.nan)], poses.skeleton, ids=["nobody"], fps=20)
    library = Library.of(folder, tmp_path / "model")
    assert len(library) == 3 and library.seen.tolist() == [17 * 40] * 3
    with pytest.raises(ValueError, match="nobody"):
        Library.of_parts([poses, nobody], tiny_encoder)
    left_out = []
    some = Library.of_parts(
        [poses, nobody, poses[:1]], tiny_encoder, skip=lambda path, error: left_out.append(path.name)
    )
    assert left_out == ["nobody"] and len(some) == len(poses) + 1
    with pytest.raises(ValueError, match="no clip"):
        Library.of_parts([nobody], tiny_encoder, skip=lambda path, error: None)


def test_a_mirror_image_swaps_sides():
    body = Poses([walking("coco-17", 30)], "coco-17")
    turned = mirrored(body)
    left, right = (body.skeleton.joints.index(f"{side}_wrist") for side in ("left", "right"))
    np.testing.assert_array_equal(turned.clips[0][:, :, left], body.clips[0][:, :, right] * [-1, 1, 1])
    np.testing.assert_array_equal(mirrored(turned).clips[0], body.clips[0])


def test_copies_are_what_they_are_called():
    clip = walking("coco-17", 40)
    body = Poses([clip, clip[:, :SHORTEST]], "coco-17")
    cut = copies(body, "trimmed").clips
    assert [part.shape[1] for part in cut] == [36, SHORTEST - 1]
    begin = next(i for i in range(5) if np.array_equal(clip[:, i : i + 36], cut[0]))
    assert 0 <= begin <= 4
    height = np.linalg.norm(np.ptp(clip, axis=2), axis=-1).mean()
    error = copies(body, "noisy").clips[0] - clip
    assert error.std() == pytest.approx(0.01 * height, rel=0.1)
    [slow, _] = copies(body, "resampled").clips
    assert 20 <= slow.shape[1] <= 80 and slow.shape[1] != 40
    np.testing.assert_allclose(slow[:, [0, -1]], clip[:, [0, -1]], atol=1e-6)
    grid = np.linspace(0, 39, slow.shape[1])
    for joint in (0, 9):
        expected = np.interp(grid, np.arange(40), clip[0, :, joint, 1])
        np.testing.assert_allclose(slow[0, :, joint, 1], expected, atol=1e-5)
