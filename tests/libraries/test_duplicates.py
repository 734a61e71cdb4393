"""Groups of duplicates: exact copies, the rules of a group, the false rate and generated copies."""

from __future__ import annotations

import csv
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelrep import Poses
from skelrep.io.embeddings import Embeddings
from skelrep.io.embeddings import save as save_embeddings
from skelrep.libraries import Duplicates, Library, duplicates
from skelrep.libraries.background import Background
from skelrep.libraries.copies import mirrored, noisy, resampled, trimmed, trimmed_by_a_quarter
from tests.recordings.made_up import clips_of


@pytest.fixture
def poses() -> Poses:
    return clips_of(("squat", "kick", "wave"), 4)


@pytest.fixture(scope="module")
def motion_clips() -> Poses:
    spec = importlib.util.spec_from_file_location("motion", Path(__file__).parents[2] / "examples" / "motion.py")
    motion = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(motion)
    return motion.make_clips(48)


def _copied(poses: Poses, *clips: tuple[int, np.ndarray]) -> Poses:
    """The clips, and copies (of a clip, as an array) behind them."""
    copies = [replace(poses[i], clips=[clip], ids=[f"copy {n} of {poses.ids[i]}"]) for n, (i, clip) in enumerate(clips)]
    return Poses.concatenate([poses, *copies])


def _groups(found: Duplicates) -> dict[str, list[tuple[str, str]]]:
    """For each kept clip its duplicates, with their kind."""
    kept = dict(zip(found.group[found.keep].tolist(), found.id[found.keep].tolist()))
    groups: dict[str, list[tuple[str, str]]] = {name: [] for name in kept.values()}
    for number, name, kind in zip(found.group[~found.keep], found.id[~found.keep], found.kind[~found.keep]):
        groups[kept[number]].append((str(name), str(kind)))
    return groups


def test_exact_copies_are_found_at_any_threshold(poses, tiny_encoder):
    gap = poses.clips[5].copy()
    gap[0, 3, 4] = np.nan
    library = _copied(poses, (2, poses.clips[2]), (7, poses.clips[7]), (2, poses.clips[2].copy()), (5, gap))
    found = duplicates(library, tiny_encoder, threshold=1.0)
    expected = {"2": [("copy 0 of 2", "exact"), ("copy 2 of 2", "exact")], "7": [("copy 1 of 7", "exact")]}
    expected["5"] = [("copy 3 of 5", "near")]  # the gap is interpolated
    assert _groups(found) == expected
    assert found.group.tolist() == [1, 1, 1, 2, 2, 3, 3] and found.cosine.tolist() == [1.0] * 7
    assert library[found.kept_rows].ids == poses.ids


def test_exact_copies_are_named_so_in_any_group(poses, tiny_encoder):
    """Whatever is close to what: with a threshold of -1 all clips are one group."""
    library = _copied(poses, (2, poses.clips[2]), (7, poses.clips[7]))
    found = duplicates(library, tiny_encoder, threshold=-1)
    kinds = dict(zip(found.id.tolist(), found.kind.tolist()))
    assert kinds["copy 0 of 2"] == kinds["copy 1 of 7"] == "exact"
    assert sorted(kinds.values()) == ["exact"] * 2 + ["kept"] + ["near"] * 11
    at = {name: row for row, name in enumerate(found.id.tolist())}
    assert at["2"] < at["copy 0 of 2"] and at["7"] < at["copy 1 of 7"]


def test_a_copy_on_a_skeleton_of_other_joints_is_not_exact(poses, tiny_encoder):
    joints = tuple(reversed(poses.skeleton.joints))
    other = Poses(poses.clips[:1], joints, ids=["other"], fps=poses.fps)
    library = Library.of_parts([poses, other], tiny_encoder)
    assert len(np.unique(library.content)) == len(poses) + 1


