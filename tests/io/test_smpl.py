"""SMPL's rotations and a body model made here: joints against a plain loop, and against the library smplx."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.cli import main
from skelrep.io import read
from skelrep.io.reader import ReadOptions
from skelrep.io.smpl import is_smpl, read_smpl, rest_joints

RNG = np.random.default_rng(0)
PARENTS = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
PARENTS += [20] * 15 + [21] * 13  # hands; SMPL-H has 52 joints


def body_model(path, joints: int = 52, points: int = 60, shapes: int = 16) -> dict[str, np.ndarray]:
    regressor = RNG.uniform(size=(joints, points))
    model = {
        "v_template": RNG.normal(size=(points, 3)),
        "shapedirs": RNG.normal(scale=0.1, size=(points, 3, shapes)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([PARENTS[:joints], range(joints)]),
    }
    np.savez(path, **model)
    return model


def motion(path, joints: int = 52, **more) -> dict[str, np.ndarray]:
    arrays = {
        "poses": RNG.normal(scale=0.5, size=(6, 3 * joints)),
        "trans": RNG.normal(size=(6, 3)),
        "betas": RNG.normal(size=16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(120.0),
    } | more
    np.savez(path, **arrays)
    return arrays


def rotation(vector: np.ndarray) -> np.ndarray:
    scipy = pytest.importorskip("scipy.spatial.transform")
    return scipy.Rotation.from_rotvec(vector).as_matrix()


@pytest.mark.parametrize("joints", [24, 52])
def test_joints_of_rotations(tmp_path, joints):
    model = body_model(tmp_path / "body.npz", joints)
    arrays = motion(tmp_path / "walk_poses.npz", joints)
    assert is_smpl(tmp_path / "walk_poses.npz")
    poses = read_smpl(tmp_path / "walk_poses.npz", ReadOptions(body_model=tmp_path / "body.npz"))
    assert (poses.ids, poses.fps, poses.skeleton.name, poses.clips[0].shape) == (
        ["walk_poses"],
        120,
        "smpl-22",
        (1, 6, 22, 3),
    )
    shaped = model["v_template"] + np.einsum("pcb,b->pc", model["shapedirs"], arrays["betas"])
    rest = model["J_regressor"] @ shaped
    for frame in range(6):
        turns, places = {}, {}
        for joint in range(22):
            turn = rotation(arrays["poses"][frame, 3 * joint : 3 * joint + 3])
            if joint == 0:
                turns[0], places[0] = turn, rest[0] + arrays["trans"][frame]
                continue
            parent = PARENTS[joint]
            turns[joint] = turns[parent] @ turn
            places[joint] = places[parent] + turns[parent] @ (rest[joint] - rest[parent])
        np.testing.assert_allclose(poses.clips[0][0, frame], [places[joint] for joint in range(22)], atol=1e-5)


def test_as_smplx_computes_it(tmp_path):
    torch = pytest.importorskip("torch")
    lbs = pytest.importorskip("smplx.lbs", reason="smplx is not installed")
    model, arrays = body_model(tmp_path / "body.npz"), motion(tmp_path / "a.npz")
    tensors = {key: torch.tensor(value) for key, value in model.items()}
    _, joints = lbs.lbs(
        torch.tensor(arrays["betas"])[None].expand(6, -1),
        torch.tensor(arrays["poses"]),
        tensors["v_template"][None],
        tensors["shapedirs"],
        torch.zeros(9 * 51, 60 * 3, dtype=torch.float64),
        tensors["J_regressor"],
        torch.tensor([-1, *PARENTS[1:52]]),
        torch.full((60, 52), 1 / 52, dtype=torch.float64),
    )
    ours = read_smpl(tmp_path / "a.npz", ReadOptions(body_model=tmp_path / "body.npz")).clips[0][0]
    np.testing.assert_allclose(ours, joints[:, :22].numpy() + arrays["trans"][:, None], atol=1e-5)


def test_the_model_of_the_gender_is_taken_from_a_folder(tmp_path):
    models = {}
    for gender in ("male", "female", "neutral"):
        (tmp_path / "models" / "smplh" / gender).mkdir(parents=True)
        (tmp_path / "models" / "smplx" / gender).mkdir(parents=True)
        models[gender] = body_model(tmp_path / "models" / "smplh" / gender / "model.npz")
        body_model(tmp_path / "models" / "smplx" / gender / "model.npz", joints=52)
    arrays = motion(tmp_path / "a.npz", betas=np.zeros(16), poses=np.zeros((6, 156)))
    poses = read_smpl(tmp_path / "a.npz", ReadOptions(body_model=tmp_path / "models"))
    expected = (models["female"]["J_regressor"] @ models["female"]["v_template"])[:22] + arrays["trans"][:, None]
    np.testing.assert_allclose(poses.clips[0][0], expected, atol=1e-5)


def test_joints_beside_the_rotations_need_no_model(tmp_path):
    joints = RNG.normal(size=(6, 52, 3))
    motion(tmp_path / "a.npz", Jtr=joints)
    poses = read_smpl(tmp_path / "a.npz", ReadOptions())
    np.testing.assert_allclose(poses.clips[0][0], joints[:, :22], rtol=1e-6)


@pytest.mark.parametrize(
    ("more", "model", "message"),
    [
        ({}, None, r"contains rotations of SMPL-H's joints; .* as body_model="),
        ({}, "nothing.npz", "there is no body model .*nothing.npz"),
        ({}, "small.npz", r"has rotations of 52 joints \(SMPL-H\), but .*small\.npz has 24"),
        ({}, "a.npz", r"a\.npz is not a body model: it lacks v_template"),
        (
            {"poses": np.zeros((6, 100))},
            "body.npz",
            r"poses have shape \(6, 100\) .* expected \(frames, 72, 156 or 165\)",
        ),
        ({"trans": np.zeros((5, 3))}, "body.npz", r"its trans \(5, 3\)"),
    ],
)
def test_files_and_body_models_that_do_not_fit(tmp_path, more, model, message):
    motion(tmp_path / "a.npz", **more)
    body_model(tmp_path / "body.npz")
    body_model(tmp_path / "small.npz", joints=24)
    with pytest.raises(ValueError, match=message):
        read_smpl(tmp_path / "a.npz", ReadOptions(body_model=model and tmp_path / model))


def test_the_body_model_is_an_option_of_read_and_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body_model(tmp_path / "body.npz")
    motion(tmp_path / "a_poses.npz")
    poses = read("a_poses.npz", body_model="body.npz")
    assert main(["convert", "a_poses.npz", "joints.npz", "--body-model", "body.npz", "-q"]) == 0
    np.testing.assert_array_equal(read("joints.npz").clips[0], poses.clips[0])
    assert main(["convert", "a_poses.npz", "joints.npz", "-q"]) == 1


def test_invalid_trees_are_refused(tmp_path):
    model = body_model(tmp_path / "body.npz")
    model["kintree_table"][0, 5] = 9
    np.savez(tmp_path / "body.npz", **model)
    with pytest.raises(ValueError, match="a joint comes before its parent"):
        rest_joints(tmp_path / "body.npz", None)
