"""COCO keypoints: annotations with images, and lists of results, as AlphaPose, CVAT, Label Studio and PoseTrack do.

{"images", "annotations", "categories"}, or [{"image_id", "keypoints": [x, y, v, ...]}]. The images of each
video (`video_id`, or a folder in `file_name`) become a clip; the number of an image in its video is its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.json_files import Family, as_list, first_of, natural, number_of, rate_of, reader
from skelrep.io.key_names import rank, tracker_id, value_of
from skelrep.io.keypoints import person_of
from skelrep.io.people import Person, Recording, scored
from skelrep.io.row_groups import pictures_of

_FILE_KEYS = ("file_name", "filename", "name", "image_name", "path")


class _Image(NamedTuple):
    """One picture: its video, and its frame number in the video (None if unknown)."""

    video: str
    number: float | None


def recognises(content: Any) -> bool:
    """Whether there are annotations, or results with the id of an image."""
    if isinstance(content, Mapping):
        return "annotations" in content and ("images" in content or _has_images(content["annotations"]))
    return _has_images(content)


def recordings(content: Any) -> list[Recording]:
    """A recording for each video."""
    about = content if isinstance(content, Mapping) else {}
    entries = as_list(about["annotations"] if about else content, "annotations")
    known = {str(image["id"]): image for image in about.get("images", [])}
    people: dict[str, list[Person]] = {name: [] for name in known}
    for entry in entries:
        if "keypoints" in entry and (person := _person(entry)) is not None:
            people.setdefault(str(entry.get("image_id")), []).append(person)
    images = _images(list(people), known, {str(entry.get("image_id")): entry for entry in entries})
    titles = {str(video["id"]): video for video in about.get("videos", []) if "id" in video}
    names = [category["keypoints"] for category in about.get("categories", []) if category.get("keypoints")]
    videos: dict[str, list[str]] = {}
    for name, image in images.items():
        videos.setdefault(image.video, []).append(name)
    return [
        _recording(video, members, images, people, titles.get(video, {}), names[0] if names else None, rate_of(content))
        for video, members in sorted(videos.items(), key=lambda item: natural(item[0]))
    ]


def _recording(
    video: str,
    members: list[str],
    images: Mapping[str, _Image],
    people: Mapping[str, list[Person]],
    about: Mapping[str, Any],
    joints: Any,
    fps: float | None,
) -> Recording:
    numbers: list[float] | None = [number for name in members if (number := images[name].number) is not None]
    if len(set(numbers)) < len(members):
        members, numbers = sorted(members, key=natural), None
    else:
        _check_series(numbers)
    title = first_of(about, ("name", "file_name", "title"), video)
    return Recording([people[name] for name in members], joints, numbers, fps=rate_of(about) or fps, name=str(title))


def _check_series(numbers: list[float]) -> None:
    """Raises an error if the numbers of pictures are not frames of a recording, like those of COCO's own pictures.

    In a recording, most neighbours are one step apart, even if people were found in only some of the frames.
    """
    gaps = np.diff(np.unique(np.array(numbers, dtype=float)))
    if len(gaps) >= 2 and np.median(gaps) > 100 and (gaps == gaps.min()).mean() < 0.2 and min(numbers) < 1e9:
        raise ValueError(
            f"its {len(numbers)} pictures are numbered {min(numbers):g} to {max(numbers):g} with gaps of about "
            f"{np.median(gaps):g}, so they are not frames of one recording; give the pictures of each recording a "
            "video_id"
        )


def _has_images(entries: Any) -> bool:
    first = next((entry for entry in entries if entry), None) if isinstance(entries, list) else None
    return isinstance(first, Mapping) and "image_id" in first and ("keypoints" in first or "bbox" in first)


def _person(entry: Mapping[str, Any]) -> Person | None:
    about = {**(entry.get("attributes") or {}), **entry}  # CVAT keeps track_id among the attributes
    track = tracker_id({key: value for key, value in about.items() if key != "id"})  # "id" numbers the annotations
    keypoints = entry["keypoints"]
    if isinstance(keypoints, list) and (not keypoints or not isinstance(keypoints[0], (list, Mapping))):
        return scored(keypoints, 3, track)
    found = person_of(entry)
    return None if found is None else found.person._replace(track=track)


def _images(
    ids: list[str], known: Mapping[str, Mapping[str, Any]], entries: Mapping[str, Mapping[str, Any]]
) -> dict[str, _Image]:
    """The video and frame number of each picture, from its own entries, its file name, or its id."""
    about = {name: {**entries.get(name, {}), **known.get(name, {})} for name in ids}
    paths = [str(first_of(known.get(name, {}), _FILE_KEYS, name)) for name in ids]
    stated = [_video(about[name]) for name in ids]
    from_name = pictures_of(paths)
    images = {}
    for i, name in enumerate(ids):
        video, number = from_name[i]
        # Numbers in names of pictures distinguish videos only if each video has several pictures.
        video = str(stated[i]) if None not in stated else video
        own = number_of(value_of({**about[name], "image_id": None}, "frame"))
        if own is None or (number is not None and own >= 1e9):  # PoseTrack's frame_id is the image's id
            own = number if number is not None else number_of(name)
        images[name] = _Image(video, own)
    if None in stated and len({image.video for image in images.values()}) > len(images) / 2:
        images = {name: image._replace(video="") for name, image in images.items()}
    return images


def _video(about: Mapping[str, Any]) -> Any:
    """The video of a picture according to its own entries, without its file name."""
    return value_of({key: value for key, value in about.items() if rank(key, "image") is None}, "clip")


FAMILY = Family("coco", recognises, recordings)
READER = reader(FAMILY)
