"""Creates the images of the documentation from synthetic clips. Chromium takes the screenshots of the explorer page.

Run `python docs/images/make.py` in the root of the repository. Pillow comes with matplotlib.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from skelrep import Poses, embed, knn_eval, read
from skelrep.plot import confusion, draw, save, timeline
from skelrep.plot.explore import page
from skelrep.recordings import Event, Events, annotated, detect, fit

IMAGES = Path(__file__).parent
sys.path[:0] = [str(IMAGES.parents[1] / "examples"), str(IMAGES.parents[1])]

import motion  # noqa: E402
from motion import make_clips  # noqa: E402

from tests.browser import SHIFT, Chromium, Tab  # noqa: E402
from tests.tutorial_files import Drawn, exercises, write_exercises  # noqa: E402

SIZE = (1200, 720)  # of the screenshots, in pixels
COLOURS = 256  # a palette of this size looks the same and needs a third of the bytes
SHOWN = "clap"  # the action of the clip that plays in the screenshots
ACTIONS = ["squat", "jump", "wave", "kick"]  # of the recordings


def main() -> None:
    """Writes the images."""
    clips = make_clips(240, noise=0.0)
    rows = embed(clips)
    strip(clips, "wave", "strip.png")
    strip(clips, "walk", "strip-walk.png")
    save(clips.select(labels="jump")[0], IMAGES / "clip.gif", view=40, pictures=12.5, end=1.6)
    confusion_matrix()
    labels = clips.labels
    assert labels is not None
    squats()
    session, truth, predicted = recordings(clips)
    timeline_of_session(session, predicted)
    windows = session.windows(1.0, 0.25)
    about_windows = page(windows, embed(windows), events={"annotated": truth, "predicted": predicted}, title="sessions")
    shown = int(np.flatnonzero(labels == SHOWN)[0])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Chromium(Path(folder))
        text = page(clips, rows, title="skelrep explorer")
        screenshots(browser, Path(folder), text, "explorer", lambda tab: tab.evaluate(f"keep({shown})"))
        screenshots(browser, Path(folder), about_windows, "explorer-timeline", select_and_name)
        browser.close()


def strip(clips: Poses, action: str, name: str) -> None:
    """Eight frames of the first clip of an action."""
    clip = clips.select(labels=action)[0]
    draw(clip, frames=8, view=35, end=1.8).savefig(IMAGES / name, dpi=100)
    shrink(IMAGES / name)


def confusion_matrix() -> None:
    """The confusion matrix of clips with so much noise that there are some errors."""
    clips = make_clips(240, seed=1, noise=0.06)
    train, test = clips.select(split="train"), clips.select(split="test")
    result = knn_eval(embed(train), train.labels, embed(test), test.labels, k=1)  # type: ignore[arg-type]
    confusion(result).savefig(IMAGES / "confusion.png", dpi=100)
    shrink(IMAGES / "confusion.png")


def timeline_of_session(session: Poses, events: Events) -> None:
    """The timeline of the first recording."""
    timeline(session[:1], events[events.clip == session.ids[0]]).savefig(IMAGES / "timeline.png", dpi=100)
    shrink(IMAGES / "timeline.png")


def squats() -> None:
    """The timeline of the squats in a drawn video."""
    clip = exercises(motion)
    with tempfile.TemporaryDirectory() as folder:
        video = write_exercises(Path(folder) / "exercises.mp4", clip, motion)
        poses = read(video, pose_model=Drawn(clip, motion))
        example = annotated(poses, Events.of([Event("exercises", 0.2, 2.4, "squat")]))
        timeline(poses, detect(example, poses)).savefig(IMAGES / "timeline-squats.png", dpi=100)
    shrink(IMAGES / "timeline-squats.png")


def recordings(clips: Poses) -> tuple[Poses, Events, Events]:
    """Two recordings made of clips, what happens in them, and what a classifier of other clips says."""
    train, test = clips.select(split="train"), clips.select(split="test")
    assert test.labels is not None and test.fps is not None
    found, truth = [], []
    for at, name in enumerate(("session-1", "session-2")):
        some = test.select(labels=ACTIONS)[at::2][:9]
        assert some.labels is not None
        found.append(np.concatenate(some.clips, axis=1))
        ends = np.cumsum([clip.shape[1] for clip in some.clips]) / test.fps
        rows = zip([0.0, *ends[:-1].tolist()], ends.tolist(), some.labels.tolist())
        truth += [Event(name, *row) for row in rows]
    session = Poses(found, test.skeleton, ids=["session-1", "session-2"], fps=test.fps)
    classifier = fit(train.select(labels=ACTIONS), groups="subject")
    return session, Events.of(truth), classifier.segments(session, window=1.0, stride=0.25)


def screenshots(browser: Chromium, folder: Path, text: str, name: str, act: Callable[[Tab], None]) -> None:
    """Screenshots of a page in both colour schemes, after some actions."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    for scheme in ("light", "dark"):
        tab = browser.tab((folder / "page.html").as_uri(), SIZE, dark=scheme == "dark")
        tab.until("wide > 0")  # its first picture
        act(tab)
        time.sleep(0.6)  # the clip plays
        (IMAGES / f"{name}-{scheme}.png").write_bytes(tab.picture())
        tab.close()
        shrink(IMAGES / f"{name}-{scheme}.png")


def select_and_name(tab: Tab) -> None:
    """Labels one class, and selects some windows of another by the lasso."""
    tab.evaluate("keep(pointsOf[0][9])")
    tab.until("!by('times').hidden && barWide > 100")
    named, others = ACTIONS[:2]
    tab.evaluate(f"select(membersOf(classes.indexOf({named!r})))")
    tab.evaluate(f"nameSelection({named!r})")
    place = "left + wide / 2 + (x - state.x) * scale(), top + high / 2 + (y - state.y) * scale()"
    middle = f"middles[classes.indexOf({others!r})], map.getBoundingClientRect()"
    at = np.array(tab.evaluate(f"(([x, y], {{left, top}}) => [{place}])({middle})"))
    angles = np.linspace(0, 1.94 * np.pi, 40)
    ring = at + 62 * np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + 0.12 * np.sin(3 * angles))[:, None]
    tab.drag(ring.tolist(), SHIFT)
    tab.evaluate(f"by('typed').value = {others!r}")


def shrink(path: Path) -> None:
    """Rewrites an image with a palette."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
