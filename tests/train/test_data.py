"""Corpora: what is loaded, how views are cut and normalised, and in which order clips come."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from skelrep.alignment import map_joints, normalise
from skelrep.encoder import EncoderConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess import prepare
from skelrep.preprocess_config import CMD_LINE, ROBUST
from skelrep.skeletons import custom, mapping
from skelrep.train import data
from skelrep.train.augment import PARTS, AugmentConfig
from skelrep.train.data import Corpus, between, sighted
from tests.corpus_data import COMMON, NTU, corpus_of, pairs, recordings

SMALL = EncoderConfig()
PAPER = EncoderConfig(skeleton=NTU, preprocess=CMD_LINE, backbone=RecurrentConfig(4, 1), fusion="mean")
ALONE = dataclasses.replace(CMD_LINE, per_person=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    corpus_of(recordings(), folder / "one", licence="CC0")
    corpus_of(pairs(), folder / "two")
    return folder


@pytest.fixture
def cuts(monkeypatch):
    """First rows and lengths of all stretches that views were made of, one view after the other."""
    seen, resample = [], data.resample

    def spy(rows, starts, lengths, frames):
        seen.extend(zip(*([half.tolist() for half in part.chunk(2)] for part in (starts, lengths))))
        return resample(rows, starts, lengths, frames)

    monkeypatch.setattr(data, "resample", spy)
    return seen


# -- loading ----------------------------------------------------------------------------------------------------------


def test_a_corpus_of_single_persons(folders):
    corpus = Corpus.load(folders / "one", SMALL)
    poses = recordings()
    assert len(corpus) == 6
    assert corpus.lengths.tolist() == [clip.shape[1] for clip in poses.clips]
    np.testing.assert_allclose(corpus.seconds, corpus.lengths / 30)
    assert corpus.starts.shape == (6, 1)
    for start, clip in zip(corpus.starts[:, 0].tolist(), poses.clips):
        np.testing.assert_array_equal(corpus.rows[start : start + clip.shape[1]], clip[0])
    assert torch.equal(corpus.matrix, torch.eye(15))
    assert corpus.about["licence"] == "CC0" and corpus.about["sources"][0]["name"].endswith("memory")


def test_single_persons_need_every_joint(folders):
    """Three clips show one person, of whom a hand is hidden; three show two."""
    assert not mapping(NTU, COMMON)[:, 7].any()
    everybody = Corpus.load(folders / "two", SMALL)  # which needs no hands
    assert len(everybody) == 9
    assert everybody.starts.shape == (9, 1)
    whole = Corpus.load(folders / "two", dataclasses.replace(SMALL, skeleton=NTU, preprocess=ALONE))
    assert whole.lengths.tolist() == [85, 85, 80, 80, 90, 90]


def test_a_corpus_of_several_persons(folders):
    corpus = Corpus.load(folders / "two", PAPER)
    poses = pairs()
    assert corpus.starts.shape == (6, 2)
    assert (corpus.starts < 0).tolist() == [[False, len(clip) == 1] for clip in poses.clips]
    assert corpus.lengths.tolist() == [clip.shape[1] for clip in poses.clips]
    for starts, clip in zip(corpus.starts.tolist(), poses.clips):
        for start, person in zip(starts, clip):
            np.testing.assert_array_equal(corpus.rows[start : start + len(person)], person)
    alone = dataclasses.replace(PAPER, preprocess=dataclasses.replace(CMD_LINE, persons=1))
    first = Corpus.load(folders / "two", alone)
    assert torch.equal(first.starts, corpus.starts[:, :1])


def test_rows_stay_on_disk(folders):
    corpus = Corpus.load(folders / "one", SMALL)
    begin = corpus.rows.data_ptr()
    # Their memory is that of the mapped file.
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux tells which file a piece of memory is")
    for line in maps.read_text().splitlines():
        low, high = (int(bound, 16) for bound in line.split()[0].split("-"))
        if low <= begin < high:
            assert line.endswith(str(folders / "one" / "rows.npy"))
            return
    raise AssertionError("no mapping contains the rows")


def test_folders_without_a_corpus_are_refused(folders, tmp_path):
    with pytest.raises(
        ValueError, match=r"contains no training corpus \(no corpus.json\); write one with `skelrep prepare`"
    ):
        Corpus.load(tmp_path, SMALL)
    with pytest.raises(ValueError, match="contains no training corpus"):
        Corpus.load(tmp_path / "nowhere", SMALL)
    about = json.loads((folders / "one" / "corpus.json").read_text())
    (tmp_path / "corpus.json").write_text(json.dumps(about | {"format_version": 2}))
    with pytest.raises(ValueError, match="format_version is 2"):
        Corpus.load(tmp_path, SMALL)
    for name, damage in (("corpus.json", b"{"), ("corpus.json", b"[]"), ("tracks.npz", b"PK"), ("rows.npy", b"no")):
        damaged = tmp_path / f"{name}{len(damage)}"
        shutil.copytree(folders / "one", damaged)
        (damaged / name).write_bytes(damage)
        with pytest.raises(ValueError, match=r"cannot be read as a training corpus \(.+\); prepare it again"):
            Corpus.load(damaged, SMALL)
    three = Poses([np.ones((1, 4, 3, 3))], custom(["pelvis", "neck", "head"], [0, 0, 1], name="three"), fps=30.0)
    with pytest.raises(ValueError, match="'three' cannot be mapped to 'common-15'"):
        Corpus.load(corpus_of(three, tmp_path / "three"), SMALL)
    hidden = pairs(1)
    corpus_of(hidden, tmp_path / "hidden")
    with pytest.raises(ValueError, match="no track in which every joint is seen"):
        Corpus.load(tmp_path / "hidden", dataclasses.replace(SMALL, skeleton=NTU, preprocess=ALONE))


# -- views ------------------------------------------------------------------------------------------------------------


def test_views_are_cuts_prepared_as_clips_are_for_embedding(folders, cuts):
    """A view equals the result of `prepare` for the same cut."""
    torch.manual_seed(0)
    corpus, poses = Corpus.load(folders / "one", SMALL), recordings()
    clip = corpus.windows(32)
    views = corpus.views(clip, (1.0, 2.0), (0.3, 1.0), 16, SMALL)
    assert [view.shape for view in views] == [(32, 1, 64, 15, 3)] * 2
    assert not torch.allclose(*views)
    windows = []
    for view, (starts, lengths) in zip(views, cuts):
        begin = torch.tensor(starts) - corpus.starts[clip, 0]
        assert (begin >= 0).all() and (begin + torch.tensor(lengths) <= corpus.lengths[clip]).all()
        pieces = [poses.clips[c][:, b : b + n] for c, b, n in zip(clip.tolist(), begin.tolist(), lengths)]
        torch.testing.assert_close(view, prepare_cuts(pieces, SMALL, persons=1), rtol=0, atol=1e-4)
        assert min(lengths) >= 16 and len(set(lengths)) > 5
        windows.append((begin, begin + torch.tensor(lengths)))
    (begin_one, end_one), (begin_two, end_two) = windows
    assert (torch.maximum(end_one, end_two) - torch.minimum(begin_one, begin_two)).max() <= 60  # two seconds at 30 fps


def prepare_cuts(pieces, config, persons):
    preprocess = dataclasses.replace(config.preprocess, persons=persons)
    return prepare(pieces, config.skeleton, config.skeleton, preprocess)


def test_views_of_the_cmd_line(folders, cuts):
    """Centred in every frame on the first person's spine; turned by the first frame of the clip, not of the view."""
    torch.manual_seed(0)
    corpus, poses = Corpus.load(folders / "two", PAPER), pairs()
    clip = torch.arange(6).repeat(4)
    first, _ = corpus.views(clip, None, (0.1, 1.0), 64, PAPER)
    assert first.shape == (24, 2, 64, 25, 3)
    starts, lengths = (torch.tensor(part).view(24, 2) for part in cuts[0])
    assert lengths.min() >= 64 and lengths.max() <= 90 and len(lengths.unique()) > 3
    spine = NTU.joints.index("spine")
    later = 0
    for i, c in enumerate(clip.tolist()):
        begin = int(starts[i, 0] - corpus.starts[c, 0])
        later += begin > 0
        whole = torch.from_numpy(np.asarray(poses.clips[c]))
        cut = whole[:, begin : begin + int(lengths[i, 0])]
        stretched = interpolate(cut.flatten(2).mT, size=64, mode="linear").mT.unflatten(2, (25, 3))
        turn = turned(whole[0, 0])
        expected = (stretched - stretched[:1, :, spine : spine + 1]) @ turn.mT
        torch.testing.assert_close(first[i, : len(whole)], expected.nan_to_num(0.0), rtol=0, atol=1e-4)
        assert len(whole) == 2 or first[i, 1].abs().max() == 0
        assert len(whole) == 1 or first[i, 1, :, spine].abs().max() > 0.1  # relative to the first
    assert later > 10


