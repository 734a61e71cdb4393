"""The explorer page in a real browser: map, search, selection, labels and their export to `fit`, timeline."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from skelrep import Poses, read, retrieve, save_pretrained
from skelrep.cli import main
from skelrep.plot import explore
from skelrep.recordings import Classifier, Event, Events
from tests.browser import ALT, CHROMIUM, SHIFT, Chromium
from tests.plot.test_explore import HOSTILE, poses, rows  # noqa: F401 - fixtures
from tests.recordings.made_up import clips_of, session

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("browser"))
    yield chromium
    chromium.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a page; afterwards it must have asked for nothing and complained of nothing."""
    tabs = []

    def opened(text, name="page.html", **options):
        (tmp_path / name).write_text(text, encoding="utf-8")
        tabs.append((browser.tab((tmp_path / name).as_uri(), **options), (tmp_path / name).as_uri()))
        tabs[-1][0].until("wide > 0")  # its first picture
        return tabs[-1][0]

    yield opened
    for tab, address in tabs:
        assert tab.complaints() == []
        assert {one for one in tab.requests() if not one.startswith("blob:")} == {address}
        tab.close()


@pytest.fixture
def tab(open_page, poses, rows):  # noqa: F811
    tab = open_page(explore.page(poses, rows))
    yield tab
    assert tab.evaluate("document.title") == "skelrep explorer"


def point(tab, i):
    """The position of a clip on the screen."""
    return tab.evaluate(f"(({{left, top}}) => [left + screenX({i}), top + screenY({i})])(map.getBoundingClientRect())")


def inked(tab, canvas):
    """How many different colours a canvas shows."""
    with Image.open(io.BytesIO(tab.picture(f"#{canvas}"))) as image:
        return len(image.convert("RGB").getcolors(2**20))


def chosen(tab):
    """The clips that are selected."""
    return set(tab.evaluate("numbers((i) => selected[i])"))


def lines(tab, of):
    """The texts of a list's lines."""
    return tab.evaluate(f"[...document.querySelectorAll('{of} button')].map((one) => one.textContent)")


def around(tab, some, margin=8.0):
    """A lasso around the bounding box of clips, and all clips in it."""
    places = np.array([point(tab, i) for i in range(tab.evaluate("count"))])
    low, high = places[some].min(axis=0) - margin, places[some].max(axis=0) + margin
    path = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1]), (low[0], low[1] + 4)]
    return path, set(np.flatnonzero(((places > low) & (places < high)).all(axis=1)).tolist())


def test_pointing_clicking_and_neighbours(tab, poses, rows):  # noqa: F811
    neighbours = retrieve(rows, rows, k=10, leave_one_out=True).indices
    empty = inked(tab, "player")
    assert inked(tab, "map") > empty  # which has a rounded border
    tab.mouse("Moved", point(tab, 0))
    assert tab.text("#name") == HOSTILE
    assert inked(tab, "player") > empty + 50
    shown = "[...document.querySelectorAll('#neighbours button')].map((one) => Number(one.dataset.clip))"
    assert tab.evaluate(shown) == neighbours[0].tolist()
    tab.click(point(tab, 12))
    tab.mouse("Moved", (2, 400))  # off the map: what was clicked stays
    assert tab.text("#name") == "clip-12" and tab.text("#facts").startswith("sit · 2.3 s")
    tab.click("#neighbours li:nth-child(3) button")
    assert tab.text("#name") == poses.ids[neighbours[12, 2]]
    before = tab.evaluate("state.time")
    tab.until(f"state.time !== {before}")  # it plays
    tab.click("#play")
    assert tab.text("#play") == "Play" and not tab.evaluate("state.playing")


