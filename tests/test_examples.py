"""The examples run, and the generated people move like people."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import skelrep
from skelrep import SKELETONS, knn_eval
from skelrep.recordings import LiveSegments, fit
from tests import videos
from tests.example_checks import CHECKS, EXAMPLES, named
from tests.recordings.made_up import clips_of

WALK_THROUGHS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in ("motion", "webcam"))


@pytest.fixture(scope="module")
def motion():
    spec = importlib.util.spec_from_file_location("motion", EXAMPLES / "motion.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clips(motion):
    return motion.make_clips(120)


@pytest.fixture(scope="module")
def exact(motion):
    """Without the sensor's errors."""
    return motion.make_clips(120, noise=0)


def run(script, folder, *arguments, **variables):
    scratch = folder / "tmp"
    scratch.mkdir()
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",  # the encoder is bundled
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(scratch),
        "TMPDIR": str(scratch),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **variables,
    }
    command = [sys.executable, EXAMPLES / f"{script}.py", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def bones(clip, skeleton=SKELETONS["kinect-20"]):
    """(T, V) lengths."""
    return np.linalg.norm(clip[0] - clip[0][:, list(skeleton.parents)], axis=-1)


def joint(clip, name):
    """(T, 3)."""
    return clip[0][:, SKELETONS["kinect-20"].joints.index(name)]


@pytest.mark.slow
@pytest.mark.parametrize("script", WALK_THROUGHS)
def test_walk_through(script, tmp_path):
    pytest.importorskip("matplotlib")
    done = run(script, tmp_path, SKELREP_STEPS="3")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"], "leaves nothing where it was started"
    from matplotlib.image import imread

    for picture in named("drawn", done.stdout):
        pixels = imread(picture)
        assert min(pixels.shape[:2]) > 200
        assert pixels[..., :3].std() > 0.05, "something is drawn"
    CHECKS[script](done.stdout)


@pytest.mark.slow
def test_own_landmarks(motion, tmp_path):
    pytest.importorskip("matplotlib")
    squat = motion.make_clips(24, noise=0).select(labels="squat").clips[0]
    world, _ = motion.mediapipe_landmarks(squat, size=(640, 480))
    frames = [[{"x": x, "y": y, "z": z, "visibility": 0.9} for x, y, z in frame] for frame in world.tolist()]
    (tmp_path / "landmarks.json").write_text(json.dumps(frames))
    done = run("mediapipe_landmarks", tmp_path, "landmarks.json")
    assert done.returncode == 0, done.stderr
    assert "truth:" not in done.stdout
    assert re.findall(r"^ .* s: (\w+)", done.stdout, re.MULTILINE)[0] == "squat"


@pytest.mark.slow
def test_own_clips_without_labels(motion, tmp_path):
    pytest.importorskip("matplotlib")
    clips = motion.make_clips(24)
    skelrep.Poses(clips.clips, clips.skeleton, fps=clips.fps).save(tmp_path / "own.npz")
    done = run("clustering_and_map", tmp_path, "own.npz")
    assert done.returncode == 0, done.stderr
    assert "Rand" not in done.stdout
    counts = re.findall(r"^cluster +\d+: (\d+) clips$", done.stdout, re.MULTILINE)
    assert sum(map(int, counts)) == 24


def test_landmarks_are_those_of_a_body(motion, exact):
    clip = exact.select(labels="walk").clips[0]
    world, picture = motion.mediapipe_landmarks(clip, size=(1280, 720))
    names = SKELETONS["mediapipe-33"].joints
    at = {name: world[:, i] for i, name in enumerate(names)}
    np.testing.assert_allclose(at["left_hip"] + at["right_hip"], 0, atol=1e-6)
    assert (at["nose"][:, 1] < at["left_toe"][:, 1]).all(), "y counts downwards"
    assert (at["nose"][:, 2] < at["left_ear"][:, 2]).all(), "who faces the camera has the nose nearer"
    for part in ("eye", "ear", "mouth"):
        gap = np.linalg.norm(at[f"left_{part}"] - at[f"right_{part}"], axis=1)
        assert np.ptp(gap) < 1e-5
        assert 0.03 < gap[0] < 0.2
    assert picture[..., :2].min() > -0.1
    assert picture[..., :2].max() < 1.1
    x = {name: picture[:, i, 0] for i, name in enumerate(names)}
    assert (x["left_hip"] > x["right_hip"]).mean() > 0.9, "the left of who faces the camera is to the picture's right"


@pytest.mark.parametrize("script", WALK_THROUGHS)
def test_walk_throughs_are_notebooks_in_percent_format(script):
    cells = re.split(r"^# %%", (EXAMPLES / f"{script}.py").read_text(), flags=re.M)
    assert cells[0] == "", "nothing stands before the first cell"
    assert cells[1].startswith(" [markdown]\n# # "), "the first cell is the title"
    for cell in cells:
        if cell.startswith(" [markdown]\n"):
            assert all(line.startswith("#") for line in cell.strip().splitlines()[1:])


def test_motion_writes_what_skelrep_reads(motion, tmp_path):
    done = run("motion", tmp_path, "clips.npz", "--clips", "24", "--seed", "5", "--skeleton", "ntu-25")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("clips.npz: Poses(24 clips, ")
    read, made = skelrep.read(tmp_path / "clips.npz"), motion.make_clips(24, seed=5, skeleton="ntu-25")
    assert read.skeleton == made.skeleton == SKELETONS["ntu-25"]
    assert (read.ids, read.labels.tolist(), read.fps) == (made.ids, made.labels.tolist(), 30)
    assert read.info.keys() == {"subject", "train", "test"}
    assert read.select(split="train").ids == made.select(split="train").ids
    for one, other in zip(read.clips, made.clips, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--clips", "5"], "at least 24"), (["--skeleton", "kinect"], "did you mean 'kinect-20'")],
)
def test_errors_of_motion_are_one_sentence(arguments, message, tmp_path):
    done = run("motion", tmp_path, "clips.npz", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "clips.npz").exists()


# -- the made-up people -----------------------------------------------------------------------------------------------


def test_motion_is_deterministic(motion, clips):
    for one, other in zip(clips.clips, motion.make_clips(120).clips, strict=True):
        np.testing.assert_array_equal(one, other)
    fewer, others = motion.make_clips(24), motion.make_clips(24, seed=1)
    assert fewer.ids == clips.ids[:24], "a longer set begins with the shorter one"
    np.testing.assert_array_equal(fewer.clips[-1], clips.clips[23])
    assert any(one.shape != other.shape for one, other in zip(fewer.clips, others.clips))


def test_labels_and_splits(clips):
    labels, counts = np.unique(clips.labels, return_counts=True)
    assert len(labels) >= 8
    assert set(counts) == {120 // len(labels)}
    train, test = clips.select(split="train"), clips.select(split="test")
    assert len(train) + len(test) == len(clips)
    assert set(train.labels) == set(test.labels) == set(labels)
    assert not set(train.info["subject"]) & set(test.info["subject"])


@pytest.mark.parametrize("skeleton", ["kinect-20", "ntu-25", "common-15", "coco-17"])
def test_skeletons(motion, skeleton):
    clips = motion.make_clips(24, skeleton=skeleton)
    assert clips.skeleton == SKELETONS[skeleton]
    assert clips.fps == 30
    for clip in clips.clips:
        assert clip.shape[0] == 1
        assert 1.0 < clip.shape[1] / clips.fps < 7.0
        assert clip.shape[2:] == (len(SKELETONS[skeleton]), 3)


def test_bodies_keep_their_size(exact, clips):
    sizes = {}
    for clip, subject in zip(exact.clips, exact.info["subject"]):
        lengths = bones(clip)
        assert lengths.std(axis=0).max() < 1e-5
        sizes.setdefault(subject, []).append(lengths.mean(axis=0))
    for subject, lengths in sizes.items():  # left-handers are mirrored, and people have two equal sides
        assert np.ptp(lengths, axis=0).max() < 1e-5, subject
    assert np.std([lengths[0].sum() for lengths in sizes.values()]) > 0.05, "people differ"
    for clip in clips.clips:  # the sensor errs by a centimetre, slowly by two
        assert np.nanmedian(np.abs(bones(clip) - np.nanmedian(bones(clip), axis=0))) < 0.04


def test_bodies_are_as_tall_as_adults(exact):
    for clip in exact.select(labels="wave").clips:
        feet = np.minimum(joint(clip, "left_foot")[:, 1], joint(clip, "right_foot")[:, 1])
        eyes = (joint(clip, "head")[:, 1] - feet).max()
        assert 1.4 < eyes / 0.936 < 2.0  # eye level as a fraction of height, after Drillis and Contini


def test_bodies_are_not_mirrored(exact):
    """Left is left of where one looks, and knees bend that way."""
    for clip, label in zip(exact.clips, exact.labels):
        left = joint(clip, "left_hip") - joint(clip, "right_hip")
        ahead = np.cross(left, [0.0, 1.0, 0.0])
        assert (ahead[:, 2] < 0).all(), "people face the sensor, which looks along +z"
        if label == "squat":
            knee = joint(clip, "left_knee") - (joint(clip, "left_hip") + joint(clip, "left_ankle")) / 2
            assert (knee * ahead).sum(axis=1).max() > 0.02


def test_standing_feet_do_not_slide(exact):
    for label, most in {"clap": 0.1, "drink": 0.1, "bow": 0.25, "squat": 0.25}.items():
        for clip in exact.select(labels=label).clips:
            assert np.ptp(joint(clip, "left_foot"), axis=0).max() < most
    for clip in exact.select(labels="walk").clips:
        feet = np.stack([joint(clip, "left_foot"), joint(clip, "right_foot")])
        speed = np.linalg.norm(np.diff(feet, axis=1), axis=-1) * 30  # metres a second
        assert 3 * np.median(speed.min(axis=0)) < np.median(speed.max(axis=0)), "one foot stands while the other swings"


def test_only_the_sensor_loses_joints(exact, clips):
    assert not any(np.isnan(clip).any() for clip in exact.clips)
    lossy = [np.isnan(clip).any() for clip in clips.clips]
    assert 0.1 < np.mean(lossy) < 0.6
    assert all((~np.isnan(clip)).any(axis=1).all() for clip in clips.clips), "but never for a whole clip"


def test_actions_are_neither_trivial_nor_impossible(clips):
    rows = []
    for clip in clips.clips:
        frames = np.linspace(0, clip.shape[1] - 1, 32).round().astype(int)
        rows.append(np.nan_to_num(clip[0, frames] - clip[0, frames, :1]).ravel())
    rows, train, test = np.stack(rows), clips.info["train"], clips.info["test"]
    accuracy = knn_eval(rows[train], clips.labels[train], rows[test], clips.labels[test], k=1).accuracy[1]
    assert 0.4 < accuracy < 0.9


def test_recording_returns_the_times_of_its_actions(motion):
    actions = ["walk", "wave", "walk"]
    recording, spans = motion.make_recording(actions, seed=3)
    times = np.array(spans)
    assert len(recording) == 1
    assert times.shape == (len(actions), 2)
    assert (np.diff(times.ravel()) > 0).all()
    assert times[-1, 1] < recording.clips[0].shape[1] / recording.fps


@pytest.fixture
def webcam():
    pytest.importorskip("av")
    spec = importlib.util.spec_from_file_location("webcam", EXAMPLES / "webcam.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("known", [True, False])
def test_a_video_in_place_of_the_camera(webcam, tiny_encoder, tmp_path, capsys, known):
    classifier = fit(clips_of(("squat", "kick"), 3), tiny_encoder)
    # The drawn person is like none of the clips; with this threshold everything is known.
    classifier.head_ = replace(classifier.head_, threshold=-1.0 if known else 1.0)
    pictures = [videos.picture(*[(40 + i, 60)] * (not 50 <= i < 55)) for i in range(75)]  # briefly nobody
    video = videos.write_video(tmp_path / "session.mp4", pictures)
    live = LiveSegments(classifier, fps=30.0, skeleton="coco-17", window=1.0, stride=0.25)
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        found = list(webcam.watch(live, str(video), videos.Squares(deep=True), webcam.status_line()))
        expected = classifier.segments(skelrep.read(video, pose_model=videos.Squares(deep=True)), 1.0, 0.25)
    assert [(event.start, event.end, event.label) for event in found] == list(
        zip(expected.start, expected.end, expected.label)
    )
    assert bool(found) == known
    assert any("unlike the training clips" in str(each.message) for each in remarks) != known
    said = capsys.readouterr().err.splitlines()
    assert "after 1 s" in said[0] and "nobody" in "".join(said)
    assert ("squat" in said[1] or "kick" in said[1]) and ("?" in said[1]) != known
