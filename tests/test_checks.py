"""`check` on good recordings, and on each kind of error in a file."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelrep.checks import check
from skelrep.poses import Poses
from skelrep.skeletons import custom
from tests import motion_data

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def good() -> Poses:
    spec = importlib.util.spec_from_file_location("motion", ROOT / "examples" / "motion.py")
    assert spec is not None and spec.loader is not None
    motion = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(motion)
    return motion.make_clips(24, noise=0)


def changed(poses: Poses, change) -> Poses:
    return replace(poses, clips=[change(clip.copy()) for clip in poses.clips])


def unlikely(poses: Poses) -> dict[str, str]:
    return {finding.subject: finding.text for finding in check(poses).findings if not finding.ok}


def test_a_good_recording_is_likely_in_every_respect(good):
    report = check(good)
    assert report.ok
    found = report.to_dict()["findings"]
    assert list(found) == ["persons", "missing", "rate", "unit", "axes", "bones", "sides", "jumps"]
    assert found["unit"]["unit"] == "metres" and found["axes"]["up"] == "y" and found["axes"]["facing"] > 0.5
    assert found["rate"]["fps"] == 30 and found["rate"]["seconds"] == pytest.approx(
        sum(clip.shape[1] for clip in good.clips) / 30
    )
    assert found["bones"]["change"] < 0.01
    json.dumps(report.to_dict(), allow_nan=False)
    assert str(report).count("\n") == 7


@pytest.mark.parametrize(
    ("factor", "unit"), [(100, "centimetres"), (1000, "millimetres"), (39.37, "inches"), (7, None)]
)
def test_the_unit_is_guessed_by_the_size_of_the_body(good, factor, unit):
    poses = changed(good, lambda clip: clip * factor)
    assert check(poses).to_dict()["findings"]["unit"]["unit"] == unit
    [said] = unlikely(poses).values()
    assert unit is None or f"scale={1 / factor:.4g}" in said


def test_mirrored_coordinates_and_exchanged_sides_are_noticed(good):
    assert "left-handed" in unlikely(changed(good, lambda clip: clip * (1, 1, -1)))["axes"]
    assert "left-handed" in unlikely(changed(good, lambda clip: clip[:, :, list(good.skeleton.mirror)]))["axes"]
    turned = changed(good, lambda clip: clip[..., [0, 2, 1]] * (1, -1, 1))  # a rotation, z up
    assert check(turned).ok and check(turned).to_dict()["findings"]["axes"]["up"] == "z"


def test_single_frames_of_exchanged_sides_are_counted(good):
    def exchange(clip):
        clip[:, 10:13] = clip[:, 10:13][:, :, list(good.skeleton.mirror)]
        return clip

    expected = 3 * len(good) / sum(clip.shape[1] for clip in good.clips)
    report = check(changed(good, exchange)).to_dict()["findings"]
    assert report["sides"]["swapped"] == pytest.approx(expected, rel=0.2) and not report["sides"]["ok"]


def test_bones_that_change_their_length_are_noticed(good):
    rng = np.random.default_rng(0)
    poses = changed(good, lambda clip: clip + rng.normal(scale=0.1, size=clip.shape))
    assert "bones" in unlikely(poses)
    elbow = good.skeleton.joints.index("left_elbow")

    def longer(clip):
        clip[:, :, elbow] += 0.5 * (clip[:, :, elbow] - clip[:, :, elbow - 1])
        return clip

    assert "left and right" in unlikely(changed(good, longer))["sides"]


def test_bones_without_a_tree_follow_from_joint_names(good):
    named = replace(good, skeleton=custom(good.skeleton.joints))
    bones = check(named).to_dict()["findings"]["bones"]
    assert bones["ok"]
    assert {"left_shoulder-left_elbow", "right_knee-right_ankle"} <= set(bones["changes"])


def test_hands_and_feet_within_the_error_of_a_sensor_are_likely(good):
    """A hand of eight centimetres that Kinect sees as twelve."""
    index = good.skeleton.joints.index

    def longer(clip):
        clip[:, :, index("left_hand")] += 0.5 * (clip[:, :, index("left_hand")] - clip[:, :, index("left_wrist")])
        return clip

    assert "sides" not in unlikely(changed(good, longer))


def test_rates_and_repeated_frames(good):
    assert unlikely(replace(good, fps=None)) == {"rate": "unknown; pass fps="}
    assert "rate" in unlikely(replace(good, fps=3000.0))
    assert "hands move" in unlikely(replace(good, fps=900.0))["unit"]
    assert "50 %" in unlikely(changed(good, lambda clip: clip.repeat(2, axis=1)))["rate"]


def test_missing_values_are_counted(good):
    def without(clip):
        clip[:, :, good.skeleton.joints.index("left_wrist")] = np.nan
        return clip

    assert "left_wrist" in unlikely(changed(good, without))["missing"]
    rng = np.random.default_rng(0)
    sparse = changed(good, lambda clip: np.where(rng.random(clip.shape[:3])[..., None] < 0.5, np.nan, clip))
    assert check(sparse).to_dict()["findings"]["missing"]["fraction"] == pytest.approx(0.5, abs=0.02)
    empty = replace(good, clips=[np.full_like(good.clips[0], np.nan), *good.clips[1:]])
    assert f"1 of {len(good)} clips ({good.ids[0]}" in unlikely(empty)["persons"]
    nobody = changed(good, lambda clip: np.full_like(clip, np.nan))
    assert set(unlikely(nobody)) == {"persons", "missing"}
    with pytest.raises(ValueError, match="no clip"):
        check(good[:0])


def test_two_dimensional_poses(good):
    image = replace(good, clips=[(clip[..., :2] * (400, -400) + (960, 700)) for clip in good.clips])
    found = check(image).to_dict()["findings"]
    assert found["unit"]["unit"] == "pixels" and found["axes"]["up"] == "-y" and "bones" not in found
    assert check(image).ok


def test_a_skeleton_without_sides_or_hips_is_judged_by_the_rest():
    clip = np.random.default_rng(0).normal(size=(1, 40, 3, 3))
    assert set(check(Poses([clip], custom(["a", "b", "c"]), fps=30.0)).to_dict()["findings"]) >= {
        "persons",
        "missing",
        "rate",
    }


@pytest.mark.slow
@pytest.mark.skipif(not motion_data.FOLDER.is_dir(), reason="needs recordings, which are not ours to publish")
@pytest.mark.parametrize("name", ["utd_mhad", "utkinect", "hdm05_11", "jhmdb_2d"])
def test_real_recordings_are_likely(name):
    poses = motion_data.load(name)
    assert unlikely(poses) == {}
    if poses.channels == 3:
        assert "left-handed" in unlikely(changed(poses, lambda clip: clip * (1, 1, -1)))["axes"]