def test_search_keyboard_and_legend(tab):
    tab.press("/")
    tab.write("SIT")
    assert tab.evaluate("document.querySelectorAll('#results button[data-clip]').length") == 10
    tab.press("Enter")
    assert tab.text("#name") == "clip-10" and tab.evaluate("document.activeElement.id") == "map"
    tab.press("Escape")
    assert tab.evaluate("by('query').value") == "" and tab.text("#name") == "clip-10"
    here = tab.evaluate("xs[state.shown]")
    tab.press("ArrowRight")
    assert tab.evaluate("xs[state.shown]") > here
    tab.press("n", "ArrowDown")
    wanted = tab.evaluate("data.neighbours[state.shown][1]")
    tab.press("Enter")
    assert tab.evaluate("state.kept") == wanted
    tab.evaluate("map.focus()")
    tab.press("Escape")
    assert tab.text("#name") == "No clip selected"
    bow = tab.evaluate("codes.findIndex((code) => classes[code] === 'bow')")
    code = tab.evaluate(f"codes[{bow}]")
    tab.click(f"#classes li:nth-child({code + 1}) button")
    assert tab.evaluate(f"by('classes').childNodes[{code}].firstChild.getAttribute('aria-pressed')") == "false"
    tab.mouse("Moved", point(tab, bow))
    assert not tab.text("#facts").startswith("bow")  # what is hidden is not found
    tab.click("#all")
    assert tab.evaluate(f"visible({bow}) && visible(29)")


def test_light_and_dark_zoom_and_turning(tab):
    back = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(back)
    tab.click("#theme")
    dark = tab.evaluate(back)
    assert light == "rgb(255, 255, 255)" and dark != light
    tab.click("#theme")
    tab.scheme("dark")
    tab.until(f"{back} === '{dark}'")
    x, y = point(tab, 5)
    tab.mouse("Moved", (x, y))
    tab.mouse("Wheel", (x, y), deltaX=0, deltaY=-400)
    tab.until("state.zoom > 1.5")
    assert point(tab, 5) == pytest.approx([x, y], abs=2)  # what is under the pointer stays there
    tab.drag([(x, y), (x + 60, y + 20)])
    assert point(tab, 5) == pytest.approx([x + 60, y + 20], abs=3)
    assert tab.evaluate("state.kept") == -1  # a drag is no click
    tab.press("0")
    assert tab.evaluate("[state.zoom, state.x, state.y]") == [1, 0, 0]
    tab.click(point(tab, 5))
    turn, (x, y) = tab.evaluate("state.turn"), tab.middle("#player")
    tab.drag([(x, y), (x + 20, y), (x + 50, y)])
    assert tab.evaluate("state.turn") != turn
    tab.resize(500, 800)
    tab.until("wide > 400 && wide < 510")
    assert inked(tab, "map") > 30


def test_selecting_by_lasso_click_legend_search_and_keys(tab):
    path, inside = around(tab, [3, 4, 5])
    tab.drag(path, SHIFT)
    assert chosen(tab) == inside and tab.text("#chosen") == f"{len(inside)} clips"
    assert tab.evaluate("[state.x, state.kept]") == [0, -1]  # the map did not move
    tab.click(point(tab, 3), SHIFT)
    assert chosen(tab) == inside - {3}
    tab.press("l")  # now every drag selects: alone it replaces, with Alt it removes
    path, others = around(tab, [12, 13])
    tab.drag(path)
    assert chosen(tab) == others
    tab.drag(path, ALT)
    assert chosen(tab) == set() and tab.evaluate("by('export-selection').disabled")
    tab.press("l")
    sit = tab.evaluate("classes.indexOf('sit')")
    tab.click(f"#classes li:nth-child({sit + 1}) .act")
    assert chosen(tab) == set(range(10, 20))
    tab.click(f"#classes li:nth-child({sit + 1}) button")  # hidden clips are not selected by a lasso, but stay
    tab.evaluate("select([])")
    tab.drag(around(tab, list(range(30)))[0], SHIFT)
    assert chosen(tab) == set(range(30)) - set(range(10, 20))
    tab.click("#all")
    tab.press("Escape")
    assert chosen(tab) == set()
    tab.press("/")
    tab.write("clip-2")
    tab.click("#select-found")
    assert chosen(tab) == {2, *range(20, 30)}
    tab.press("a")  # all that the search found
    assert chosen(tab) == {2, *range(20, 30)}
    tab.press("Escape", "Escape", "a")
    assert chosen(tab) == set(range(30))
    tab.evaluate("select([])")
    tab.click(point(tab, 7))
    tab.press("s")
    assert chosen(tab) == {7}