def turned(pose):
    """The rotation of a first frame (25, 3), computed from the result of `normalise`."""
    centred = pose - pose[NTU.joints.index("spine")]
    there = normalise(pose[None, None], torch.eye(25), NTU, CMD_LINE, first=pose[None])[0, 0]
    seen = ~pose.isnan().any(dim=1)
    return torch.linalg.lstsq(centred[seen], there[seen]).solution.mT


def test_views_are_mapped_to_the_encoders_skeleton(folders, cuts):
    torch.manual_seed(0)
    corpus = Corpus.load(folders / "two", SMALL)
    view, _ = corpus.views(torch.arange(4), None, (1.0, 1.0), 1, SMALL)
    for i in range(4):
        start, length = int(corpus.starts[i, 0]), int(corpus.lengths[i])
        mapped = map_joints(corpus.rows[start : start + length], torch.from_numpy(mapping(NTU, COMMON))).numpy()
        torch.testing.assert_close(view[i], prepare_cuts([mapped[None]], SMALL, 1)[0], rtol=0, atol=1e-4)


@settings(max_examples=20)
@given(longest=st.floats(0.2, 4.0), least=st.floats(0.05, 1.0), shortest=st.integers(1, 80), seed=st.integers(0, 99))
def test_cuts_stay_within_their_clips(folders, longest, least, shortest, seed):
    torch.manual_seed(seed)
    corpus = Corpus.load(folders / "one", SMALL)
    clip, seen, resample = corpus.windows(8), [], data.resample
    data.resample = lambda rows, starts, lengths, frames: (
        seen.append((starts, lengths)) or resample(rows, starts, lengths, frames)
    )
    try:
        views = corpus.views(clip, (0.1, longest), (least, 1.0), shortest, SMALL)
    finally:
        data.resample = resample
    assert all(view.isfinite().all() for view in views)
    window = torch.minimum((torch.full((8,), longest) * 30).long().clamp(min=2), corpus.lengths[clip])
    clip, window = clip.repeat(2), window.repeat(2)  # both views at once
    for starts, lengths in seen:
        assert (starts >= corpus.starts[clip, 0]).all()
        assert (starts + lengths <= corpus.starts[clip, 0] + corpus.lengths[clip]).all()
        assert (lengths >= 1).all() and (lengths <= window).all()


