"""Preprocessing at a constant frame rate against a naive form in float64, and frame by frame against whole clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from skelrep.causal import LivePreparation, most_steps, prepare_causal
from skelrep.preprocess_config import STREAMING
from skelrep.skeletons import mapping
from tests.standing_bodies import COMMON, KINECT, NTU, moving

SEEDS = st.integers(0, 2**32 - 1)
RATES = st.sampled_from([10.0, 12.5, 15.0, 25.0, 29.97, 30.0, 120.0])


def damaged(seed: int, persons: int = 2, joints: bool = True, turned: bool = True) -> np.ndarray:
    """A clip with lost frames and sightings, persons who come late, and perhaps joints that are never seen."""
    random = np.random.default_rng(seed)
    frames = int(random.integers(1, 50))
    clip = np.stack([moving(frames, seed % 1000 + m, KINECT) for m in range(persons)])
    if turned:
        clip = clip @ Rotation.random(random_state=random.integers(2**31)).as_matrix().T
    clip += random.normal(size=(persons, 1, 1, 3))
    for person in clip:
        person[: random.integers(frames)] = np.nan
        person[random.random(frames) < random.choice([0, 0.4])] = np.nan
        if joints:
            person[random.random(person.shape[:2]) < random.choice([0, 0.1, 0.5])] = np.nan
            person[:, random.random(len(KINECT)) < random.choice([0, 0.2])] = np.nan
            person[: random.integers(frames), random.integers(len(KINECT))] = np.nan
    return clip.astype(np.float32)


def naive(clip: np.ndarray, fps: float) -> list[np.ndarray]:
    """The prepared poses of each person of a clip in which persons are seen completely or not at all."""
    matrix, seen = mapping(KINECT, COMMON).astype(np.float64), ~np.isnan(clip).any(axis=(2, 3))
    joint = {name: i for i, name in enumerate(COMMON.joints)}
    begin = int(np.flatnonzero(seen.any(axis=0))[0])
    found = []
    for track, present in zip(clip.astype(np.float64)[:, begin:], seen[:, begin:]):
        last, up, right, sizes, poses, k = None, np.zeros(3), np.zeros(3), [], [], 0
        waiting = False
        for frame, pose in enumerate(track):
            before, last = last, pose if present[frame] else last
            waiting |= present[frame]
            while k / STREAMING.rate <= frame / fps + 1e-9:
                if waiting or present[frame]:
                    part = k / STREAMING.rate * fps - (frame - 1)
                    now = last if before is None else before + (last - before) * part
                    now = matrix @ now
                    legs = [joint[name] for name in STREAMING.up[0]]
                    up = up + now[joint["mid_shoulders"]] - now[legs].mean(axis=0)
                    right = right + now[joint["right_shoulder"]] - now[joint["left_shoulder"]]
                    sizes.append(np.linalg.norm(now[joint["mid_shoulders"]] - now[joint["mid_hips"]]))
                    middle = (now[joint["mid_shoulders"]] + now[joint["mid_hips"]]) / 2
                    upright = smallest_rotation(up, [0, 0, 1])
                    turn = smallest_rotation((upright @ right) * [1, 1, 0], [1, 0, 0]) @ upright
                    poses.append((now - middle) @ turn.T / np.mean(sizes))
                waiting = False
                k += 1
        found.append(np.array(poses).reshape(-1, len(COMMON), 3))
    return found


def smallest_rotation(vector: np.ndarray, goal: list[float]) -> np.ndarray:
    axis = np.cross(vector, goal)
    angle = np.arctan2(np.linalg.norm(axis), np.dot(vector, goal))
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()


@settings(max_examples=40, deadline=None)
@given(SEEDS, RATES)
def test_whole_clips_equal_the_naive_form(seed, fps):
    clips = [damaged(seed + i, 1 + i % 2, joints=False) for i in range(3)]
    clips = [clip for clip in clips if not np.isnan(clip).all()]
    if not clips:
        return
    got = prepare_causal(clips, KINECT, COMMON, STREAMING, fps)
    for i, clip in enumerate(clips):
        for person, expected in enumerate(naive(clip, fps)):
            assert got.frames[i, person, -1] == len(expected)
            poses = got.poses[i, person]
            np.testing.assert_allclose(poses[: len(expected)], expected, atol=2e-4)
            if len(expected):
                assert (poses[len(expected) :] == poses[len(expected) - 1]).all()


@settings(max_examples=60, deadline=None)
@given(SEEDS, RATES, st.booleans())
def test_frame_by_frame_equals_the_whole_clip(seed, fps, flat):
    # From above, a flat body has no length to scale by but noise.
    clip = damaged(seed, turned=not flat)[..., [0, 2] if flat else slice(None)]
    whole = prepare_causal([clip], KINECT, COMMON, STREAMING, fps)
    live, found, steps, weights = LivePreparation(KINECT, COMMON, STREAMING, fps), ([], []), 0, []
    for frame in range(clip.shape[1]):
        for prepared in live.step(clip[:, frame]):
            steps += 1
            for person, pose in prepared.items():
                found[person].append(pose[0])
            weights.append(live.weights())
            for person in range(2):
                assert whole.frames[0, person, steps - 1] == len(found[person])
    for person, poses in enumerate(found):
        if poses:
            np.testing.assert_allclose(torch.stack(poses), whole.poses[0, person, : len(poses)], atol=1e-5)
        else:
            assert not whole.poses[0, person].any()
    if steps:
        assert whole.frames.shape[2] == steps == most_steps([clip], STREAMING, fps)
        np.testing.assert_allclose(np.array(weights).T, whole.weights[0], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(SEEDS, RATES)
def test_a_clip_does_not_depend_on_others(seed, fps):
    clips = [damaged(seed + i, 1 + i % 2) for i in range(4)]
    together = prepare_causal(clips, KINECT, COMMON, STREAMING, fps)
    assert together.poses.isfinite().all()
    for i, clip in enumerate(clips):
        alone = prepare_causal([clip], KINECT, COMMON, STREAMING, fps)
        steps, frames = alone.frames.shape[2], alone.poses.shape[2]
        np.testing.assert_allclose(together.poses[i, :, :frames], alone.poses[0], atol=1e-5)
        torch.testing.assert_close(together.frames[i, :, :steps], alone.frames[0])
        torch.testing.assert_close(together.weights[i, :, :steps], alone.weights[0])
        assert (together.frames[i, :, steps:] == alone.frames[0, :, -1:]).all()


def test_time_without_a_person_does_not_count():
    clip = moving(41, skeleton=KINECT)[None].astype(np.float32)  # the last frame is a step
    nobody = np.full((1, 20, len(KINECT), 3), np.nan, np.float32)
    alone = prepare_causal([clip], KINECT, COMMON, STREAMING, 30.0)
    for longer in ([nobody, clip], [clip, nobody], [nobody, clip, nobody]):
        got = prepare_causal([np.concatenate(longer, axis=1)], KINECT, COMMON, STREAMING, 30.0)
        torch.testing.assert_close(got.poses, alone.poses)


@pytest.mark.parametrize("joint", ["left_knee", "right_shoulder", "head"])
def test_a_joint_is_derived_until_it_is_seen(joint):
    clip = moving(40, skeleton=KINECT)[None].astype(np.float32)
    whole = prepare_causal([clip], KINECT, COMMON, STREAMING, 15.0).poses[0, 0]
    late = clip.copy()
    late[:, :20, KINECT.joints.index(joint)] = np.nan
    got = prepare_causal([late], KINECT, COMMON, STREAMING, 15.0).poses[0, 0]
    difference = torch.linalg.vector_norm(got - whole, dim=-1)
    assert difference[:20].max() < 1.0 and difference[:20, COMMON.joints.index(joint)].min() > 1e-3
    assert difference[-1].max() < difference[:20].max()  # rotation and scale still contain the derived joint
    never = np.where(np.arange(len(KINECT))[:, None] == KINECT.joints.index(joint), np.nan, clip)
    first = prepare_causal([never], KINECT, COMMON, STREAMING, 15.0).poses[0, 0, :20]
    torch.testing.assert_close(got[:20], first)


def test_more_persons_than_the_encoder_takes():
    """Those who move are kept, as in whole clips."""
    still = np.repeat(moving(1, 1, KINECT), 30, axis=0)[None]
    clip = np.concatenate([still, moving(30, 2, KINECT)[None], still + 1, moving(30, 3, KINECT)[None] + 2])
    got = prepare_causal([clip.astype(np.float32)], KINECT, COMMON, STREAMING, 15.0)
    others = prepare_causal([clip[[1, 3]].astype(np.float32)], KINECT, COMMON, STREAMING, 15.0)
    assert sorted(got.poses[0, :, -1, 0, 0].tolist()) == sorted(others.poses[0, :, -1, 0, 0].tolist())


def test_persons_weigh_the_same_if_the_config_says_so():
    clip = np.stack([moving(30, 1, NTU), moving(30, 2, NTU)]).astype(np.float32)
    clip[1, :15] = np.nan
    for weigh, expected in (("equal", [1.0, 1.0]), ("sightings", [1.0, 0.5])):
        got = prepare_causal([clip], NTU, COMMON, replace(STREAMING, weigh=weigh), 15.0)
        assert got.weights[0, :, -1].tolist() == expected and got.weights[0, 1, 10] == 0
