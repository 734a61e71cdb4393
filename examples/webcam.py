"""Live recognition of your own classes from a webcam: what happens now, and each segment when it has ended.

pip install '.[video]'
skelrep fit clips/ -o head --labels folder
python examples/webcam.py head 0 --pose-model pose_landmarker_full.task      # the first camera
python examples/webcam.py head session.mp4                                   # a video in its place

The class of the last window is on stderr, the segments are on stdout. A class with a question mark is only the nearest
one: the window is unlike all training clips. If it stays, train with clips from the same camera, or pass --no-reject.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from skelrep.io import MediaPipePose
from skelrep.io.video.decoding import open_video
from skelrep.recordings import Classifier, LiveSegments

VISIBLE = 0.5  # below it MediaPipe guesses where a joint is


def frames(source):
    """The seconds and the picture (H, W, 3) of each frame of a camera, by its number, or of a video."""
    if not source.isdecimal():
        with open_video(Path(source)) as video:
            yield from video.frames()
        return
    import cv2  # comes with mediapipe

    camera = cv2.VideoCapture(int(source))
    if not camera.isOpened():
        raise SystemExit(f"camera {source} cannot be opened")
    begin = time.monotonic()
    try:
        while True:  # until Ctrl+C
            seen, image = camera.read()
            if not seen:
                return
            yield time.monotonic() - begin, np.ascontiguousarray(image[..., ::-1])
    finally:
        camera.release()


def watch(live, source, estimator, status=lambda seconds, text: None):
    """The segments of a camera or a video, each as soon as it is known; `status` is called with what happens now."""
    estimator.begin()
    try:
        for seconds, image in frames(source):
            found = estimator(image, seconds)[:1]  # one person
            for person in found:
                pose = np.where(person.scores[:, None] < VISIBLE, np.nan, person.points)
                yield from live.feed(seconds, pose)
            status(seconds, now(live, seconds, found))
        yield from live.finish()
        for guess in live.latest:
            status(guess.end, said(guess))
    finally:
        estimator.end()


def now(live, seconds, found):
    """What happens now, in a few words."""
    if not found:
        return "nobody is seen"
    if not live.latest:
        return f"the first window is complete after {live.window:g} s"
    return said(live.latest[0])


def said(guess):
    """A class, with a question mark if the window is unlike all training clips."""
    return f"{guess.label}{'' if guess.known else '?'} ({guess.probability:.0%})"


def status_line():
    """A function that shows a text: one line that changes, or in a pipe a line for each change."""
    last = None

    def show(seconds, text):
        nonlocal last
        if sys.stderr.isatty():
            print(f"\r\x1b[K{seconds:7.1f} s: {text}", end="", file=sys.stderr, flush=True)
        elif text != last:
            print(f"{seconds:7.1f} s: {text}", file=sys.stderr, flush=True)
        last = text

    return show


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", help="folder of a classifier, from `skelrep fit`")
    parser.add_argument("source", help="number of a camera, or a video")
    parser.add_argument("--pose-model", help="MediaPipe bundle (default: SKELREP_POSE_MODEL)")
    parser.add_argument("--fps", type=float, default=30.0, help="rate of the camera (default: 30)")
    parser.add_argument("--window", type=float, help="seconds (default: the median duration of the training clips)")
    parser.add_argument("--stride", type=float, help="seconds (default: a quarter of the window)")
    parser.add_argument("--no-reject", action="store_true", help="also classify what is unlike all training clips")
    arguments = parser.parse_args()
    classifier = Classifier.load(arguments.head)
    estimator = MediaPipePose(arguments.pose_model, persons=1)
    live = LiveSegments(
        classifier,
        fps=arguments.fps,
        skeleton=estimator.skeleton,
        window=arguments.window,
        stride=arguments.stride,
        reject=not arguments.no_reject,
        clip=arguments.source,
    )
    print(f"segments are known {live.delay:.2g} s after their end", file=sys.stderr)
    for event in watch(live, arguments.source, estimator, status_line()):
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{clear}{event.start:7.1f} to {event.end:.1f} s: {event.label} ({event.score:.0%})", flush=True)


if __name__ == "__main__":
    main()
