"""Live recognition of your own classes from a webcam: prints each segment when it has ended.

pip install '.[video]'
skelrep fit clips/ -o head --labels folder
python examples/webcam.py head 0 --pose-model pose_landmarker_full.task      # the first camera
python examples/webcam.py head session.mp4                                   # a video in its place
"""

import argparse
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
    while True:  # until Ctrl+C
        seen, image = camera.read()
        if not seen:
            return
        yield time.monotonic() - begin, np.ascontiguousarray(image[..., ::-1])


def watch(source, classifier, estimator, fps, window, stride):
    """The segments of a camera or a video, each as soon as it is known."""
    live = LiveSegments(classifier, fps=fps, skeleton=estimator.skeleton, window=window, stride=stride)
    print(f"segments are known {live.delay:.2g} s after their end")
    estimator.begin()
    try:
        for seconds, image in frames(source):
            found = estimator(image, seconds)[:1]  # one person
            for person in found:
                pose = np.where(person.scores[:, None] < VISIBLE, np.nan, person.points)
                yield from live.feed(seconds, pose)
        yield from live.finish()
    finally:
        estimator.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", help="folder of a classifier, from `skelrep fit`")
    parser.add_argument("source", help="number of a camera, or a video")
    parser.add_argument("--pose-model", help="MediaPipe bundle (default: SKELREP_POSE_MODEL)")
    parser.add_argument("--fps", type=float, default=30.0, help="rate of the camera (default: 30)")
    parser.add_argument("--window", type=float, default=2.0, help="seconds (default: 2)")
    parser.add_argument("--stride", type=float, default=0.5, help="seconds (default: 0.5)")
    arguments = parser.parse_args()
    classifier = Classifier.load(arguments.head)
    estimator = MediaPipePose(arguments.pose_model, persons=1)
    for event in watch(arguments.source, classifier, estimator, arguments.fps, arguments.window, arguments.stride):
        print(f"{event.start:7.1f} to {event.end:.1f} s: {event.label} ({event.score:.0%})", flush=True)


if __name__ == "__main__":
    main()