def test_persons_stand_still_at_the_ends_of_some_views():
    torch.manual_seed(0)
    lengths = torch.full((300,), 200)
    plain = sighted(lengths, 64, AugmentConfig())
    times = sighted(lengths, 64, AugmentConfig(still_views=1.0, still=0.5))
    first, last = (times[..., 0] == times[:, :1, 0]), (times[..., 1] == times[:, -1:, 1])
    before, after = ((part.sum(dim=1) - 1) / 64 for part in (first, last))
    assert (before + after).max() <= 0.5 + 2 / 64
    assert (before > 0.1).any() and (after > 0.1).any() and ((before > 0.1) & (after > 0.1)).any()
    assert ((before < 0.05) & (after > 0.2)).any() and ((before > 0.2) & (after < 0.05)).any()
    # All of the movement is still there, only faster.
    assert times[:, 0, 0].max() < 0.02 < plain[:, 4, 0].min()
    assert times[:, -1, 1].min() > 0.98


def test_some_views_have_few_recorded_frames():
    torch.manual_seed(0)
    times = sighted(torch.tensor([200] * 50 + [5] * 50), 64, AugmentConfig(coarse_views=1.0, coarse=(8, 30)))
    counts = [len(row[:, :2].unique()) for row in times]
    assert min(counts[:50]) >= 8 and max(counts[:50]) <= 30 and len(set(counts[:50])) > 10
    assert set(counts[50:]) == {5}


