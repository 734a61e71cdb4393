"""The results of the tutorials in the documentation; that their lines run is a test of tests/test_docs.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from skelrep import read
from skelrep.libraries import duplicates
from skelrep.recordings import Event, Events, annotated, detect
from tests.tutorial_files import RATE, Drawn, exercises, write_exercises, write_gestures, write_motions


@pytest.fixture(scope="module")
def motion():
    spec = importlib.util.spec_from_file_location("motion", Path(__file__).parents[1] / "examples" / "motion.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_all_squats_of_the_video_are_counted_and_nothing_else(motion, tmp_path):
    pytest.importorskip("av")
    clip = exercises(motion)
    poses = read(write_exercises(tmp_path / "exercises.mp4", clip, motion), pose_model=Drawn(clip, motion))
    example = annotated(poses, Events.of([Event("exercises", 0.2, 2.4, "squat")]))
    found = detect(example, poses)
    height = clip[0, :, :, 1].max(axis=1) - clip[0, :, :, 1].min(axis=1)  # is least at the bottom of a squat
    low = np.diff((height < (height.max() + height.min()) / 2).astype(int), prepend=0, append=0)
    bottoms = (np.flatnonzero(low == 1) + np.flatnonzero(low == -1)) / 2 / RATE
    assert len(bottoms) == len(found) == 7
    assert ((found.start < bottoms) & (bottoms < found.end)).all()


@pytest.mark.slow
def test_the_copies_in_the_library_are_found_and_nothing_else(motion, tmp_path):
    write_motions(tmp_path, motion)
    found = duplicates(tmp_path)
    pairs = {frozenset(found.id[found.group == number].tolist()) for number in np.unique(found.group)}
    names = {("delivery/take-07", "wave/wave-s0-0"), ("delivery/take-08", "clap/clap-s1-13")}
    names |= {("old/squat-final-2", "squat/squat-s0-7"), ("old/jump-final", "jump/jump-s0-8")}
    assert pairs == set(map(frozenset, names))
    assert found.id[found.kind == "exact"].tolist() == ["wave/wave-s0-0"]


def test_gestures_are_five_clips_of_four_classes(motion, tmp_path):
    write_gestures(tmp_path, motion)
    clips = read(tmp_path / "gestures", labels="folder")
    assert np.unique(clips.labels, return_counts=True)[1].tolist() == [5] * 4
