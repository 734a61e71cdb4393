"""The explorer page: its content; `test_explorer_page.py` opens it in a browser."""

from __future__ import annotations

import base64
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from skelrep import SKELETONS, Poses, retrieve
from skelrep.cli import main
from skelrep.plot import body, explore, sequences
from skelrep.recordings import Event, Events

KINECT = SKELETONS["kinect-20"]
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;\u2028@POSES@"
)


@pytest.fixture(scope="module")
def rows():
    """Three bundles of ten."""
    rng = np.random.default_rng(0)
    return (np.repeat(np.eye(3, 8), 10, axis=0) + 0.2 * rng.normal(size=(30, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def poses():
    rng = np.random.default_rng(1)
    body = rng.normal(size=(20, 3))
    clips = [(body + 0.2 * rng.normal(size=(1 + i % 2, 10 + 5 * i, 20, 3))) for i in range(30)]
    clips[0][0, 3:5, 7] = np.nan
    clips[1][1] = np.nan  # a second person who is never seen
    labels = np.repeat(["bow", "sit", HOSTILE], 10)
    ids = [HOSTILE, *(f"clip-{i}" for i in range(1, 30))]
    return Poses(clips, KINECT, ids, labels, 30.0, info={"subject": np.arange(30) % 5})


def blocks(html):
    """The JSON document and the base64 of the poses."""
    document, text = re.findall(r'<script type="[a-z/]+" id="(?:document|poses)">(.*?)</script>', html, re.DOTALL)
    return json.loads(document), text


def decoded(document, text, i):
    """(frames, persons, joints, channels) of a recording in the poses' unit, as the page reads them."""
    recordings = document["sequences"]
    shapes = [(frames, persons, document["joints"], document["channels"]) for persons, frames, *_ in recordings]
    lengths = [-(-int(np.prod(shape)) * 2 // 3) * 4 for shape in shapes]
    start = sum(lengths[:i])
    values = np.frombuffer(base64.b64decode(text[start : start + lengths[i]]), "<i2").reshape(shapes[i]).astype(float)
    values[values == sequences.MISSING] = np.nan
    return values * recordings[i][3] / 32767


def test_page_loads_nothing_and_runs_only_its_own_script(poses, rows):
    html = explore.page(poses, rows, title=HOSTILE)
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append((tag, dict(attrs)))

    Reader().feed(html)
    assert [attributes.get("type") for tag, attributes in seen if tag == "script"] == [
        "application/json",
        "text/plain",
        None,
    ]
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in seen}
    for _, attributes in seen:
        assert not {"src", "href", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(a["content"] for _, a in seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "http" not in policy
    code = html.rsplit("<script>", 1)[1]
    for unsafe in ("://", "@import", "url(", "fetch(", "innerHTML", "insertAdjacent", "document.write", "eval("):
        assert unsafe not in code and unsafe not in html.split("<style>")[1].split("</style>")[0], unsafe
    document, _ = blocks(html)
    assert document["title"] == document["ids"][0] == HOSTILE and HOSTILE in document["colourings"][0]["classes"]


def test_poses_in_the_page_equal_the_clips_up_to_quantisation(poses, rows):
    document, text = blocks(explore.page(poses, rows))
    for i in (0, 1, 2, 29):
        assert document["clips"][i] == [i, 0, document["sequences"][i][1] - 1, 0]
        persons, frames, seconds, scale, trunk, floor = document["sequences"][i]
        clip = poses.clips[i][:persons]
        assert persons == (1 if i < 2 else 1 + i % 2) and frames == min(64, clip.shape[1])
        assert seconds == pytest.approx(clip.shape[1] / 30, abs=1e-3)
        expected = body.oriented(clip, KINECT)
        at = np.linspace(0, clip.shape[1] - 1, frames).round().astype(int)
        np.testing.assert_allclose(decoded(document, text, i), expected[:, at].swapaxes(0, 1), atol=0.6 * scale / 32767)
        assert np.nanmax(np.abs(expected)) <= scale * (1 + 1e-6)
        assert floor * scale == pytest.approx(body.ground(expected, KINECT), abs=1e-4 * scale)
        assert trunk * scale == pytest.approx(body.trunk_length(expected, KINECT), abs=1e-4 * scale)


def test_two_dimensional_poses_have_two_channels(poses, rows):
    flat = Poses([clip[:1, :, :, :2] for clip in poses.clips], KINECT)
    document, text = blocks(explore.page(flat, rows))
    assert document["channels"] == 2 and decoded(document, text, 3).shape == (25, 1, 20, 2)


def test_size_of_the_poses_is_bounded(poses, rows, monkeypatch):
    monkeypatch.setattr(sequences, "MOST_POSE_BYTES", 50_000)
    document, text = blocks(explore.page(poses, rows))
    assert 40_000 < len(text) <= 50_000
    assert max(frames for _, frames, *_ in document["sequences"]) < 64
    # At the real bound 5000 one-person clips of ntu-25 keep this many of their frames.
    monkeypatch.undo()
    assert 35 < sequences.MOST_POSE_BYTES / (5000 * 25 * 3 * 2 * 4 / 3) < sequences.MOST_FRAMES
    assert sequences.MOST_POSE_BYTES < 40e6


def test_neighbours_equal_retrieve(poses, rows):
    document, _ = blocks(explore.page(poses, rows))
    found = retrieve(rows, rows, k=10, leave_one_out=True)
    assert document["neighbours"] == found.indices.tolist()
    np.testing.assert_allclose(document["similarities"], found.similarities, atol=6e-4)
    few, _ = blocks(explore.page(poses[:4], rows[:4]))
    assert np.shape(few["neighbours"]) == (4, 3)


def test_the_map_shows_the_principal_components(poses, rows):
    from sklearn.decomposition import PCA

    document, _ = blocks(explore.page(poses, rows))
    points = np.array(document["points"]).reshape(-1, 2)
    assert np.abs(points).max() == pytest.approx(1, abs=1e-3)
    expected = PCA(2).fit_transform(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    for ours, theirs in zip(points.T, expected.T):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) > 0.9999
    ratio = np.ptp(points, axis=0) / np.ptp(expected, axis=0)
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3)  # both axes in one unit
    blocks(explore.page(poses, np.ones((30, 1))))  # one dimension, and all alike


def colouring(document, name):
    """The class of each point by one of the colourings, and the names of the classes."""
    [found] = [one for one in document["colourings"] if one["name"] == name]
    return [found["classes"][code] for code in found["codes"]], found["classes"]


def test_points_are_coloured_by_label_or_by_cluster(poses, rows):
    document, _ = blocks(explore.page(poses, rows))
    assert [one["name"] for one in document["colourings"]] == ["label", "subject"]
    assert colouring(document, "label")[0] == poses.labels.tolist()
    assert colouring(document, "subject")[0] == [str(i % 5) for i in range(30)]
    by_subject, _ = blocks(explore.page(poses, rows, labels=poses.info["subject"]))
    assert colouring(by_subject, "label")[1] == ["0", "1", "2", "3", "4"]
    clustered, _ = blocks(explore.page(replace(poses, labels=None), rows))
    assert clustered["colourings"][0]["name"] == "cluster"
    assert colouring(clustered, "cluster")[1] == [f"cluster {i}" for i in range(1, 5)]  # the root of 15
    codes = np.array(clustered["colourings"][0]["codes"])
    sizes = np.bincount(codes)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert all(len(set(codes[i * 10 : i * 10 + 10]) & set(np.delete(codes, range(i * 10, i * 10 + 10)))) == 0
               for i in range(3))  # fmt: skip


def test_columns_of_very_many_or_one_value_are_no_colours(poses, rows):
    poses = poses.with_info(one=np.zeros(30), each=np.arange(30), half=np.arange(30) / 2, pair=np.arange(30) % 2 == 0)
    document, _ = blocks(explore.page(poses, rows))
    assert [one["name"] for one in document["colourings"]] == ["label", "subject", "pair"]


# -- windows and events -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(poses):
    """Two recordings of ten and six seconds at 10 frames per second, one of two persons."""
    clips = [np.concatenate([clip[:1, :10] for clip in poses.clips[2:12]], axis=1), poses.clips[29][:, :60]]
    return Poses(clips, KINECT, ["first", "second"], fps=10.0)


def test_windows_are_parts_of_recordings_that_the_page_holds_once(recordings):
    windows = recordings.windows(2, 0.5)
    document, text = blocks(explore.page(windows, np.random.default_rng(0).normal(size=(len(windows), 8))))
    assert document["names"] == ["first", "second"] and len(document["sequences"]) == 2
    assert np.reshape(document["times"], (-1, 2))[:3].tolist() == [[0, 2], [0.5, 2.5], [1, 3]]
    assert [frames for _, frames, *_ in document["sequences"]] == [100, 60]
    for i in (0, 3, len(windows) - 1):
        recording, begin, more, angle = document["clips"][i]
        clip = decoded(document, text, recording)[round(begin) : round(begin + more) + 1]
        expected = windows.clips[i]
        assert clip.shape[0] == expected.shape[1] == 20
        # The same movement, but for a rotation and a shift of the recording: distances between joints are equal.
        distances = [np.linalg.norm(points[:, 3] - points[:, 17], axis=-1) for points in (clip[:, 0], expected[0])]
        np.testing.assert_allclose(*distances, atol=1e-3)
        turned = body.oriented(recordings.clips[recording], KINECT)[0, round(begin) : round(begin + more) + 1]
        sides = [[i for i, joint in enumerate(KINECT.joints) if joint in (f"{side}_shoulder", f"{side}_hip")]
                 for side in ("left", "right")]  # fmt: skip
        right, _, near = (turned[:, sides[0]] - turned[:, sides[1]]).mean(axis=(0, 1))
        assert angle == pytest.approx(-np.degrees(np.arctan2(near, right)), abs=0.6)  # then it faces the viewer


def test_windows_that_share_frames_are_no_neighbours(recordings):
    windows = recordings.windows(2, 0.5)
    rows = np.random.default_rng(0).normal(size=(len(windows), 8)).cumsum(axis=0).astype(np.float32)
    document, _ = blocks(explore.page(windows, rows))
    normal = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    source, start, end = (windows.info[key] for key in ("source", "start", "end"))
    for i, found in enumerate(document["neighbours"]):
        apart = (source != source[i]) | (start >= end[i]) | (end <= start[i])
        order = [j for j in np.argsort(-(normal @ normal[i]), kind="stable") if apart[j]]
        assert found == order[:10]


def test_windows_of_changed_clips_are_clips_of_their_own(recordings):
    windows = recordings.windows(2, 0.5)
    shorter = replace(windows, clips=[clip[:, :7] for clip in windows.clips])
    document, _ = blocks(explore.page(shorter, np.random.default_rng(0).normal(size=(len(windows), 8))))
    assert document["times"] is None and len(document["sequences"]) == len(windows)


def test_events_are_on_the_timeline_and_colour_what_is_in_their_middle(recordings):
    windows = recordings.windows(2, 1)
    rows = np.random.default_rng(0).normal(size=(len(windows), 8))
    truth = Events.of([Event("first", 2, 5, "bow"), Event("second", 0, 6, "sit", person="anna")])
    guess = Events.of([Event("first", 1.9, 4.2, "bow", 0.75), Event("second", np.nan, np.nan, "lie", 0.5)])
    document, _ = blocks(explore.page(windows, rows, events={"truth": truth, "guess": guess}))
    assert document["events"]["tables"] == ["truth", "guess"]
    persons, labels = document["events"]["persons"], document["events"]["labels"]
    named = [
        [table, persons[person], labels[label], *rest] for _, table, person, label, *rest in document["events"]["rows"]
    ]
    assert named == [
        [0, "", "bow", 2, 5, None],
        [0, "anna", "sit", 0, 6, None],
        [1, "", "bow", 1.9, 4.2, 0.75],
        [1, "", "lie", None, None, 0.5],
    ]
    assert [row[0] for row in document["events"]["rows"]] == [0, 1, 0, 1]
    middles = (windows.info["start"] + windows.info["end"]) / 2
    first = windows.info["source"] == "first"
    expected = np.where(first & (middles >= 2) & (middles < 5), "bow", np.where(first, "none", "sit"))
    assert colouring(document, "truth")[0] == expected.tolist()
    assert document["colourings"][0]["name"] == "truth"  # there are no labels
    assert colouring(document, "recording")[1] == ["first", "second"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rows": np.ones((29, 8))}, ValueError, "30 clips but 29 embeddings"),
        ({"labels": ["a"]}, ValueError, r"30 clips but labels of shape \(1,\)"),
        ({"map": "tsne"}, ValueError, "map='tsne' must be one of pca, umap"),
        ({"map": "umap"}, ModuleNotFoundError, "pip install umap-learn"),
        ({"rows": np.full((30, 8), np.nan)}, ValueError, "NaN or infinity"),
    ],
)
def test_bad_arguments_are_refused(poses, rows, monkeypatch, options, error, message):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(error, match=message):
        explore.page(poses, options.pop("rows", rows), **options)


def test_command_with_stored_embeddings(poses, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    poses.save("clips.npz")
    np.savez("rows.npz", embeddings=rows, ids=poses.ids)
    np.savez("others.npz", embeddings=rows, ids=poses.ids[::-1])
    np.save("rows.npy", rows)
    for file in ("rows.npz", "rows.npy"):
        command = ["explore", "clips.npz", "-o", "page.html", "--embeddings", file, "--labels", "subject", "--json"]
        assert main(command) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {"output": "page.html", "clips": 30, "bytes": (tmp_path / "page.html").stat().st_size}
        document, _ = blocks((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert document["title"] == "clips" and colouring(document, "label")[1] == ["0", "1", "2", "3", "4"]
    for options, message in (
        (["--embeddings", "others.npz"], "are from other clips or in another order"),
        (["--embeddings", "clips.npz"], "clips.npz contains no embeddings"),
        (["--embeddings", "rows.npy", "--labels", "camera"], "'camera'"),
    ):
        assert main(["explore", "clips.npz", "-o", "other.html", *options]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


def test_too_many_clips_are_refused_before_they_are_embedded(poses, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explore, "MOST_CLIPS", 29)
    poses.save("clips.npz")
    assert main(["explore", "clips.npz", "-m", "no-such-model", "-o", "page.html"]) == 1
    assert "at most 29 clips, got 30" in capsys.readouterr().err and not (tmp_path / "page.html").exists()


def test_command_embeds_the_poses(poses, tiny_encoder, tmp_path, monkeypatch):
    from skelrep import save_pretrained

    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    poses.save("clips.npz")
    assert main(["explore", "clips.npz", "-m", "model", "-o", "page.html", "-q"]) == 0
    document, _ = blocks((tmp_path / "page.html").read_text(encoding="utf-8"))
    embeddings = tiny_encoder.embed(poses)
    assert document["neighbours"] == retrieve(embeddings, embeddings, leave_one_out=True).indices.tolist()


def test_command_with_several_recordings_windows_and_events(recordings, tiny_encoder, tmp_path, monkeypatch, capsys):
    from skelrep import save_pretrained

    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    (tmp_path / "b").mkdir()
    recordings[0].save("first.npz")
    recordings.save("b/both.npz")
    Events.of([Event("first", 2, 5, "bow", 0.8), Event("b/both/second", 0, 3, "sit")]).save("events.csv")
    words = ["first.npz", "b", "-m", "model", "--window", "2", "--stride", "1", "--events", "events.csv"]
    assert main(["explore", *words, "-o", "page.html"]) == 0
    document, _ = blocks((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert document["names"] == ["b/both/first", "b/both/second", "first"]
    inputs, names = colouring(document, "input")
    assert names == ["b", "first.npz"] and inputs == ["first.npz"] * 9 + ["b"] * 14
    assert document["events"]["tables"] == ["events"] and document["title"] == "first, b"
    # Stored embeddings of windows are of the same windows, which need not be asked for again.
    assert main(["embed", "first.npz", "b", *words[2:-2], "-o", "rows.npz", "-q"]) == 0
    assert main(["explore", "first.npz", "b", "--embeddings", "rows.npz", "-o", "stored.html", "-q"]) == 0
    stored, _ = blocks((tmp_path / "stored.html").read_text(encoding="utf-8"))
    assert [stored[key] for key in ("ids", "times", "clips")] == [document[key] for key in ("ids", "times", "clips")]
    capsys.readouterr()
    assert main(["explore", "b", "--embeddings", "rows.npz", "-o", "bad.html"]) == 1
    assert "rows.npz are from windows of other recordings" in capsys.readouterr().err
    assert main(["explore", "first.npz", "--stride", "1", "-o", "bad.html"]) == 2
    assert main(["explore", "first.npz", "-m", "model", "--window", "2", "--events", "no.csv", "-o", "bad.html"]) == 1
    assert not (tmp_path / "bad.html").exists()


def test_events_and_maps_are_checked_before_the_clips_are_embedded(recordings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "umap", None)
    recordings.save("both.npz")
    Events.of([Event("secnod", 0, 3, "sit")]).save("events.csv")
    words = ["explore", "both.npz", "-m", "no-such-model", "--window", "2", "-o", "page.html"]
    for options, message in (
        (["--events", "events.csv"], "'secnod'"),
        (["--events", "events.csv", "--per", "person"], "'secnod'"),
        (["--map", "umap"], "umap-learn"),
    ):
        assert main([*words, *options]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