@pytest.mark.parametrize("threshold", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("seed", range(3))
def test_removed_clips_are_close_to_a_kept_one_and_kept_ones_are_apart(threshold, seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, 9))
    rows = points[rng.integers(40, size=300)] + rng.uniform(0, 0.6, (300, 1)) * rng.normal(size=(300, 9))
    rows = np.concatenate([rows, rows[:20]])[rng.permutation(320)].astype(np.float32)
    found = duplicates(rows, threshold=threshold)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    kept = found.kept_rows
    apart = cosines[np.ix_(kept, kept)] - np.eye(len(kept))
    assert apart.max() < threshold + 1e-6
    keeper = {number: row for number, row, keep in zip(found.group, found.rows, found.keep) if keep}
    for number, row, keep, cosine, kind in zip(found.group, found.rows, found.keep, found.cosine, found.kind):
        assert cosines[row, keeper[number]] == pytest.approx(cosine, abs=1e-5) and cosine >= threshold
        assert (kind == "kept") == keep == (row == keeper[number])
        earlier = [
            other
            for other in found.rows[found.group == number]
            if list(found.rows).index(other) < list(found.rows).index(row)
        ]
        same = [other for other in earlier if np.array_equal(rows[other], rows[row])]
        assert bool(same) == (kind == "exact") or cosines[row, keeper[number]] > 1 - 1e-5
    sizes = np.bincount(found.group)[1:]
    assert sizes.min() >= 2 and (np.diff(sizes) <= 0).all()
    assert len(np.unique(found.rows)) == len(found) and len(kept) + (~found.keep).sum() == 320
    assert sum(found.kind == "exact") >= 20


def test_the_clip_with_most_joints_is_kept(poses, tiny_encoder):
    short, gap = poses.clips[3][:, 2:], poses.clips[3].copy()
    gap[0, ::4, 2] = np.nan
    library = _copied(poses[3:4], (0, short), (0, gap))[::-1]
    found = duplicates(library, tiny_encoder, threshold=0.9)
    assert found.id.tolist()[0] == "3" and len(found) == 3 and found.keep.tolist() == [True, False, False]


def test_trimmed_noisy_and_resampled_copies_are_near(motion_clips):
    """With the bundled encoder, of different movements."""
    rng = np.random.default_rng(3)
    kinds = [trimmed, noisy, resampled] * 8
    library = _copied(motion_clips, *((i, kind(motion_clips.clips[i], rng)) for i, kind in enumerate(kinds)))
    found = duplicates(library)
    group = dict(zip(found.id.tolist(), found.group.tolist()))
    originals = [motion_clips.ids[i] for i in range(24)]
    same = np.array([group.get(f"copy {i} of {name}", -1) == group.get(name) for i, name in enumerate(originals)])
    assert same[0::3].mean() >= 0.7 and same[1::3].all() and same[2::3].all()
    removed = set(found.id[~found.keep].tolist())
    assert len(removed & set(motion_clips.ids) - set(originals)) <= 1
    rates = found.protocol["found"]
    assert set(rates) == {"trimmed", "noisy", "resampled", "trimmed by a quarter"} and found.protocol["adapted"]
    assert min(rates[kind] for kind in ("trimmed", "noisy", "resampled")) > 0.9
    assert 0 < found.protocol["clip_rate"] < 0.1
    assert found.protocol["near_rate"] == (found.kind == "near").sum() / len(library)


def test_copies_without_many_frames_are_an_option(motion_clips):
    rng = np.random.default_rng(4)
    parts = [(i, trimmed_by_a_quarter(motion_clips.clips[i], rng)) for i in range(12)]
    library = _copied(motion_clips, *parts)
    shares = []
    for option in (False, True):
        found = duplicates(library, trimmed=option)
        group = dict(zip(found.id.tolist(), found.group.tolist()))
        pairs = [(f"copy {n} of {motion_clips.ids[i]}", motion_clips.ids[i]) for n, (i, _) in enumerate(parts)]
        shares.append(np.mean([group.get(one, -1) == group.get(other) for one, other in pairs]))
        rate = found.protocol["found"]["trimmed by a quarter"]
        assert (rate > 0.7) == option == ("trimmed" in found.kind)
        assert ("--trimmed" in str(found)) != option and "15 %" in str(found)
    assert shares[0] < 0.5 < 0.8 < shares[1]
    assert len(set(found.id[~found.keep].tolist()) & set(motion_clips.ids[12:])) <= 2


