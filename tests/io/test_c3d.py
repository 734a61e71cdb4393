"""C3D: our reader against ezc3d, labels beyond 255 points, units, and damaged files."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from skelrep.io import c3d, read
from skelrep.skeletons import SKELETONS

COMMON = SKELETONS["common-15"]
LABELS = [joint for joint in COMMON.joints if not joint.startswith("mid_")]
# A person of 1.7 m, facing +z, who shakes: a trunk of half a metre by which a unit can be guessed.
REST = np.array(
    [[0, 1.6, 0], [0.2, 1.4, 0], [0.2, 1.1, 0], [0.2, 0.8, 0], [-0.2, 1.4, 0], [-0.2, 1.1, 0], [-0.2, 0.8, 0]]
    + [[0.1, 0.9, 0], [0.1, 0.5, 0], [0.1, 0.1, 0], [-0.1, 0.9, 0], [-0.1, 0.5, 0], [-0.1, 0.1, 0]]
)
POINTS = REST + np.random.default_rng(0).normal(scale=0.01, size=(5, len(LABELS), 3))


def write_c3d(path: Path, labels, unit="mm", factor=1000.0, points=POINTS) -> None:
    ezc3d = pytest.importorskip("ezc3d", reason="ezc3d is not installed")
    file = ezc3d.c3d()
    about = file["parameters"]["POINT"]
    about["RATE"]["value"] = [100]
    about["LABELS"]["value"] = list(labels[:255])
    if len(labels) > 255:
        about["LABELS2"] = {"type": -1, "description": "", "is_locked": False, "value": list(labels[255:])}
    about["UNITS"]["value"] = (unit,) if unit else ()
    values = np.ones((4, len(labels), len(points)))
    values[:3] = factor * points[:, : len(labels)].T
    values[:3, 0, 1] = np.nan
    file["data"]["points"] = values
    file.write(str(path))


def expected() -> np.ndarray:
    points = POINTS.copy()
    points[1, 0] = np.nan  # not seen
    return points


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1000), ("Meters", 1), ("cm", 100), ("in", 1 / 0.0254)])
def test_joints_by_label(tmp_path, unit, factor):
    write_c3d(tmp_path / "a.c3d", [label.upper() for label in LABELS], unit, factor)
    poses = read(tmp_path / "a.c3d")
    assert (poses.ids, poses.fps, poses.skeleton.joints) == (["a"], 100, tuple(LABELS))
    np.testing.assert_allclose(poses.clips[0][0], expected(), atol=1e-5)


def test_as_ezc3d_reads_it(tmp_path):
    path = tmp_path / "a.c3d"
    write_c3d(path, LABELS)
    import ezc3d

    theirs = ezc3d.c3d(str(path))["data"]["points"][:3].T
    np.testing.assert_allclose(1000 * read(path).clips[0][0], theirs, rtol=1e-6)


def test_markers_need_names(tmp_path):
    markers = ["M1", "M2", "C7", "M4", "M5"]
    write_c3d(tmp_path / "a.c3d", markers)
    with pytest.raises(
        ValueError, match=r"labels of the 5 points of .*a\.c3d are not joint names: M1, .* skeleton= with a name"
    ):
        read(tmp_path / "a.c3d")
    poses = read(tmp_path / "a.c3d", skeleton=["head", "m1", "m2", "LeftShoulder", "RightShoulder"])
    assert poses.skeleton.joints[3] == "left_shoulder"


@pytest.mark.parametrize("joints_first", [True, False])
def test_more_than_255_points(tmp_path, joints_first):
    markers = [f"M{i}" for i in range(290)]
    labels = LABELS + markers if joints_first else markers + LABELS
    rng = np.random.default_rng(1)
    extra = rng.normal(size=(5, len(markers), 3))
    points = np.concatenate([POINTS, extra] if joints_first else [extra, POINTS], axis=1)
    write_c3d(tmp_path / "a.c3d", labels, points=points)
    poses = read(tmp_path / "a.c3d")
    assert poses.clips[0].shape == (1, 5, 303, 3)
    wrist = poses.clips[0][0, :, poses.skeleton.joints.index("left_wrist")]
    np.testing.assert_allclose(wrist, POINTS[:, LABELS.index("left_wrist")], atol=1e-5)
    with pytest.warns(UserWarning, match="255 names for the 303 points .* the last 48 keep their labels"):
        poses = read(tmp_path / "a.c3d", skeleton=[f"p{i}" for i in range(255)])
    assert (poses.skeleton.joints[0], len(poses.skeleton)) == ("p_0", 303)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1000, "millimetres"), (100, "centimetres"), (1, "metres")], ids=["mm", "cm", "m"]
)
def test_an_empty_unit_is_guessed_by_the_body(tmp_path, factor, unit):
    write_c3d(tmp_path / "a.c3d", LABELS, unit="", factor=factor)
    with pytest.warns(UserWarning, match=rf"names no unit; .* it is {unit} \(pass scale="):
        poses = read(tmp_path / "a.c3d")
    np.testing.assert_allclose(poses.clips[0][0], expected(), atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = read(tmp_path / "a.c3d", scale=2)
    np.testing.assert_allclose(poses.clips[0][0], 2 * factor * expected(), rtol=1e-4)


def test_a_body_of_no_plausible_size(tmp_path):
    write_c3d(tmp_path / "a.c3d", LABELS, unit="", factor=37)
    with pytest.warns(UserWarning, match="no plausible size .* coordinates are unchanged"):
        assert np.nanmax(read(tmp_path / "a.c3d").clips[0]) > 50


def test_an_unknown_unit(tmp_path):
    write_c3d(tmp_path / "b.c3d", LABELS, unit="furlong")
    with pytest.warns(UserWarning, match=r"b\.c3d names the unit 'furlong'.*it is millimetres \(pass scale="):
        poses = read(tmp_path / "b.c3d")
    write_c3d(tmp_path / "a.c3d", LABELS)
    np.testing.assert_allclose(poses.clips[0], read(tmp_path / "a.c3d").clips[0], rtol=1e-5)
    raw = read(tmp_path / "b.c3d", scale=0.5).clips[0]
    np.testing.assert_allclose(raw, 500 * poses.clips[0], rtol=1e-4)


# -- files of other processors, and integers: made here, since no library writes them -------------------------------


def by_hand(processor: int, real: bool) -> bytes:
    """A C3D file of POINTS without analog data, by the C3D user guide."""
    order = ">" if processor == 86 else "<"

    def words(*numbers: int) -> bytes:
        return np.array(numbers, dtype=f"{order}u2").tobytes()

    def floats(*numbers: float) -> bytes:
        if processor == 85:  # DEC: four times larger, and the halves swapped
            halves = (np.array(numbers, dtype="<f4") * np.float32(4)).view("<u2").reshape(-1, 2)[:, ::-1]
            return halves.tobytes()
        return np.array(numbers, dtype=f"{order}f4").tobytes()

    def parameter(name: str, kind: int, shape: tuple[int, ...], raw: bytes) -> bytes:
        rest = bytes([kind % 256, len(shape), *shape]) + raw + b"\0"
        return bytes([len(name), 1]) + name.encode() + words(2 + len(rest)) + rest

    scale = -1.0 if real else 0.0005
    section = bytes([5, 255]) + b"POINT" + words(3) + b"\0"
    section += parameter("USED", 2, (), words(len(LABELS)))
    section += parameter("SCALE", 4, (), floats(scale))
    section += parameter("RATE", 4, (), floats(50))
    section += parameter("FRAMES", 2, (), words(len(POINTS)))
    section += parameter("UNITS", -1, (4,), b"m   ")
    labels = b"".join(label.encode().ljust(20) for label in LABELS)
    section += parameter("LABELS", -1, (20, len(LABELS)), labels)
    blocks = -(-(len(section) + 8) // 512)
    section += parameter("DATA_START", 2, (), words(2 + blocks))
    parameters = (bytes([1, 80, blocks, processor]) + section).ljust(512 * blocks, b"\0")
    header = bytes([2, 80]) + words(len(LABELS), 0, 1, len(POINTS), 0) + floats(scale) + words(2 + blocks, 0)
    header += floats(50)
    values = np.ones((len(POINTS), len(LABELS), 4))
    values[..., :3] = POINTS
    values[1, 0, 3] = -1
    if real:
        data = floats(*values.ravel())
    else:
        values[..., :3] /= 0.0005
        data = np.round(values).astype(f"{order}i2").tobytes()
    return header.ljust(512, b"\0") + parameters + data.ljust(512 * -(-len(data) // 512), b"\0")


@pytest.mark.parametrize("processor", [84, 85, 86])
@pytest.mark.parametrize("real", [True, False])
def test_every_processor_and_integers(tmp_path, processor, real):
    (tmp_path / "a.c3d").write_bytes(by_hand(processor, real))
    poses = read(tmp_path / "a.c3d")
    assert (poses.fps, poses.skeleton.joints) == (50, tuple(LABELS))
    np.testing.assert_allclose(poses.clips[0][0], expected(), atol=1e-6 if real else 0.00026)


# -- damaged files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "byte", "message"),
    [(1, 0, "does not begin like a C3D"), (0, 200, "parameters begin at block 200"), (512 + 3, 9, "type is 9")],
)
def test_damaged_structure(tmp_path, at, byte, message):
    data = bytearray(by_hand(84, True))
    data[at] = byte
    (tmp_path / "a.c3d").write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.c3d.*damaged or not a C3D file.*{message}"):
        read(tmp_path / "a.c3d")


def test_a_file_that_ends_early(tmp_path):
    (tmp_path / "a.c3d").write_bytes(by_hand(84, True)[:-600])
    with pytest.raises(ValueError, match=r"states 5 frames but contains \d"):
        read(tmp_path / "a.c3d")
    (tmp_path / "a.c3d").write_bytes(b"no c3d at all")
    with pytest.raises(ValueError, match=r"a\.c3d.*damaged or not a C3D file"):
        read(tmp_path / "a.c3d")


def test_damaged_files_raise_only_documented_errors():
    sound = by_hand(84, True)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(1500):
        data = bytearray(sound[: rng.integers(1, len(sound))] if rng.random() < 0.2 else sound)
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(0, min(len(data), 1536))] = rng.integers(0, 256)
        try:
            _, points, _ = c3d._contents(bytes(data))
        except ValueError:
            refused += 1
        else:
            assert points.nbytes < 2**30
    assert 100 < refused < 1500


def test_a_c3d_is_read_without_its_library(tmp_path):
    (tmp_path / "a.c3d").write_bytes(by_hand(84, True))
    script = "import sys; sys.modules['ezc3d'] = None; import skelrep; print(skelrep.read(sys.argv[1]).clips[0].shape)"
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.c3d"], capture_output=True, text=True)
    assert done.stdout.strip() == "(1, 5, 13, 3)", done.stderr
