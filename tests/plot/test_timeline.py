"""Timelines: lanes, scores, skeletons at the best events, and animations with running labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from skelrep import Poses
from skelrep.cli import main
from skelrep.plot import save, timeline
from skelrep.plot.colours import DARK, LIGHT, colours_of
from skelrep.plot.timeline import Lanes
from skelrep.recordings import Event, Events
from tests.plot.bodies import COMMON, colours, walking

EVENTS = Events.of(
    [
        Event("one", 0.5, 2.0, "squat", 0.5),
        Event("one", 1.0, 4.0, "turn", np.nan),
        Event("one", 6.0, 9.0, "squat", 0.9, "anna"),
        Event("two", 3.0, 3.5, "squat", -0.2),
    ]
)


def recordings(fps=10.0):
    """Two recordings of ten seconds; in the first are two persons, the second of them called anna."""
    clips = [walking(frames=100, persons=persons).clips[0] for persons in (2, 1)]
    return Poses(clips, COMMON, ["one", "two"], fps=fps, person_ids=[(None, "anna"), (None,)])


def blocks(axes):
    """The (left, right, height, colour) of each block of a timeline's axes, whole blocks and scores in turn."""
    [collection] = [one for one in axes.collections if isinstance(one, PolyCollection)]
    found = []
    for path, colour in zip(collection.get_paths(), collection.get_facecolor()):
        x, y = path.vertices[:4].T
        found.append((x.min(), x.max(), np.ptp(y), to_hex(colour)))
    return found


def test_a_lane_for_each_label_of_each_person_with_times_and_scores():
    figure = timeline(recordings(), EVENTS)
    lanes = [axes for axes in figure.axes if axes.get_xlim() == (0, 10)]
    assert len(lanes) == 2
    found = blocks(lanes[0])
    assert [part[:2] for part in found[::2]] == [(0.5, 2), (1, 4), (6, 9)]
    heights = [score[2] / whole[2] for whole, score in zip(found[::2], found[1::2])]
    assert heights == pytest.approx([0.5, 1, 0.9])  # a block without a score is filled
    assert [score[3] for score in found[1::2]] == [LIGHT[0], LIGHT[1], LIGHT[0]]  # by label
    assert lanes[0].get_ylim() == (3, 0) and lanes[1].get_ylim() == (1, 0)
    assert blocks(lanes[1])[1][2] == 0  # no negative height
    texts = [text.get_text() for text in figure.texts]
    assert texts.index("squat") < texts.index("turn") < texts.index("anna · squat")
    assert {"one", "two", "squat 0.50", "squat 0.90", "turn"} <= set(texts)


def test_skeletons_of_the_best_events_are_drawn_at_their_middles_with_their_person(tmp_path):
    events = Events.of([Event("one", at, at + 0.4, "step", 1 - at / 100) for at in np.arange(0, 9.6, 0.1)])
    figure = timeline(recordings(), events)
    pictures = [axes for axes in figure.axes if axes.get_xlim() != (0, 10)]
    assert 8 <= len(pictures) <= 12
    boxes = sorted((axes.get_position().x0, axes.get_position().x1) for axes in pictures)
    assert all(right <= left + 1e-9 for (_, right), (left, _) in zip(boxes, boxes[1:]))
    best = max(text.get_text() for text in figure.texts if text.get_text().startswith("step "))
    assert best == "step 1.00"
    # Of the one person who is named, not of both: half the lines.
    both, alone = (
        [len(axes.collections) for axes in timeline(recordings(), Events.of([event])).axes][-1]
        for event in (Event("one", 4, 5, "x"), Event("one", 4, 5, "x", person="anna"))
    )
    assert both == 2 * alone


def test_pictures_show_the_lanes(tmp_path):
    save(recordings(), tmp_path / "timeline.png", events=EVENTS)
    with Image.open(tmp_path / "timeline.png") as image:
        picture = np.asarray(image.convert("RGB"))
    for colour in LIGHT[:2]:
        wanted = np.round(255 * np.array(to_rgb(colour)))
        assert (np.abs(picture - wanted).max(axis=2) < 3).sum() > 400, colour
    for suffix, beginning in ((".svg", b"<?xml"), (".pdf", b"%PDF")):
        save(recordings(), tmp_path / f"timeline{suffix}", events=EVENTS)
        assert (tmp_path / f"timeline{suffix}").read_bytes().startswith(beginning)


def test_a_range_cuts_events_and_times():
    figure = timeline(recordings(), EVENTS, start=1.5, end=8)
    [first, second] = [axes for axes in figure.axes if axes.get_xlim() == (1.5, 8)]
    assert [part[:2] for part in blocks(first)[::2]] == [(1.5, 2), (1.5, 4), (6, 8)]
    assert [tick.get_text() for tick in first.get_xticklabels()] == [f"{i} s" for i in range(2, 9)]
    hour = Poses([np.repeat(walking(frames=2).clips[0], 18000, axis=1)], COMMON, ["hour"], fps=10.0)
    lanes = timeline(hour, Events.of([Event("", 0, 1, "brief")])).axes[0]
    assert [tick.get_text() for tick in lanes.get_xticklabels()][:2] == ["0:00:00", "0:10:00"]
    assert blocks(lanes)[0][1] > 7  # wider than a second, so that it is seen
    with pytest.raises(ValueError, match="none of the 4 events is from 9.5 s on"):
        timeline(recordings(), EVENTS, start=9.5)