def test_mirror_images_are_an_option(motion_clips):
    left = motion_clips[2]
    right = replace(mirrored(left), ids=["right"])
    library = Poses.concatenate([motion_clips, right])
    assert "right" not in duplicates(library, threshold=0.999).id
    found = duplicates(library, threshold=0.999, mirrors=True)
    assert found.kind[found.id == "right"].tolist() == ["mirrored"] and left.ids[0] in found.id[found.keep]
    assert found.protocol["mirrored"] and not found.protocol["adapted"]


def test_false_rate_of_points_on_a_sphere():
    """Uniform directions in five dimensions: cosines of pairs have a known distribution."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 5)).astype(np.float32)
    background = Background.of(rows)
    assert background is not None and background.dimension == pytest.approx(4, abs=0.4)
    unit = rows[:2000] / np.linalg.norm(rows[:2000], axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(2000, 1)]
    for rate in (1e-3, 1e-4):
        threshold = background.threshold(rate)
        assert background.rate(threshold) == pytest.approx(rate, rel=1e-3)
        assert (cosines >= threshold).mean() == pytest.approx(rate, rel=0.35)


def test_duplicates_do_not_hide_the_background():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 6)).astype(np.float32)
    clean = duplicates(rows, false_rate=0.02)
    copies = rows[:900] + 0.002 * rng.normal(size=(900, 6)).astype(np.float32)
    found = duplicates(np.concatenate([rows, copies]), false_rate=0.02)
    assert found.protocol["clip_rate"] == pytest.approx(0.02, rel=1e-3)
    assert found.protocol["threshold"] == pytest.approx(clean.protocol["threshold"], abs=2e-3)
    together = found.group[found.rows >= 3000]
    assert len(together) == 900
    assert len(clean) / 2 / 3000 == pytest.approx(0.02, abs=0.015)


def test_stored_embeddings_equal_poses(poses, tiny_encoder, tmp_path):
    library = _copied(poses, (2, poses.clips[2]), (7, poses.clips[7]))
    of_poses = duplicates(library, tiny_encoder, threshold=0.999999)
    rows = tiny_encoder.embed(library)
    rows[-1] *= 3  # the length does not count, as rounding does not
    save_embeddings(Embeddings(rows, np.array(library.ids), model="some"), tmp_path / "rows.npz")
    of_rows = duplicates(tmp_path / "rows.npz", threshold=0.999999)
    assert of_rows.protocol["model"] == "some" and of_rows.protocol["found"] == {}
    assert of_rows.kind.tolist() == ["kept", "exact"] * 2
    assert _groups(of_rows) == _groups(of_poses)


def test_what_is_written(poses, tiny_encoder, tmp_path):
    found = duplicates(_copied(poses, (2, poses.clips[2])), tiny_encoder, threshold=1.0)
    found.save(tmp_path / "groups.csv")
    with (tmp_path / "groups.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["id"], row["kind"], row["keep"]) for row in rows] == [
        ("1", "2", "kept", "True"),
        ("1", "copy 0 of 2", "exact", "False"),
    ]
    found.save(tmp_path / "groups.json")
    assert json.loads((tmp_path / "groups.json").read_text())[1] == {
        "group": 1,
        "id": "copy 0 of 2",
        "cosine": 1.0,
        "kind": "exact",
        "keep": False,
    }
    assert json.loads(json.dumps(found.to_dict()))["protocol"]["n_groups"] == 1
    assert "1 groups with 1 duplicates" in str(found)


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"false_rate": 0}, "false_rate=0"),
        ({"mirrors": True}, "poses"),
    ],
)
def test_wrong_options_are_refused(options, facts):
    with pytest.raises(ValueError, match=facts):
        duplicates(np.random.default_rng(0).normal(size=(50, 4)), **options)
