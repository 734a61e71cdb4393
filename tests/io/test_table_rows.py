"""Rows of tables: time with gaps, persons, labels, recordings one after the other, and one row per joint."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from skelrep.io import read

JOINTS = ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip"]
REST = np.array([[0, 1.6, 0], [0.2, 1.4, 0], [-0.2, 1.4, 0], [0.1, 0.9, 0], [-0.1, 0.9, 0]])


def body(frame: float, where: float = 0.0) -> np.ndarray:
    """A person who sways, at `where` metres aside."""
    return REST + [where + 0.05 * np.sin(frame / 5), 0, 3 + 0.01 * frame]


def wide(rows, extra: list[str]) -> str:
    """A table of (values of `extra`, pose) in columns `nose_x` ..."""
    text = ",".join([*extra, *(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")]) + "\n"
    return text + "".join(",".join([*map(str, key), *(f"{x:.6f}" for x in pose.ravel())]) + "\n" for key, pose in rows)


def silent_read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(path, **options)


@pytest.mark.parametrize(
    ("column", "values", "fps"),
    [
        ("frame", lambda i: i, None),
        ("Frame#", lambda i: i + 1, None),
        ("frame_id", lambda i: 3 * i, None),
        ("image_name", lambda i: f"img_{i:06d}.png", None),
        ("time", lambda i: round(i / 30, 4), 30),
        ("timestamp", lambda i: 1_700_000_000 + i / 30, 30),
        ("timestamp_ms", lambda i: round(1000 * i / 30), 30),
        ("Time (Seconds)", lambda i: i / 30, 30),
        ("timestamp", lambda i: 1_700_000_000_000_000 + i * 33_333, 30),
        ("t", lambda i: f"00:00:{i / 25:06.3f}", 25),
        ("unnamed: 0", lambda i: i, None),
    ],
)
@pytest.mark.filterwarnings("ignore:.*columns are interpreted by their names")
def test_gaps_in_time_stay_gaps(tmp_path, column, values, fps):
    present = [*range(10), *range(15, 30)]
    (tmp_path / "a.csv").write_text(wide([((values(i),), body(i)) for i in present], [column]))
    poses = read(tmp_path / "a.csv")
    assert poses.clips[0].shape == (1, 30, 5, 3)
    assert poses.fps == (None if fps is None else pytest.approx(fps, rel=1e-3))
    assert np.isnan(poses.clips[0][0, 10:15]).all()
    np.testing.assert_allclose(poses.clips[0][0, present], [body(i) for i in present], atol=1e-5)


@pytest.mark.parametrize("person", ["person", "track_id", "trackId", "person_id", "Body ID", "id", "idx"])
@pytest.mark.parametrize("order", ["by frame", "by person"])
@pytest.mark.filterwarnings("ignore:.*columns are interpreted by their names")
def test_persons_by_id(tmp_path, person, order):
    rows = [((i, who), body(i, 2 * k)) for i in range(8) for k, who in enumerate(("7", "3")) if (i, k) != (0, 1)]
    if order == "by person":
        rows.sort(key=lambda row: (row[0][1] != "7", row[0][0]))
    (tmp_path / "a.csv").write_text(wide(rows, ["frame", person]))
    poses = read(tmp_path / "a.csv")
    assert poses.clips[0].shape == (2, 8, 5, 3) and poses.person_ids == [("7", "3")]
    assert np.isnan(poses.clips[0][1, 0]).all()
    np.testing.assert_allclose(poses.clips[0][0], [body(i) for i in range(8)], atol=1e-5)
    np.testing.assert_allclose(poses.clips[0][1, 1:], [body(i, 2) for i in range(1, 8)], atol=1e-5)


def test_persons_by_id_without_frames(tmp_path):
    rows = [((who,), body(i, 2 * k)) for i in range(8) for k, who in enumerate(("a", "b")) if k == 0 or i > 2]
    (tmp_path / "a.csv").write_text(wide(rows, ["person"]))
    poses = read(tmp_path / "a.csv")
    assert poses.clips[0].shape == (2, 8, 5, 3)
    np.testing.assert_allclose(poses.clips[0][1, 3:], [body(i, 2) for i in range(3, 8)], atol=1e-5)


def test_persons_without_ids_are_matched(tmp_path):
    rng = np.random.default_rng(0)
    rows = [((i,), body(i, where)) for i in range(10) for where in rng.permutation([0, 2])]
    (tmp_path / "a.csv").write_text(wide(rows, ["frame"]))
    with pytest.warns(UserWarning, match="no tracker ids: persons are matched"):
        poses = read(tmp_path / "a.csv")
    assert poses.clips[0].shape == (2, 10, 5, 3)
    first = rows[0][1][0, 0] < 1
    expected = np.stack([[body(i, where) for i in range(10)] for where in ([0, 2] if first else [2, 0])])
    np.testing.assert_allclose(poses.clips[0], expected, atol=1e-5)


def test_repeated_rows_are_one(tmp_path):
    rows = [((i,), body(i)) for i in (0, 1, 1, 2, 3, 4, 5)]
    (tmp_path / "a.csv").write_text(wide(rows, ["frame"]))
    with pytest.warns(UserWarning, match="1 rows repeat another one"):
        assert read(tmp_path / "a.csv").clips[0].shape == (1, 6, 5, 3)


def test_recordings_by_columns(tmp_path):
    rows = [((video, who, i), body(i)) for video in ("x.mp4", "y.mp4") for who in (1, 2) for i in range(3)]
    (tmp_path / "a.csv").write_text(wide(rows, ["video_name", "subject", "frame"]))
    poses = silent_read(tmp_path / "a.csv")
    assert poses.ids == ["x.mp4/1", "x.mp4/2", "y.mp4/1", "y.mp4/2"]
    assert poses.info["subject"].tolist() == [1, 2, 1, 2]


def test_recordings_one_after_the_other(tmp_path):
    rows = [((i,), body(i, where)) for where in (0, 1, 2) for i in range(10)]
    (tmp_path / "a.csv").write_text(wide(rows, ["frame"]))
    with pytest.warns(UserWarning, match="'frame' restarts within a recording; 1 recordings are split into 3"):
        poses = read(tmp_path / "a.csv")
    assert [clip.shape for clip in poses.clips] == [(1, 10, 5, 3)] * 3 and len(set(poses.ids)) == 3
    np.testing.assert_allclose(poses.clips[2][0], [body(i, 2) for i in range(10)], atol=1e-5)


def test_labels_that_change(tmp_path):
    rows = [(("sit" if i < 4 else "walk", i), body(i)) for i in range(9)]
    (tmp_path / "a.csv").write_text(wide(rows, ["class", "frame"]))
    with pytest.warns(UserWarning, match=r"'class' change within a recording; .* \(2 clips\)"):
        poses = read(tmp_path / "a.csv")
    assert poses.labels is not None and poses.labels.tolist() == ["sit", "walk"]
    assert [clip.shape[1] for clip in poses.clips] == [4, 5]


def test_labels_of_persons_are_not_labels_of_clips(tmp_path):
    rows = [((i, who, f"act{who}"), body(i, who)) for i in range(6) for who in range(2)]
    (tmp_path / "a.csv").write_text(wide(rows, ["frame", "person", "label"]))
    with pytest.warns(UserWarning, match="differ between rows of one frame and are left out"):
        assert read(tmp_path / "a.csv").labels is None


def test_ambiguous_columns_give_a_warning(tmp_path):
    rows = [((5, i), body(i)) for i in range(4)]
    (tmp_path / "a.csv").write_text(wide(rows, ["id", "frame"]))
    with pytest.warns(UserWarning, match="'id' for the person, 'frame' for the frame"):
        read(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(wide(rows, ["person_id", "frame"]))
    silent_read(tmp_path / "a.csv")


def test_units_in_names_are_metres(tmp_path):
    text = wide([((i,), 1000 * body(i)) for i in range(3)], ["frame"]).replace("_x,", "_x (mm),")
    (tmp_path / "a.csv").write_text(text)
    np.testing.assert_allclose(read(tmp_path / "a.csv").clips[0][0], [body(i) for i in range(3)], atol=1e-5)


def test_decimal_commas_missing_words_and_comments(tmp_path):
    rows = "# exported\n\nframe;nose_x;nose_y;hips_x;hips_y\n0;1,5;2;NA;4\n1;null;2;1e1;-4,25\n"
    (tmp_path / "a.csv").write_text(rows)
    clip = read(tmp_path / "a.csv").clips[0][0]
    np.testing.assert_array_equal(clip, [[[1.5, 2], [np.nan, 4]], [[np.nan, 2], [10, -4.25]]])


# -- one row per joint ------------------------------------------------------------------------------------------------


def long(rows, extra: list[str], joint: str = "joint", axes=("x", "y", "z")) -> str:
    text = ",".join([*extra, joint, *axes]) + "\n"
    for key, pose in rows:
        for name, point in zip(JOINTS, pose):
            text += ",".join([*map(str, key), name, *(f"{x:.6f}" for x in point)]) + "\n"
    return text


@pytest.mark.parametrize("joint", ["joint", "JointName", "landmark", "keypoint", "bodypart", "marker", "name"])
@pytest.mark.parametrize("axes", [("x", "y", "z"), ("X", "Y", "Z"), ("pos_x", "pos_y", "pos_z"), ("x_m", "y_m", "z_m")])
@pytest.mark.filterwarnings("ignore:.*columns are interpreted by their names")
def test_one_row_per_joint(tmp_path, joint, axes):
    rows = [((i,), body(i)) for i in (0, 1, 3)]
    (tmp_path / "a.csv").write_text(long(rows, ["frame"], joint, axes))
    poses = read(tmp_path / "a.csv")
    assert poses.skeleton.joints == tuple(JOINTS) and poses.clips[0].shape == (1, 4, 5, 3)
    np.testing.assert_allclose(poses.clips[0][0, [0, 1, 3]], [body(i) for i in (0, 1, 3)], atol=1e-5)


def test_one_row_per_joint_without_frames(tmp_path):
    text = long([(("7",), body(i)) for i in range(5)], ["SubjectID"])
    lines = text.splitlines(keepends=True)
    del lines[1 + 5 + 2]  # a joint that is missing in the second frame
    (tmp_path / "a.csv").write_text("".join(lines))
    poses = read(tmp_path / "a.csv")
    assert poses.clips[0].shape == (1, 5, 5, 3) and poses.info["subject"].tolist() == [7]
    expected = np.stack([body(i) for i in range(5)])
    expected[1, 2] = np.nan
    np.testing.assert_allclose(poses.clips[0][0], expected, atol=1e-5)


def test_one_row_per_joint_of_several_persons(tmp_path):
    rows = [((i, who), body(i, who)) for i in range(4) for who in (0, 2)]
    (tmp_path / "a.csv").write_text(long(rows, ["frame", "track_id"]))
    poses = silent_read(tmp_path / "a.csv")
    np.testing.assert_allclose(poses.clips[0][1], [body(i, 2) for i in range(4)], atol=1e-5)
    (tmp_path / "a.csv").write_text(long([((i,), pose) for (i, _), pose in rows], ["frame"]))
    with pytest.warns(UserWarning, match="persons are matched"):
        assert read(tmp_path / "a.csv").clips[0].shape == (2, 4, 5, 3)


def test_landmarks_by_number_beside_hands_and_a_face(tmp_path):
    """As in Google's sign language data: frame, type, landmark_index, x, y, z, in Parquet as well."""
    rng = np.random.default_rng(0)
    columns: dict[str, list] = {"frame": [], "row_id": [], "type": [], "landmark_index": [], "x": [], "y": [], "z": []}
    points = rng.uniform(0.2, 0.8, size=(3, 33, 3))
    for frame in range(3):
        for kind, count in (("face", 5), ("pose", 33), ("left_hand", 4)):
            for i in range(count):
                x, y, z = points[frame, i] if kind == "pose" else (np.nan,) * 3
                for key, value in zip(columns, (frame + 20, f"{frame + 20}-{kind}-{i}", kind, i, x, y, z)):
                    columns[key].append(value)
    text = ",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in zip(*columns.values()))
    (tmp_path / "a.csv").write_text(text)
    files = [tmp_path / "a.csv"]
    try:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
        files.append(tmp_path / "a.parquet")
    except ImportError:
        pass
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            poses = read(file)
        assert poses.skeleton.name == "mediapipe-33"
        np.testing.assert_allclose(poses.clips[0][0], points, atol=1e-6)


def test_a_table_of_points_that_names_no_joint(tmp_path):
    (tmp_path / "a.csv").write_text("frame,x,y,z\n0,1,2,3\n")
    with pytest.raises(ValueError, match="columns x and y but none that names the joint of a row"):
        read(tmp_path / "a.csv")
