"""Creates the images of the documentation from synthetic clips. Chromium takes the screenshots of the explorer page.

Run `python docs/images/make.py [--browser chromium]` in the root of the repository. Pillow comes with matplotlib.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from skelrep import Poses, embed, knn_eval
from skelrep.plot import confusion, draw, save
from skelrep.plot.explore import page

IMAGES = Path(__file__).parent
sys.path.insert(0, str(IMAGES.parents[1] / "examples"))

from motion import make_clips  # noqa: E402

SIZE = (1200, 720)  # of the screenshots, in pixels
COLOURS = 256  # a palette of this size looks the same and needs a third of the bytes
SHOWN = "clap"  # the action of the clip that plays in the screenshots


def main() -> None:
    """Writes strip.png, strip-walk.png, clip.gif, confusion.png, explorer-light.png and explorer-dark.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default="chromium", help="Chromium or Chrome (default: %(default)s)")
    browser = parser.parse_args().browser
    clips = make_clips(240, noise=0.0)
    rows = embed(clips)
    strip(clips, "wave", "strip.png")
    strip(clips, "walk", "strip-walk.png")
    save(clips.select(labels="jump")[0], IMAGES / "clip.gif", view=40, pictures=12.5, end=1.6)
    confusion_matrix()
    labels = clips.labels
    assert labels is not None
    text = page(clips, rows, title="skelrep explorer")
    for scheme in ("light", "dark"):
        screenshot(browser, text, scheme, int(np.flatnonzero(labels == SHOWN)[0]))


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


def screenshot(browser: str, text: str, scheme: str, clip: int) -> None:
    """A screenshot of the explorer page in a colour scheme, with one clip selected."""
    # A clip cannot be selected by the address of the page, so a script selects it; it plays for half a second.
    script = f"<script>addEventListener('load', () => setTimeout(() => {{ keep({clip}); }}, 300));</script></body>"
    name = f"explorer-{scheme}.png"
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "explorer.html"
        html.write_text(text.replace("</body>", script), encoding="utf-8")
        features = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *features]
        command += [f"--window-size={SIZE[0]},{SIZE[1]}", "--virtual-time-budget=1500", f"--user-data-dir={folder}"]
        command += [f"--screenshot={IMAGES / name}", html.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
    shrink(IMAGES / name)


def shrink(path: Path) -> None:
    """Rewrites an image with a palette."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
