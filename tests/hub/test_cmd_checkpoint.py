"""Import of CMD's training checkpoints, against CMD's computation written out frame by frame."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.hub import convert_cmd, load_pretrained
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS

# The 25 pairs (child, parent) of CMD's feeder, one-based; joint 21 is its own parent.
PAIRS = (
    (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11),
    (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (21, 21), (22, 23), (23, 8),
    (24, 25), (25, 12),
)  # fmt: skip
SUFFIXES = {"joint": "", "bone": "_bone", "motion": "_motion"}


class CMDEncoder(nn.Module):
    """Modules with the names and shapes of a checkpoint, and CMD's forward pass."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.gru = nn.GRU(150, hidden, layers, batch_first=True, bidirectional=True)
        self.input_norm = nn.BatchNorm1d(150)
        nn.init.uniform_(self.input_norm.weight, 0.5, 1.5)
        nn.init.normal_(self.input_norm.bias)
        nn.init.normal_(self.input_norm.running_mean)  # type: ignore[arg-type]
        nn.init.uniform_(self.input_norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
        self.input_norm.num_batches_tracked.fill_(450)  # type: ignore[union-attr]
        self.eval()

    def forward(self, clips: np.ndarray) -> Tensor:
        """(N, M, T, V, C) view of one modality to (N, 2 x hidden)."""
        n, persons, frames, joints, channels = clips.shape
        flat = torch.empty(n, frames, 150, dtype=self.input_norm.weight.dtype)
        for v in range(joints):
            for c in range(channels):
                for m in range(persons):
                    flat[:, :, v * 6 + c * 2 + m] = torch.from_numpy(clips[:, m, :, v, c])
        normed = self.input_norm(flat.transpose(1, 2)).transpose(1, 2)
        hidden, out = None, normed
        for t in range(frames):
            out, hidden = self.gru(normed[:, t : t + 1], hidden)
        return out[:, 0]


def view(name: str, joints: np.ndarray) -> np.ndarray:
    """One modality of (N, M, T, V, C)."""
    if name == "joint":
        return joints
    derived = np.zeros_like(joints)
    if name == "bone":
        for child, parent in PAIRS:
            derived[..., child - 1, :] = joints[..., child - 1, :] - joints[..., parent - 1, :]
    else:
        for t in range(joints.shape[2] - 1):
            derived[:, :, t] = joints[:, :, t + 1] - joints[:, :, t]
    return derived


def checkpoint(
    path: Path,
    streams: tuple[str, ...] = ("joint", "bone", "motion"),
    hidden: int = 8,
    layers: int = 3,
    prefix: str = "",
    norm: str = "encoder.input_norm.",
    sides: tuple[str, ...] = ("encoder_q", "encoder_k"),
) -> tuple[dict, dict[str, CMDEncoder]]:
    """Writes a checkpoint of random weights; returns its contents and the encoders whose weights it has."""
    torch.manual_seed(0)
    encoders = {name: CMDEncoder(hidden, layers) for name in streams}
    state = {}
    for name, encoder in encoders.items():
        for side in sides:
            start = f"{prefix}{side}{SUFFIXES[name]}."
            noise = 0.0 if side == "encoder_q" else 1.0
            state |= {f"{start}encoder.gru.{key}": value + noise for key, value in encoder.gru.state_dict().items()}
            state |= {f"{start}{norm}{key}": value.clone() for key, value in encoder.input_norm.state_dict().items()}
            state |= {f"{start}fc.0.weight": torch.randn(4, 4), f"{start}fc.0.bias": torch.randn(4)}
            state |= {f"{start}fc.2.weight": torch.randn(2, 4), f"{start}fc.2.bias": torch.randn(2)}
        state |= {
            f"{prefix}queue{SUFFIXES[name]}": torch.randn(2, 16),
            f"{prefix}queue_ptr{SUFFIXES[name]}": torch.zeros(1, dtype=torch.long),
        }
    contents = {"epoch": 451, "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.01}]}}
    torch.save(contents, path)
    return contents, encoders


def moving(n: int = 3, frames: int = 80, persons: int = 2) -> list[np.ndarray]:
    """Random clips (M, T, 25, 3) of joints that move little."""
    rng = np.random.default_rng(0)
    home = rng.normal(size=(n, persons, 1, 25, 3))
    return list((home + 0.2 * rng.normal(size=(n, persons, frames, 25, 3))).astype(np.float32))


def prepared_by_hand(clip: np.ndarray) -> np.ndarray:
    """CMD's input (2, 64, 25, 3) of a clip without missing joints: normalised, cropped, resampled."""
    clip = clip.astype(np.float64)
    clip = clip - clip[:1, :, 1:2]  # SpineMid of the first person, frame by frame

    def turn(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        axis = np.cross(start, goal)
        axis /= np.linalg.norm(axis)
        angle = np.arccos(start @ goal / np.linalg.norm(start))
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross

    clip = clip @ turn(clip[0, 0, 1] - clip[0, 0, 0], np.array([0.0, 0.0, 1.0])).T
    clip = clip @ turn(clip[0, 0, 8] - clip[0, 0, 4], np.array([1.0, 0.0, 0.0])).T
    start = int((1 - 0.95) * clip.shape[1] / 2)
    kept = clip[:, start : clip.shape[1] - start]
    result = np.zeros((2, 64, 25, 3))
    for t in range(64):
        time = min(max((t + 0.5) * kept.shape[1] / 64 - 0.5, 0), kept.shape[1] - 1)
        left = int(time)
        right = min(left + 1, kept.shape[1] - 1)
        result[: len(clip), t] = kept[:, left] * (1 - (time - left)) + kept[:, right] * (time - left)
    return result


@pytest.mark.parametrize(("prefix", "norm"), [("", "encoder.input_norm."), ("module.", "input_norm.")])
def test_every_stream_equals_the_loop_over_frames(tmp_path, prefix, norm):
    _, originals = checkpoint(tmp_path / "checkpoint.pth.tar", hidden=16, prefix=prefix, norm=norm)
    encoder = convert_cmd(tmp_path / "checkpoint.pth.tar")
    prepared = encoder.prepare(Poses(moving(), SKELETONS["ntu-25"]))
    with torch.no_grad():
        features = encoder(prepared)
        assert list(features) == ["joint", "bone", "motion"]
        for name, original in originals.items():
            expected = original.double()(view(name, prepared.double().numpy()))
            assert torch.allclose(features[name].double(), expected, rtol=0, atol=1e-5), name


@pytest.mark.slow
def test_the_paper_size_equals_the_loop_over_frames(tmp_path):
    _, originals = checkpoint(tmp_path / "checkpoint.pth.tar", ("joint",), hidden=1024, sides=("encoder_q",))
    encoder = convert_cmd(tmp_path / "checkpoint.pth.tar")
    (tmp_path / "checkpoint.pth.tar").unlink()  # 180 MB, which pytest would keep
    assert encoder.dim == 2048
    prepared = encoder.prepare(Poses(moving(1), SKELETONS["ntu-25"]))
    with torch.no_grad():
        expected = originals["joint"](prepared.numpy())
        assert torch.allclose(encoder(prepared)["joint"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("frames", "persons"), [(80, 2), (64, 1), (30, 2), (7, 1)])
def test_from_raw_poses_to_the_feature(tmp_path, frames, persons):
    _, originals = checkpoint(tmp_path / "checkpoint.pth.tar", hidden=16)
    encoder = convert_cmd(tmp_path / "checkpoint.pth.tar")
    clips = moving(2, frames, persons)
    by_hand = np.stack([prepared_by_hand(clip) for clip in clips])
    prepared = encoder.prepare(Poses(clips, SKELETONS["ntu-25"]))
    assert np.allclose(prepared.numpy(), by_hand, rtol=0, atol=1e-5)
    with torch.no_grad():
        expected = {name: original.double()(view(name, by_hand)) for name, original in originals.items()}
        features = encoder(prepared)
        fused = encoder.fuse(features)
    for name, feature in features.items():
        assert torch.allclose(feature.double(), expected[name], rtol=0, atol=1e-5), name
    assert torch.allclose(fused.double(), torch.stack(list(expected.values())).mean(dim=0), rtol=0, atol=1e-5)


def test_the_stack_differs_from_a_bidirectional_gru(tmp_path):
    _, originals = checkpoint(tmp_path / "checkpoint.pth.tar", ("joint",), hidden=16)
    original = originals["joint"]
    clips = np.float32(np.random.default_rng(0).normal(size=(2, 2, 64, 25, 3)))
    with torch.no_grad():
        flat = torch.from_numpy(clips).permute(0, 2, 3, 4, 1).flatten(2)
        whole = original.gru(original.input_norm(flat.transpose(1, 2)).transpose(1, 2))[0][:, -1]
        assert (whole - original(clips)).abs().max() > 1e-2


def test_config_of_a_converted_checkpoint(tmp_path):
    checkpoint(tmp_path / "checkpoint_0450.pth.tar", ("motion", "joint"), hidden=4, layers=2)
    encoder = convert_cmd(tmp_path / "checkpoint_0450.pth.tar", tmp_path / "saved")
    config = encoder.config
    assert config.modalities == ("joint", "motion")
    assert config.backbone == RecurrentConfig(hidden=4, layers=2)
    assert config.fusion == "mean"
    assert config.skeleton == SKELETONS["ntu-25"]
    assert [(joint + 1, parent + 1) for joint, parent in enumerate(config.skeleton.parents)] == list(PAIRS)
    assert config.training["hyper_parameters"] == {"epoch": 451}
    assert "checkpoint_0450.pth.tar" in config.training["recipe"]
    saved = load_pretrained(tmp_path / "saved")
    assert saved.config == config
    assert all(torch.equal(tensor, encoder.state_dict()[name]) for name, tensor in saved.state_dict().items())


def test_the_old_file_format_is_read_too(tmp_path):
    contents, originals = checkpoint(tmp_path / "new.pth", ("joint",))
    torch.save(contents, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    new, old = convert_cmd(tmp_path / "new.pth"), convert_cmd(tmp_path / "old.pth")
    assert all(torch.equal(tensor, new.state_dict()[name]) for name, tensor in old.state_dict().items())


def test_the_file_may_be_deleted_afterwards(tmp_path):
    path = tmp_path / "checkpoint.pth"
    contents, _ = checkpoint(path, ("joint",))
    encoder = convert_cmd(path)
    with path.open("r+b") as file:
        file.truncate(100)  # a mapped tensor would now crash the process
    assert torch.equal(
        encoder.state_dict()["streams.joint.layers.0.1.bias_hh_l0"],
        contents["state_dict"]["encoder_q.encoder.gru.bias_hh_l0_reverse"],
    )


NAME = "encoder_q.encoder.gru.weight_hh_l1_reverse"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(NAME), f"1 missing ({NAME})"),
        (lambda state: state.update({NAME: torch.zeros(24, 9)}), f"{NAME} (24, 9) instead of (24, 8)"),
        (lambda state: state.update({NAME: state[NAME] * torch.nan}), f"NaN or infinite weights in 1 tensors ({NAME})"),
        (lambda state: state.update({NAME: state[NAME].double()}), f"{NAME} torch.float64"),
        (lambda state: state.update({"encoder_q.extra": torch.zeros(1)}), "1 unknown (encoder_q.extra)"),
        (lambda state: state.update({"head.weight": torch.zeros(1)}), "1 unknown (head.weight)"),
        (lambda state: state.update({f"module.{NAME}": state[NAME]}), f"{NAME} twice"),
        (lambda state: [state.pop(key) for key in list(state) if "_q.encoder.input_norm" in key], "5 missing"),
        (lambda state: [state.pop(key) for key in list(state) if "_l1" in key], "gru.weight_ih_l1"),
        (lambda state: [state.pop(key) for key in list(state) if "weight_hh_l0" in key], "weight_hh_l0 (3H x H)"),
        (lambda state: state.clear(), "weight_hh_l0 (3H x H)"),
        (lambda state: state.update({"encoder_q.encoder.gru.weight_ih_l99": torch.zeros(1)}), "1 unknown"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_named(tmp_path, change, message):
    contents, _ = checkpoint(tmp_path / "checkpoint.pth", ("joint",), hidden=8, layers=3)
    change(contents["state_dict"])
    torch.save(contents, tmp_path / "changed.pth")
    with pytest.raises(ValueError) as caught:
        convert_cmd(tmp_path / "changed.pth")
    assert message in str(caught.value)
    assert "changed.pth" in str(caught.value)


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("old_format", [False, True])
def test_objects_are_never_unpickled(tmp_path, monkeypatch, old_format):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "arguments": Harmful()}, "bad.pth", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(ValueError, match="could run code"):
        convert_cmd("bad.pth")
    assert not Path("ran").exists()


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 not really", b"some text", bytes(range(256))])
def test_other_files_are_refused(tmp_path, contents):
    (tmp_path / "some.pth").write_bytes(contents)
    with pytest.raises(ValueError, match="not a plain PyTorch checkpoint"):
        convert_cmd(tmp_path / "some.pth")


@pytest.mark.parametrize(
    "contents", [[1, 2], {"model": {}}, {"state_dict": [1]}, {"state_dict": {"a": 1}}, torch.ones(3)]
)
def test_other_checkpoints_are_refused(tmp_path, contents):
    torch.save(contents, tmp_path / "some.pth")
    with pytest.raises(ValueError, match="not a CMD checkpoint"):
        convert_cmd(tmp_path / "some.pth")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        convert_cmd(tmp_path / "none.pth")
