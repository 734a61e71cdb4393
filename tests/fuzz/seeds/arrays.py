"""Seeds of arrays: NumPy's files, pickles and MATLAB's."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from tests.fuzz.seeds.seed import FRAMES, Seed, body, single


def npy(folder: Path) -> Seed:
    np.save(folder / "a.npy", body("kinect-20").clips[0][0])
    return single(folder / "a.npy", skeleton="kinect-20")


def npz(folder: Path) -> Seed:
    body("kinect-20").save(folder / "a.npz")
    return single(folder / "a.npz")


def amass(folder: Path) -> Seed:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(FRAMES, 22, 3)).astype(np.float32)
    np.savez(folder / "a.npz", joints=joints, trans=joints[:, 0], mocap_framerate=30.0)
    return single(folder / "a.npz")


def pyskl(folder: Path) -> Seed:
    annotations = [
        {
            "frame_dir": name,
            "label": i,
            "total_frames": clip.shape[1],
            "keypoint": clip[..., :2] * 50 + 200,
            "keypoint_score": np.ones(clip.shape[:3], np.float32),
            "img_shape": (480, 640),
        }
        for i, (name, clip) in enumerate(zip("ab", body("coco-17").clips))
    ]
    (folder / "a.pkl").write_bytes(pickle.dumps({"split": {"train": ["a"], "test": ["b"]}, "annotations": annotations}))
    return single(folder / "a.pkl")


def agcn(folder: Path) -> Seed:
    data = np.stack([clip[:, :FRAMES] for clip in body("ntu-25").clips]).transpose(0, 4, 2, 3, 1)
    np.save(folder / "train_data_joint.npy", data)
    (folder / "train_label.pkl").write_bytes(pickle.dumps((["a", "b"], [0, 1])))
    files = folder / "train_data_joint.npy", folder / "train_label.pkl"
    return Seed("poses", files[0], files, {})


def smpl(folder: Path) -> Seed:
    """Rotations, and the body model that their joints follow from."""
    rng = np.random.default_rng(0)
    np.savez(
        folder / "a.npz",
        poses=rng.normal(size=(FRAMES, 72)),
        trans=rng.normal(size=(FRAMES, 3)),
        betas=rng.normal(size=4),
        gender=np.array("male"),
        mocap_framerate=np.array(30.0),
    )
    np.savez(
        folder / "model.npz",
        v_template=rng.normal(size=(8, 3)),
        shapedirs=rng.normal(size=(8, 3, 4)),
        J_regressor=rng.uniform(size=(24, 8)),
        kintree_table=np.array([np.maximum(0, np.arange(24) - 1), np.arange(24)]),
    )
    files = folder / "a.npz", folder / "model.npz"
    return Seed("poses", files[0], files, {"body_model": str(files[1])})


def videopose3d(folder: Path) -> Seed:
    walk, sit = (clip[0] for clip in body("h36m-17").clips)
    np.savez(folder / "data_3d_h36m.npz", positions_3d={"S1": {"Walking": walk}, "S9": {"Sitting 1": sit}})  # type: ignore[arg-type]
    return single(folder / "data_3d_h36m.npz")


def humanml3d(folder: Path) -> Seed:
    features = np.random.default_rng(0).normal(scale=0.1, size=(FRAMES, 263)).astype(np.float32)
    for name in ("new_joint_vecs", "new_joints"):
        (folder / name).mkdir()
    np.save(folder / "new_joint_vecs" / "000012.npy", features)
    np.save(folder / "new_joints" / "000012.npy", body("smpl-22").clips[0][0])
    (folder / "train.txt").write_text("000011\n000012\n")
    files = folder / "new_joint_vecs" / "000012.npy", folder / "new_joints" / "000012.npy", folder / "train.txt"
    return Seed("poses", folder, files[:2], {})


def ntu_numpy(folder: Path) -> Seed:
    bodies = {f"skel_body{i}": clip[0][:FRAMES] for i, clip in enumerate(body("ntu-25").clips)}
    path = folder / "S001C002P003R002A013.skeleton.npy"
    np.save(path, {"file_name": path.stem, "nbodys": [2] * FRAMES, "njoints": 25} | bodies, allow_pickle=True)  # type: ignore[arg-type]
    return single(path)


def utd_mhad(folder: Path) -> Seed:
    from scipy.io import savemat

    array = body("kinect-20").clips[0][0].transpose(1, 2, 0)
    for name, compressed in (("a1_s1_t1", False), ("a2_s2_t1", True)):
        savemat(folder / f"{name}_skeleton.mat", {"d_skel": array}, do_compression=compressed)
    return Seed("poses", folder, tuple(sorted(folder.iterdir())), {})


def mat(folder: Path) -> Seed:
    from scipy.io import savemat

    savemat(folder / "a.mat", {"joints": body("kinect-20").clips[0][0], "name": "walk"})
    return single(folder / "a.mat", skeleton="kinect-20")