@settings(max_examples=30)
@given(frames=st.integers(1, 70), length=st.integers(1, 90), begin=st.integers(0, 9))
def test_interpolation_between_recorded_frames_equals_resampling(frames, length, begin):
    rows = torch.randn(100, 3, 3, generator=torch.Generator().manual_seed(length))
    starts, lengths = torch.tensor([begin]), torch.tensor([length])
    got = between(rows, starts, lengths, sighted(lengths, frames, AugmentConfig()))
    torch.testing.assert_close(got, data.resample(rows, starts, lengths, frames), rtol=0, atol=1e-4)


def test_missing_joints_are_derived_as_for_embedding(folders, cuts):
    torch.manual_seed(0)
    robust = dataclasses.replace(SMALL, preprocess=ROBUST)
    corpus, poses = Corpus.load(folders / "one", robust), recordings()
    clip = torch.arange(6)
    everywhere = AugmentConfig(dropped_views=0.0, lost_parts=1.0)
    first, _ = corpus.views(clip, None, (1.0, 1.0), 1, robust, everywhere)
    whole, _ = corpus.views(clip, None, (1.0, 1.0), 1, robust)
    assert not torch.allclose(first, whole) and first.abs().amax(dim=(1, 2, 4)).min() > 0.01
    for view, raw in zip(first, poses.clips):
        expected = []
        for part in PARTS:
            seen = raw.copy()
            seen[:, :, [COMMON.joints.index(joint) for joint in part]] = np.nan
            expected.append(prepare_cuts([seen], robust, persons=1)[0])
        assert min((view - other).abs().max() for other in expected) < 1e-3


# -- order ------------------------------------------------------------------------------------------------------------


@given(
    begin=st.integers(0, 40), batches=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 2**20)
)
def test_the_order_of_epochs_does_not_depend_on_batches(folders, begin, batches, seed):
    corpus = Corpus.load(folders / "one", SMALL)
    whole = corpus.epoch_slice(begin, sum(batches), seed).tolist()
    parts, place = [], begin
    for size in batches:
        parts += corpus.epoch_slice(place, size, seed).tolist()
        place += size
    assert parts == whole


def test_every_epoch_has_every_clip_once_in_another_order(folders):
    corpus = Corpus.load(folders / "one", SMALL)
    series = corpus.epoch_slice(0, 60, 0).view(10, 6)
    assert series.sort(dim=1).values.tolist() == [list(range(6))] * 10
    assert len(set(map(tuple, series.tolist()))) > 5
    assert corpus.epoch_slice(0, 60, 1).tolist() != series.flatten().tolist()


def test_all_seconds_have_equal_probability(tmp_path):
    torch.manual_seed(0)
    clips = [np.resize(recordings(1).clips[0], (1, length, 15, 3)) for length in (30, 60, 240)]
    corpus = Corpus.load(corpus_of(Poses(clips, COMMON, fps=30.0), tmp_path / "corpus"), SMALL)
    shares = torch.bincount(corpus.windows(20000), minlength=3) / 20000
    torch.testing.assert_close(shares, torch.tensor([1.0, 2.0, 8.0]) / 11, rtol=0, atol=0.015)
