"""Joints, bones and motion against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep.encoder.modalities import MODALITIES, modality
from skelrep.skeletons import SKELETONS

PARENTS = (0, 0, 1, 1, 4)  # two trees
SHAPES = st.tuples(st.lists(st.integers(1, 3), max_size=2).map(tuple), st.integers(1, 6), st.sampled_from([2, 3]))


def some(lead=(), frames=6, channels=3) -> torch.Tensor:
    shape = (*lead, frames, len(PARENTS), channels)
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + frames))


@pytest.mark.parametrize("name", MODALITIES)
@settings(deadline=None)
@given(SHAPES)
def test_shapes(name, shape):
    joints = some(*shape)
    view = modality(name, joints, PARENTS)
    assert view.shape == joints.shape
    assert view.dtype == joints.dtype


@settings(deadline=None)
@given(SHAPES)
def test_bones_against_a_loop(shape):
    joints = some(*shape)
    bones = modality("bone", joints, PARENTS)
    for place in np.ndindex(joints.shape[:-2]):
        for joint, parent in enumerate(PARENTS):
            for channel in range(joints.shape[-1]):
                expected = joints[(*place, joint, channel)] - joints[(*place, parent, channel)]
                assert bones[(*place, joint, channel)] == expected


@settings(deadline=None)
@given(SHAPES)
def test_motion_against_a_loop(shape):
    joints = some(*shape)
    motion = modality("motion", joints, PARENTS)
    frames = joints.shape[-3]
    for lead in np.ndindex(joints.shape[:-3]):
        for t in range(frames):
            for place in np.ndindex(joints.shape[-2:]):
                after = joints[(*lead, min(t + 1, frames - 1), *place)]
                assert motion[(*lead, t, *place)] == after - joints[(*lead, t, *place)]


@settings(deadline=None)
@given(SHAPES)
def test_causal_motion_is_motion_one_frame_later(shape):
    joints = some(*shape)
    motion, causal = modality("motion", joints, PARENTS), modality("causal_motion", joints, PARENTS)
    assert (causal[..., 0, :, :] == 0).all()
    assert torch.equal(causal[..., 1:, :, :], motion[..., :-1, :, :])


def test_joints_are_the_poses_themselves():
    joints = some()
    assert modality("joint", joints, PARENTS) is joints


def test_by_hand():
    joints = torch.tensor([[[1.0, 2], [4, 6]], [[10.0, 20], [40, 60]]])  # two frames of two joints in the plane
    torch.testing.assert_close(modality("bone", joints, [0, 0])[0], torch.tensor([[0.0, 0], [3, 4]]))
    torch.testing.assert_close(modality("motion", joints, [0, 0])[0], torch.tensor([[9.0, 18], [36, 54]]))


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_roots_have_no_bone(skeleton):
    joints = torch.randn(2, 4, len(skeleton), 3)
    bones = modality("bone", joints, skeleton.parents)
    roots = [joint for joint, parent in enumerate(skeleton.parents) if joint == parent]
    assert (bones[:, :, roots] == 0).all()
    others = [joint for joint in range(len(skeleton)) if joint not in roots]
    assert (bones[:, :, others] != 0).all()


def test_the_last_frame_has_no_motion():
    motion = modality("motion", some((2, 3)), PARENTS)
    assert (motion[..., -1, :, :] == 0).all()
    assert (motion[..., :-1, :, :] != 0).all()
    assert (modality("motion", some((2,), frames=1), PARENTS) == 0).all()


def test_bone_and_motion_do_not_depend_on_the_position():
    joints = some((2,)).double()
    for name in ("bone", "motion"):
        torch.testing.assert_close(
            modality(name, joints + torch.tensor([3.0, -2, 7]), PARENTS), modality(name, joints, PARENTS)
        )


def test_gradients_flow():
    for name in MODALITIES:
        joints = some((1,)).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, name=name: modality(name, x, PARENTS), joints)


def test_an_unknown_modality():
    with pytest.raises(ValueError, match="'velocity'.*joint, bone, motion, causal_motion"):
        modality("velocity", some(), PARENTS)