def test_names_are_typed_changed_and_removed_and_stay_text(tab):
    tab.evaluate("select([0, 1, 2])")
    tab.press("t")
    tab.write(f"  {HOSTILE}\t ")
    tab.press("Enter")
    tab.evaluate("select([2, 3])")
    tab.press("t")
    tab.write('a, "b"')
    tab.press("Enter")
    label = " ".join(HOSTILE.split())  # one line
    assert tab.evaluate("[...typed.codes].slice(0, 5)") == [1, 1, 2, 2, 0]
    assert lines(tab, "#labels")[::2] == [f"{label}2", 'a, "b"2']
    tab.evaluate("colourBy(typed)")
    assert lines(tab, "#classes")[::2] == ["none26", f"{label}2", 'a, "b"2']
    assert tab.evaluate("document.images.length + document.scripts.length") == 2  # the document's, and the script
    assert tab.evaluate("document.title") == "skelrep explorer"
    tab.click("#export-labels")
    found = list(
        csv.reader(io.StringIO(tab.downloaded("skelrep-explorer-labels.csv").read_text(encoding="utf-8"), newline=""))
    )
    assert found == [["id", "label"], [HOSTILE, label], ["clip-1", label], ["clip-2", 'a, "b"'], ["clip-3", 'a, "b"']]
    tab.evaluate("select([0, 15])")
    tab.click("#export-selection")
    text = tab.downloaded("skelrep-explorer-selection.csv").read_text(encoding="utf-8")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["id", "label"], [HOSTILE, label], ["clip-15", "sit"]]
    tab.click("#labels li:nth-child(2) .act")
    assert tab.evaluate("[...typed.codes].slice(0, 5)") == [1, 1, 0, 0, 0]
    tab.evaluate("select([0, 1])")
    tab.evaluate("map.focus()")
    tab.press("t", "Enter")  # an empty label removes
    assert tab.evaluate("typed.codes.every((code) => code === 0)") and lines(tab, "#labels") == []


