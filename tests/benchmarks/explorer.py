"""How fast is the explorer page with 20 000 windows? Processor time and distance of its pictures, and screenshots.

    python -m tests.benchmarks.explorer [--windows 20000] [--pictures FOLDER]

Made-up recordings with events, in headless Chromium without a GPU (see tests/browser.py). For each kind of action the
mouse moves for some seconds; the processor time of all processes of the browser is divided by the number of pictures.
The distances of pictures, in elapsed time, also depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from skelrep import Poses
from skelrep.plot import explore
from skelrep.recordings import Event, Events
from skelrep.skeletons import SKELETONS
from tests.bodies import walking
from tests.browser import SHIFT, Chromium, Tab

RECORDINGS, FPS, JOINTS = 20, 30.0, "ntu-25"
STEPS = 120  # movements of the mouse for each action
_COUNT = "window.shown = []; (function next(at) { window.shown.push(at); requestAnimationFrame(next) })(0); 0"


def made_up(count: int) -> tuple[Poses, np.ndarray, Events]:
    """Windows of a second of people who walk, rows of twelve kinds, and events."""
    rng = np.random.default_rng(0)
    frames = 15 * (count // RECORDINGS) + 15  # a window every half second
    body = walking(JOINTS, frames).astype(np.float32)
    clips = [body + rng.normal(scale=0.01, size=body.shape).astype(np.float32) for _ in range(RECORDINGS)]
    recordings = Poses(clips, SKELETONS[JOINTS], ids=[f"session {i}" for i in range(RECORDINGS)], fps=FPS)
    windows = recordings.windows(1.0, 0.5)
    kinds = np.random.default_rng(1).integers(12, size=len(windows))
    rows = rng.normal(size=(12, 64))[kinds] + 0.6 * rng.normal(size=(len(windows), 64))
    seconds = frames / FPS
    events = Events.of(
        Event(name, begin, begin + 3.0, f"action {kind}", float(rng.random()))
        for name in recordings.ids
        for begin, kind in zip(np.arange(0, seconds - 3, 10).tolist(), rng.integers(6, size=int(seconds)).tolist())
    )
    return windows, rows.astype(np.float32), events


def processor_seconds(browser: Chromium) -> float:
    """Of all processes of the browser so far."""
    return sum(process["cpuTime"] for process in browser.call("SystemInfo.getProcessInfo")["processInfo"])


def measure(browser: Chromium, tab: Tab, act: Callable[[int], None]) -> dict[str, float]:
    """Milliseconds of processor time for each picture, and the median and 95 % quantile of their distances."""
    tab.evaluate("window.shown.length = 1; 0")
    begin = processor_seconds(browser)
    for step in range(STEPS):
        act(step)
    spent, times = processor_seconds(browser) - begin, np.diff(tab.evaluate("window.shown.slice(1)"))
    return {
        "pictures": len(times),
        "processor ms": 1000 * spent / max(len(times), 1),
        "median ms": float(np.median(times)),
        "95 % ms": float(np.quantile(times, 0.95)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    arguments = parser.parse_args()
    windows, rows, events = made_up(arguments.windows)
    windows, rows = windows[: explore.MOST_CLIPS], rows[: explore.MOST_CLIPS]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "page.html"
        path.write_text(explore.page(windows, rows, events=events), encoding="utf-8")
        print(json.dumps({"windows": len(windows), "MB": round(path.stat().st_size / 1e6, 1)}), flush=True)
        browser = Chromium(Path(temporary))
        try:
            _explored(browser, path, arguments.pictures)
        finally:
            browser.close()


def _explored(browser: Chromium, path: Path, pictures: Path | None) -> None:
    tab = browser.tab(path.as_uri(), size=(1400, 900))
    tab.until("wide > 0")
    print(json.dumps({"opened after processor s": round(processor_seconds(browser), 1)}), flush=True)
    tab.evaluate(_COUNT)
    left, top, width, height = tab.evaluate(
        "(({left, top, width, height}) => [left, top, width, height])(map.getBoundingClientRect())"
    )
    middle = np.array([left + width / 2, top + height / 2])

    def around(step: int, size: float = 0.3) -> list[float]:
        angle = 2 * np.pi * step / 60
        return (middle + size * min(width, height) * np.array([np.cos(angle), np.sin(angle)])).tolist()

    def shown(name: str, act: Callable[[int], None]) -> None:
        figures = measure(browser, tab, act)
        print(json.dumps({"action": name, **{key: round(value, 1) for key, value in figures.items()}}), flush=True)
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            (pictures / f"{name}.png").write_bytes(tab.picture())

    shown("hovering", lambda step: tab.mouse("Moved", around(step)))
    shown("zooming", lambda step: tab.mouse("Wheel", middle.tolist(), deltaX=0, deltaY=-20 if step < 60 else 20))
    tab.mouse("Pressed", around(0), button="left", clickCount=1)
    shown("moving", lambda step: tab.mouse("Moved", around(step, 0.1), button="left", buttons=1))
    tab.mouse("Released", around(0), button="left", clickCount=1)
    tab.mouse("Pressed", around(0), SHIFT, button="left", clickCount=1)
    shown("lassoing", lambda step: tab.mouse("Moved", around(step // 2), SHIFT, button="left", buttons=1))
    tab.mouse("Released", around(59), SHIFT, button="left", clickCount=1)
    if pictures is not None:
        for scheme in ("light", "dark"):
            tab.scheme(scheme)
            tab.evaluate("new Promise(done => setTimeout(done, 300))")
            (pictures / f"selected-{scheme}.png").write_bytes(tab.picture())


if __name__ == "__main__":
    main()