def test_events_without_times_last_as_long_as_the_recording():
    figure = timeline(recordings(), Events.of([Event("two", np.nan, np.nan, "walk", 0.7)]))
    assert [part[:2] for part in blocks(figure.axes[0])] == [(0, 10), (0, 10)]


def test_what_cannot_be_drawn_is_refused_or_reported():
    with pytest.raises(ValueError, match="fps"):
        timeline(recordings(fps=None), EVENTS)
    with pytest.raises(ValueError, match="no events"):
        timeline(recordings(), Events.of([]))
    with pytest.raises(ValueError, match="'tow'.*did you mean 'two'"):
        timeline(recordings(), Events.of([Event("tow", 0, 1, "x")]))
    with pytest.warns(UserWarning, match=r"1 of 4 events are of other recordings \('two'\)"):
        timeline(recordings()[:1], EVENTS)
    with pytest.warns(UserWarning, match="1 events of 'one' start after its end at 10 s"):
        timeline(recordings(), Events.of([Event("one", 12, 13, "late"), Event("one", 2, 3, "x")]))
    many = Events.of([Event("one", 0, 1, f"label {i}") for i in range(101)])
    with pytest.raises(ValueError, match="101 lanes.*at most 100"):
        timeline(recordings(), many)


def test_running_labels_are_those_of_the_events_at_the_time():
    lanes = Lanes.of(recordings()[0], EVENTS[:3], colours_of(EVENTS.label.tolist()), None, None)
    assert [lanes.at(time) for time in (0.4, 0.5, 1.5, 2.0, 8.9, 9.0)] == [
        "",
        "squat",
        "squat, turn",
        "turn",
        "anna: squat",
        "",
    ]


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_animations_show_the_running_label_and_the_time(suffix, tmp_path):
    poses = Poses([walking(frames=20).clips[0]], COMMON, ["one"], fps=10.0)
    events = Events.of([Event("", 1.0, 1.5, "WAVES", 0.9)])
    save(poses, tmp_path / f"clip{suffix}", events=events, pictures=5)
    save(poses, tmp_path / f"plain{suffix}", pictures=0.5)
    if suffix == ".mp4":
        av = pytest.importorskip("av", reason="needs PyAV: pip install av")
        with av.open(str(tmp_path / "clip.mp4")) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        with av.open(str(tmp_path / "plain.mp4")) as container:
            plain = next(container.decode(video=0)).height
    else:
        with Image.open(tmp_path / "clip.gif") as image:
            pictures = []
            for number in range(image.n_frames):
                image.seek(number)
                pictures.append(np.asarray(image.convert("RGB")))
        with Image.open(tmp_path / "plain.gif") as image:
            plain = image.height
    assert len(pictures) == 10 and pictures[0].shape[0] > plain + 40
    strip = [picture[plain - 5 :] for picture in pictures]
    dark = [int((part.max(axis=2) < 90).sum()) for part in strip]  # the label, and the line at the time
    assert min(dark[5:8]) > max(dark[:5] + dark[8:]) + 50
    cursor = [np.flatnonzero((part[-20:].max(axis=2) < 110).any(axis=0)).mean() for part in strip]
    assert np.corrcoef(cursor, np.arange(10))[0, 1] > 0.99
    assert min(colours(Image.fromarray(pictures[0]))) > 50


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recordings().save("recordings.npz")
    recordings()[1].save("two.npz")
    EVENTS.save("events.csv")
    (tmp_path / "own.csv").write_text("start,end,label\n1,2,sits\n4,4.5,stands\n")
    assert main(["plot", "recordings.npz", "--events", "events.csv", "-o", "timeline.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": "timeline.png", "clips": 2, "events": 4}
    assert main(["plot", "recordings.npz", "--clip", "two", "--events", "events.csv", "-o", "two.svg"]) == 0
    text = (tmp_path / "two.svg").read_text()
    assert "<svg" in text and text.count("<!-- two -->") == 1 and "<!-- one -->" not in text
    assert main(["plot", "two.npz", "--events", "own.csv", "-o", "own.gif", "--end", "2"]) == 0
    with Image.open("own.gif") as image:
        assert image.n_frames == 20
    EVENTS[3:].save("second.csv")
    assert (
        main(["plot", "recordings.npz", "--events", "second.csv", "-o", "second.gif", "--start", "3", "--end", "4"])
        == 0
    )
    words = ["plot", "recordings.npz", "--events", "second.csv", "-o", "bad.gif", "--clip", "one"]
    assert main(words) == 1 and "is of the clip 'one'" in capsys.readouterr().err
    assert main(["plot", "recordings.npz", "--events", "own.csv", "-o", "bad.png"]) == 1
    assert "''" in capsys.readouterr().err and not (tmp_path / "bad.png").exists()


def test_colours_differ_for_any_number_of_labels():
    for count in (3, 12, 13, 60):
        found = colours_of(str(i) for i in range(count))
        assert len(set(found.values())) == count
    assert len(LIGHT) == len(DARK) == len({*LIGHT}) == len({*DARK})