def test_clips_are_labelled_on_the_page_and_fitted(open_page, tiny_encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    made = clips_of(("squat", "kick", "stand"), 6)
    clips = Poses(made.clips, made.skeleton, [f"take {i}, b" for i in range(18)], fps=made.fps)
    clips.save("clips.npz")
    truth = made.labels
    assert main(["explore", "clips.npz", "-m", "model", "-o", "labelling.html", "-q"]) == 0
    tab = open_page((tmp_path / "labelling.html").read_text(encoding="utf-8"))
    left_over = set()
    for label in ("squat", "kick"):
        path, inside = around(tab, np.flatnonzero(truth == label).tolist())
        left_over |= {i for i in inside if truth[i] != label}
        tab.drag(path, SHIFT)
        tab.click("#typed")
        tab.write(label)
        tab.press("Enter")
        assert chosen(tab) == set()  # the next lasso does not add to them
    assert left_over == set()  # the movements are apart on the map
    tab.click("#export-labels")
    table = tab.downloaded("clips-labels.csv")
    assert main(["fit", "clips.npz", "-m", "model", "--labels", str(table), "-o", "head"]) == 0
    assert "12 clips of 2 classes" in capsys.readouterr().err
    classifier = Classifier.load("head")
    named = np.flatnonzero(truth != "stand")
    assert classifier.predict(clips[named]).tolist() == truth[named].tolist()
    assert main(["embed", "clips.npz", "-m", "model", "--labels", str(table), "--unlabelled", "skip", "-q"]) == 0
    with np.load("clips.embeddings.npz") as stored:
        assert stored["labels"].tolist() == truth[named].tolist()


SCRIPT = [("squat", 6.0), ("stand", 6.0), ("kick", 6.0), ("stand", 4.0), ("squat", 6.0)]


@pytest.fixture
def recorded(open_page, tiny_encoder, tmp_path, monkeypatch):
    """The page of a recording's windows with events, and the windows."""
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    session(SCRIPT).save("session.npz")
    Events.of([Event("session", 0, 6, "squat", 0.9), Event("session", 12, 18, "kick", 0.5, "anna")]).save("events.csv")
    words = ["session.npz", "-m", "model", "--window", "2", "--stride", "0.5", "--events", "events.csv"]
    assert main(["explore", *words, "-o", "session.html", "-q"]) == 0
    return open_page((tmp_path / "session.html").read_text(encoding="utf-8")), read("session.npz").windows(2, 0.5)


def at_time(tab, seconds, lane):
    """A place on the timeline; lane 0 are the windows, 1 and more the events."""
    left, top = tab.evaluate("(({left, top}) => [left, top])(bar.getBoundingClientRect())")
    return left + tab.evaluate(f"timeX({seconds})"), top + (10 if lane == 0 else 22 + 17 * (lane - 0.5))


def test_the_timeline_shows_windows_and_events_and_goes_there(recorded):
    tab, windows = recorded
    assert tab.evaluate("by('times').hidden")
    tab.evaluate("keep(20)")
    tab.until("!by('times').hidden && barWide > 100")
    assert tab.text("#recording") == "session" and tab.text("#facts") == "none · 10.0 s to 12.0 s"
    assert tab.evaluate("lanes.map((lane) => [EVENT_LABELS[lane.label], data.events.persons[lane.person]])") == [
        ["squat", ""],
        ["kick", "anna"],
    ]
    for seconds in (3.1, 21.7):
        tab.click(at_time(tab, seconds, 0))
        middle = (windows.info["start"] + windows.info["end"]) / 2
        assert tab.evaluate("state.kept") == np.abs(middle - seconds).argmin()
    tab.click(at_time(tab, 16.8, 2))  # an event: its middle
    assert tab.evaluate("middleOf(state.kept)") == 15
    tab.evaluate("bar.focus()")
    tab.press("ArrowRight")
    assert tab.evaluate("middleOf(state.kept)") == 15.5
    tab.press("[", "[")
    assert tab.evaluate("middleOf(state.kept)") == 3
    tab.press("]")
    assert tab.evaluate("middleOf(state.kept)") == 15
    before = tab.evaluate("timeX(15)")
    tab.mouse("Wheel", at_time(tab, 15, 0), deltaX=0, deltaY=-300)
    tab.until("view[1] - view[0] < 20")
    assert tab.evaluate("timeX(15)") == pytest.approx(before, abs=2)  # what is under the pointer stays there
    assert inked(tab, "timeline") > 10


def test_windows_are_labelled_on_the_timeline_and_fitted(recorded, capsys):
    tab, windows = recorded
    tab.evaluate("keep(0)")
    tab.until("!by('times').hidden && barWide > 100")
    spans = {"squat": (1.0, 5.0), "kick": (13.0, 17.0), "stand": (7.0, 11.0)}
    middle = (windows.info["start"] + windows.info["end"]) / 2
    for label, (start, end) in spans.items():
        places = [at_time(tab, at, 0) for at in (start - 0.1, (start + end) / 2, end + 0.1)]
        tab.drag(places)
        inside = np.flatnonzero((middle > start - 0.1) & (middle < end + 0.1))
        assert chosen(tab) == set(inside.tolist())
        tab.click("#typed")
        tab.write(label)
        tab.press("Enter")
    tab.click("#export-labels")
    table = tab.downloaded("session-labels.csv")
    events = Events.load(table)
    assert len(events) == 27 and set(events.clip) == {"session"} and set(events.person) == {""}
    for label, (start, end) in spans.items():
        found = events[events.label == label]
        assert (found.start.min(), found.end.max()) == (start - 1, end + 1)
    assert main(["fit", "session.npz", "-m", "model", "--events", str(table), "-o", "head"]) == 0
    assert "27 clips of 3 classes" in capsys.readouterr().err
    predicted = Classifier.load("head").predict(windows[[4, 28, 16, 48]])
    assert predicted.tolist() == ["squat", "kick", "stand", "squat"]
    # The same table has the ids of stored embeddings of the windows.
    assert main(["embed", "session.npz", "-m", "model", "--window", "2", "--stride", "0.5", "-o", "w.npz", "-q"]) == 0
    assert main(["fit", "w.npz", "-m", "model", "--labels", str(table), "-o", "stored"]) == 0
    assert "27 clips of 3 classes" in capsys.readouterr().err


def test_persons_are_points_of_their_own_and_fitted(open_page, tiny_encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    one, two = (
        session(script).clips[0] for script in ([("squat", 6.0), ("kick", 6.0)], [("kick", 6.0), ("squat", 6.0)])
    )
    both = Poses([np.concatenate([one, two + (3, 0, 0)])], "coco-17", ["pair"], fps=20.0, person_ids=[("anna", "ben")])
    both.save("pair.npz")
    Events.of([Event("pair", 1, 5, "squat", person="anna"), Event("pair", 7, 8, "squat", person="ben"),
               Event("pair", 0, 12, "pair")]).save("events.csv")  # fmt: skip
    words = ["pair.npz", "-m", "model", "--window", "2", "--stride", "0.5", "--per", "person", "--events", "events.csv"]
    assert main(["explore", *words, "-o", "pair.html"]) == 0
    assert "42 windows of single persons" in capsys.readouterr().err
    tab = open_page((tmp_path / "pair.html").read_text(encoding="utf-8"))
    assert tab.text("#count") == "42 windows of 1 recording"
    for track, person in enumerate(("anna", "ben")):
        tab.evaluate(f"keep(pointsOf[{track}][0])")
        tab.until(f"by('recording').textContent === 'pair · {person}' && barWide > 100")
        assert tab.evaluate("lanes.map((lane) => EVENT_LABELS[lane.label])") == ["pair", "squat"]
        for label, (start, end) in zip(
            ("squat", "kick") if track == 0 else ("kick", "squat"), ((0.9, 5.1), (6.9, 11.1))
        ):
            tab.drag([at_time(tab, at, 0) for at in (start, (start + end) / 2, end)])
            tab.evaluate(f"nameSelection({label!r})")
    tab.click("#export-labels")
    table = tab.downloaded("pair-labels.csv")
    events = Events.load(table)
    assert {(person, label): int((events[events.person == person].label == label).sum())
            for person in ("anna", "ben") for label in ("squat", "kick")} == dict.fromkeys(
        [("anna", "squat"), ("anna", "kick"), ("ben", "squat"), ("ben", "kick")], 9)  # fmt: skip
    assert main(["fit", "pair.npz", "-m", "model", "--events", str(table), "-o", "head"]) == 0
    assert "36 clips of 2 classes" in capsys.readouterr().err
    assert main(["predict", "head", "pair.npz", "--window", "2", "--per", "person", "-o", "found.csv", "-q"]) == 0
    found = Events.load("found.csv")
    assert [(event.person, event.label) for event in sorted(found, key=lambda one: (one.person, one.start))] == [
        ("anna", "squat"), ("anna", "kick"), ("ben", "kick"), ("ben", "squat")]  # fmt: skip


def test_dark_and_named_windows_on_a_small_screen(recorded):
    tab, _ = recorded
    tab.scheme("dark")
    tab.evaluate("keep(3)")
    tab.evaluate("select([1, 2, 3])")
    tab.evaluate("nameSelection('squat')")
    tab.evaluate("select([4, 5])")
    tab.resize(480, 900)
    tab.until("wide > 400 && wide < 490 && barWide > 300")
    assert inked(tab, "timeline") > 10 and inked(tab, "map") > 20
    assert tab.evaluate("document.documentElement.scrollWidth") <= 480  # nothing is cut off at the right
