"""Identity over time: ids of trackers in any spelling, ids that change persons, and matching from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep import tracking
from skelrep.io.key_names import tracker_id
from skelrep.memory_budget import counted
from skelrep.tracking import identify, plain_id

BODY = np.random.default_rng(5).normal(size=(17, 2)) * 30  # pixels; about 150 long


class Scene:
    """Persons who walk side by side, listed in another order in each frame; what the truth is, and what is given."""

    def __init__(self, frames=40, persons=3, apart=200.0, speed=2.0, seed=0, absent=()):
        rng = np.random.default_rng(seed)
        self.truth, self.poses = [], []
        for t in range(frames):
            order = [int(p) for p in rng.permutation(persons) if (t, int(p)) not in absent]
            self.truth.append(order)
            noise = rng.normal(size=(persons, 17, 2))
            self.poses.append([BODY + [apart * p + speed * t, 0] + noise[p] for p in order])

    def ids(self, name):
        """Ids by a function of frame, person and position in the list."""
        return [[name(t, p, i) for i, p in enumerate(order)] for t, order in enumerate(self.truth)]

    def kept_apart(self, tracks) -> bool:
        """Whether each person is one track, and each track one person."""
        assert all(len(set(frame)) == len(frame) for frame in tracks.persons)
        pairs = {(p, k) for order, frame in zip(self.truth, tracks.persons) for p, k in zip(order, frame)}
        people = {p for order in self.truth for p in order}
        return len(pairs) == len(people) == len(tracks.ids)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 1.0, "1", "1.0", " 1 ", [1], [1.0], [["1"]], np.float32(1), np.int64(1), np.array([1.0])], "1"),
        ([0, 0.0, [0.0], "0"], "0"),
        ([1234567890123456789, "1234567890123456789"], "1234567890123456789"),
        (["left player", ["left player"]], "left player"),
        (["007"], "7"),
        ([None, -1, -1.0, "-1", [-1], [], "", " ", "none", float("nan"), [None], True, {}, [1, 2]], None),
    ],
)
def test_spellings_of_ids(values, text):
    assert [plain_id(value) for value in values] == [text] * len(values)


def test_the_more_specific_key_has_the_id():
    assert tracker_id({"id": 7, "bbox_id": 3, "track_id": 2}) == "2"
    assert tracker_id({"track_id": None, "idx": [4.0]}) == "4"
    assert tracker_id({"person_id": [-1], "score": 1}) is None


@pytest.mark.parametrize(
    "spell", [int, float, str, lambda p: [p], lambda p: [float(p)], lambda p: f"{p}.0", "abc".__getitem__]
)
def test_consistent_ids_are_kept(spell):
    scene = Scene()
    tracks = identify(scene.ids(lambda t, p, i: spell(p)), scene.poses)
    assert scene.kept_apart(tracks) and tracks.note is None
    assert tracks.ids == [plain_id(spell(p)) for p in scene.truth[0]]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (lambda t, p, i: None, "no tracker ids"),
        (lambda t, p, i: [-1], "no tracker ids"),
        (lambda t, p, i: 0, "'0' occurs more than once in a frame"),
        (lambda t, p, i: 10 * t + i, "every id occurs in one frame only"),
        (lambda t, p, i: i, "'0', '1', '2' jump from one person to another"),
        (lambda t, p, i: (p + (t > 20)) % 3, "jump from one person to another"),
        (lambda t, p, i: p if t % 5 else None, "24 of 120 detections have no tracker id"),
        (lambda t, p, i: p if p else None, "40 of 120 detections have no tracker id"),
        (lambda t, p, i: 1 if t == 7 else p, "'1' occurs more than once in a frame"),
    ],
)
@pytest.mark.parametrize("apart", [60.0, 200.0])
def test_where_ids_are_missing_or_broken_persons_are_matched(name, reason, apart):
    scene = Scene(apart=apart)
    tracks = identify(scene.ids(name), scene.poses)
    assert scene.kept_apart(tracks)
    assert tracks.note is not None and reason in tracks.note and "matched" in tracks.note


def test_partly_consistent_ids_name_the_matched_persons():
    scene = Scene()
    tracks = identify(scene.ids(lambda t, p, i: None if p == 1 else f"p{p}"), scene.poses)
    assert sorted(tracks.ids) == ["p0", "p2", "untracked-0"]
    swapped = identify(scene.ids(lambda t, p, i: "abc"[{0: 1, 1: 0}.get(p, p) if t == 30 else p]), scene.poses)
    assert scene.kept_apart(swapped) and sorted(swapped.ids) == ["a", "b", "c"]


def test_an_absent_person_comes_back():
    away = {(t, 1) for t in range(10, 25)}
    scene = Scene(absent=away)
    assert scene.kept_apart(identify(scene.ids(lambda t, p, i: None), scene.poses))
    # A swap while one is absent, and an id that reappears on the other side of the room.
    far = Scene(absent=away)
    for t in range(25, 40):
        far.poses[t] = [pose + [0, 2000] if p == 1 else pose for p, pose in zip(far.truth[t], far.poses[t])]
    assert far.kept_apart(identify(far.ids(lambda t, p, i: p), far.poses))
    swapping = far.ids(lambda t, p, i: {0: 2, 2: 0}.get(p, p) if t in (5, 6) else p)
    assert far.kept_apart(identify(swapping, far.poses))
    assert len(identify(far.ids(lambda t, p, i: None), far.poses).ids) == 4  # a person cannot walk 2000 pixels unseen


def test_people_who_cross():
    poses = [[BODY + [8 * t, 0], BODY[:, ::-1] + [320 - 8 * t, 0]] for t in range(41)]
    order = [frame if t % 2 else frame[::-1] for t, frame in enumerate(poses)]
    tracks = identify([[None, None]] * 41, order)
    first = [frame[0] if t % 2 else frame[1] for t, frame in enumerate(tracks.persons)]
    assert set(first) == {first[0]} and len(tracks.ids) == 2


def test_one_person_at_a_time_is_one_person():
    jumps = [[BODY + [0, 0]], [], [BODY + [5000, 0]]]
    for ids in ([[None], [], [None]], [["a-0"], [], ["a-2"]]):
        tracks = identify(ids, jumps)
        assert (tracks.persons, tracks.ids, tracks.note) == ([[0], [], [0]], ["0"], None)
    assert identify([[4], [], [7]], jumps + []).persons == [[0], [], [0]]  # each id once: numbers of detections
    assert identify([[4], [4], [7], [7]], [[BODY]] * 4).ids == ["4", "7"]


def test_a_single_frame_needs_no_matching():
    tracks = identify([[], [3, 3, None]], [[], [BODY, BODY + 500, BODY + 900]])
    assert tracks.persons == [[], [0, 1, 2]] and tracks.note is None
    assert identify([], []).ids == []


def test_a_fast_move_is_not_a_jump():
    """An id that moves far to a position where nobody was before."""
    poses = [[BODY + [60 * t, 0], BODY + [0, 900]] for t in range(10)]
    assert identify([["a", "b"]] * 10, poses).note is None


def test_a_moving_queue_keeps_its_ids():
    """Every person moves part of the distance to the previous position of the next one."""
    poses = [[BODY + [80 * p + 30 * t, 0] for p in range(3)] for t in range(12)]
    assert identify([["a", "b", "c"]] * 12, poses).note is None


def test_parts_of_bodies_are_matched():
    scene = Scene(persons=2, apart=120)
    rng = np.random.default_rng(1)
    for frame in scene.poses:
        for pose in frame:
            pose[rng.random(17) < 0.5] = np.nan
    assert scene.kept_apart(identify(scene.ids(lambda t, p, i: None), scene.poses))


def test_time_between_frames_counts():
    """After a gap in the recording, a person may have moved further."""
    poses = [[BODY, BODY + 400], [BODY + [200, 0], BODY + 400]]
    assert len(identify([[None] * 2] * 2, poses).ids) == 3
    assert len(identify([[None] * 2] * 2, poses, at=[0, 10]).ids) == 2


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.sampled_from([None, 0, 1, "x"]), max_size=3), max_size=6), st.integers(0, 99))
def test_no_person_has_two_detections_in_a_frame(ids, seed):
    rng = np.random.default_rng(seed)
    poses = [[np.where(rng.random((5, 1)) < 0.3, np.nan, rng.normal(size=(5, 3))) for _ in frame] for frame in ids]
    tracks = identify(ids, poses)
    assert [len(frame) for frame in tracks.persons] == [len(frame) for frame in ids]
    assert all(len(set(frame)) == len(frame) for frame in tracks.persons)
    used = {k for frame in tracks.persons for k in frame}
    assert used == set(range(len(tracks.ids))) and len(set(tracks.ids)) == len(tracks.ids)


def test_ids_and_poses_have_to_match():
    with pytest.raises(ValueError, match="one id"):
        identify([[1]], [[]])


@pytest.mark.parametrize("seed", range(6))
def test_crossing_with_missed_and_false_detections(seed):
    """Two people who cross; each is missed in a tenth of the frames, joints are missing, and something else is seen."""
    rng = np.random.default_rng(seed)
    poses, truth = [], []
    for t in range(200):
        frame: list[tuple[int, np.ndarray]] = []
        for person, position in enumerate(([300 + 2.5 * t, 0], [800 - 2.5 * t, 15])):
            body = BODY + position + rng.normal(size=(17, 2)) * 3
            body[5:11] += 20 * np.sin(t / 8 + 2 * person)
            body[rng.random(17) < 0.15] = np.nan
            if rng.random() > 0.1:
                frame.append((person, body))
        if rng.random() < 0.1:
            frame.append((9, BODY * 0.3 + rng.uniform(0, 1500, 2)))
        frame = [frame[i] for i in rng.permutation(len(frame))]
        truth.append([person for person, _ in frame])
        poses.append([body for _, body in frame])
    tracks = identify([[None] * len(frame) for frame in poses], poses)
    pairs = [(p, k) for people, found in zip(truth, tracks.persons) for p, k in zip(people, found)]
    for person in (0, 1):
        own = [k for p, k in pairs if p == person]
        most = max(set(own), key=own.count)
        assert own.count(most) > 0.95 * len(own) and pairs.count((1 - person, most)) == 0


def test_a_crowd_is_compared_in_blocks_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 5000, size=(30, 1, 2)) + rng.normal(0, 40, size=(30, 17, 2))
    frames = [first[rng.permutation(30)] + t for t in range(4)]
    whole = identify([[None] * 30 for _ in frames], frames)
    monkeypatch.setattr(tracking, "_BLOCK", 1)
    assert identify([[None] * 30 for _ in frames], frames) == whole


def test_a_crowd_that_would_fill_the_memory_is_refused():
    def parts():
        yield identify([[None] * 2000] * 2, [np.zeros((2000, 2, 2)) + np.arange(2000)[:, None, None]] * 2)

    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        list(counted(parts(), 10**5))
