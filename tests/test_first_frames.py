"""A first frame that is not part of the motion gives a warning; other beginnings do not."""

import warnings

import numpy as np
import pytest

from skelrep import embed
from skelrep.cleaning import first_frame_is_apart
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

COCO = SKELETONS["coco-17"]


def with_t_pose(clip: np.ndarray, aside: float) -> np.ndarray:
    """The clip after one frame with the arms stretched out, `aside` metres away."""
    first = clip[:, :1].copy()
    for side, sign in (("left", 1), ("right", -1)):
        shoulder = first[:, :, COCO.joints.index(f"{side}_shoulder")]
        for joint, length in (("elbow", 0.28), ("wrist", 0.53)):
            first[:, :, COCO.joints.index(f"{side}_{joint}")] = shoulder + [sign * length, 0, 0]
    return np.concatenate([first + [aside, 0, 0], clip], axis=1).astype(np.float32)


@pytest.mark.parametrize("aside", [0, 1.5])
def test_a_t_pose_before_the_motion_gives_a_warning(aside):
    clip = walking("coco-17")
    assert first_frame_is_apart(with_t_pose(clip, aside)) and not first_frame_is_apart(clip)
    with pytest.warns(UserWarning, match=r"the first frame of 1 of 2 clips \(1\) .* T-pose"):
        embed([clip, with_t_pose(clip, aside)], skeleton="coco-17")


@pytest.mark.parametrize("seed", range(5))
def test_other_beginnings_give_no_warning(seed):
    clip = walking("coco-17", seed=seed)
    still = np.repeat(clip[:, :1], 20, axis=1)
    rng = np.random.default_rng(seed)
    missing = clip.copy()
    missing[:, 0] = np.nan
    jump = clip.copy()
    jump[:, 30:] += 1.0  # a jump in the middle as well
    noise = rng.normal(size=(1, 40, 17, 3))
    for motion in (clip, still, missing, noise, clip[:, :5], with_t_pose(jump, 1.0)[:, 1:]):
        assert not first_frame_is_apart(motion)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(clip, skeleton="coco-17")
