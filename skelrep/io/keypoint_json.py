"""What pose estimators and depth cameras write as JSON, told apart by its contents; and MediaPipe's results in memory.

- OpenPose (`--write_json`): a file for each frame, {"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}.
- COCO keypoints: annotations {"images", "annotations", "categories"}, or the list of results that AlphaPose and others
  write as well, [{"image_id", "keypoints": [x, y, v, ...]}].
- MMPose: {"meta_info", "instance_info": [{"frame_id", "instances": [...]}]} of its demos, the list in it of its
  inferencer, or the instances of one picture.
- Azure Kinect (Microsoft's offline_processor): {"frames": [{"bodies": [{"body_id", "joint_positions"}]}]}.
- MediaPipe Pose: a list of frames, each a list of 33 landmarks {"x", "y", "z", "visibility"} or [x, y, z, visibility],
  or {"pose_world_landmarks": ..., "pose_landmarks": ...} in the spellings of its interfaces.
- Joints by name: {"positions": {frame: {joint: [x, y] or [x, y, z]}}}, as in the Keraal data set.

People keep the ids of a tracker where every one has such an id, and else the order in which each frame lists them. A
joint of score zero was not seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.numpy_files import bounded, rate
from skelrep.io.reader import Reader, ReadOptions
from skelrep.layouts import missing_as_nan
from skelrep.messages import warn
from skelrep.poses import Poses
from skelrep.skeletons import resolve

_WORLD_LANDMARKS = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
_PICTURE_LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks")
_HIPS = (23, 24)  # of MediaPipe's landmarks
_OPENPOSE = {25: "openpose-25", 18: "openpose-18"}  # by the number of keypoints: BODY_25 and COCO


class _Person(NamedTuple):
    """Somebody in one frame: who, if a tracker says so; points (V, C); scores (V,), if there are any."""

    track: Any
    points: np.ndarray
    scores: np.ndarray | None


# The people of each frame, what their joints are (None: not told), and frames a second.
_Recording = tuple[list[list[_Person]], Any, "float | None"]


def read_json(path: Path, options: ReadOptions) -> Poses:
    """Reads a JSON file of any of the kinds that the module lists.

    Args:
        path: The file.
        options: `skeleton`: what the joints are, where the file does not say or says it wrong. `scale`: given, no
            warning is needed of coordinates that are fractions of a picture.

    Returns:
        One clip (M, T, V, C): pixels as they are; Azure Kinect's millimetres and MediaPipe's world landmarks in metres
        with y up. A warning says if coordinates are fractions of a picture's width and height.

    Raises:
        ValueError: if the file is no JSON or of no such kind; if keypoints are no numbers, or vary in number.
    """
    try:
        frames, known, fps = _recording(_load(path))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not as its kind of file should be ({type(error).__name__}: {error})") from error
    if isinstance(known, list) and not all(isinstance(name, str) for name in known):
        raise ValueError(f"{path} names joints by other things than words: {str(known)[:60]}")
    clip, scores = _assembled(frames)
    table = resolve(known if options.skeleton is None else options.skeleton, clip.shape[2])
    in_picture = clip.shape[3] == 2 or (table.name == "mediapipe-33" and not _turn_world_up(clip))
    if in_picture and options.scale is None:
        _warn_of_fractions(clip, f"{path}: ")
    return Poses([clip], table, [path.stem], fps=fps, scores=None if scores is None else [scores])


def read_openpose(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads a single file of OpenPose's, as `read_openpose_folder` reads many."""
    return read_openpose_folder(path.parent, [path], options)


def read_openpose_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """Reads OpenPose's files of one frame each.

    Args:
        folder: Where the files lie, in it or in folders below it.
        files: The files.
        options: `skeleton`: what the joints are, by default BODY_25 or COCO by their number. `scale`: as in
            `read_json`.

    Yields:
        A clip (M, T, V, C) for every folder and name, as `walk` in `walk_000000000012_keypoints.json`; its frames are
        its files, in the order of their numbers.

    Raises:
        ValueError: for a malformed file.
    """

    def recording(file: Path) -> tuple[str, str]:
        return str(file.parent), re.sub(r"_?\d*(_keypoints)?$", "", file.stem)

    for (_, name), group in groupby(sorted(files, key=lambda file: (*recording(file), _natural(file.stem))), recording):
        members = list(group)
        frames = []
        for file in members:
            content = _load(file)
            if not isinstance(content, dict) or "people" not in content:
                raise ValueError(f"{file} holds no 'people'; expected what OpenPose writes of a frame")
            try:
                frames.append(_openpose_people(content))
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                raise ValueError(f"{file} is not as OpenPose writes a frame ({error})") from error
        below = members[0].parent.relative_to(folder).as_posix()
        clip, scores = _assembled(frames)
        if clip.shape[3] == 2 and options.scale is None:
            _warn_of_fractions(clip, f"{folder}: ")
        yield Poses(
            [clip],
            resolve(options.skeleton or _OPENPOSE.get(clip.shape[2]), clip.shape[2]),
            ["/".join(part for part in (below, name) if part not in (".", "")) or members[0].parent.name],
            scores=None if scores is None else [scores],
        )


def from_mediapipe(results: Any, *, fps: float | None = None, scale: Sequence[float] | None = None) -> Poses:
    """Poses from MediaPipe's pose landmarks in memory: one clip of all frames.

    World landmarks are told from landmarks in the picture by their origin, which lies between the hips.

    Args:
        results: For each frame a result of MediaPipe's Pose or PoseLandmarker (world landmarks are taken where there
            are any), a list of landmarks, or a dict of either; or an array (T, 33, 3), (T, 33, 4) or (T, 33, 5) of
            x, y, z, visibility, presence. None is a frame in which nobody was seen.
        fps: Frames a second.
        scale: Factors of x, y and z for landmarks in the picture, which are fractions of its width and height, so that
            poses are stretched without it: (width, height, 0) to do without the depth, which is rough there.

    Returns:
        A clip (M, T, 33, 3): world landmarks in metres with y up, landmarks in the picture times `scale` with y down;
        visibility as scores.

    Raises:
        ValueError: if nobody is seen in any frame, or somebody has not 33 landmarks.
    """
    clip, scores = _assembled([_landmarks(frame) for frame in results])
    if clip.shape[2:] != (33, 3):
        raise ValueError(f"MediaPipe Pose has 33 landmarks of x, y, z, got {clip.shape[2]} of {clip.shape[3]}")
    if not _turn_world_up(clip):
        if scale is None:
            _warn_of_fractions(clip, "")
        else:
            clip *= np.asarray(scale, dtype=np.float32)
    return Poses([clip], resolve("mediapipe-33"), fps=fps, scores=None if scores is None else [scores])


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error})") from None


def _recording(content: Any) -> _Recording:
    """What a file holds, by its keys."""
    first = next((item for item in content if item), None) if isinstance(content, list) else None
    keys = first if isinstance(first, dict) else ()
    if isinstance(content, dict):
        if "people" in content:
            people = _openpose_people(content)
            return [people], _OPENPOSE.get(len(people[0].points)) if people else None, None
        if isinstance(content.get("positions"), dict):
            return _named(content["positions"])
        if "annotations" in content:
            return _coco(content["annotations"], content)
        if "instance_info" in content:
            return _mmpose(content["instance_info"], content.get("meta_info"))
        if isinstance(content.get("frames"), list):
            if any(isinstance(frame, dict) and "bodies" in frame for frame in content["frames"]):
                return _azure(content)
            return [_landmarks(frame) for frame in content["frames"]], "mediapipe-33", None
    elif "image_id" in keys:
        return _coco(content, {})
    elif "instances" in keys:
        return _mmpose(content, None)
    elif "keypoints" in keys:  # MMPose's inferencer, of one picture
        return _mmpose([{"instances": content}], None)
    elif isinstance(first, list) or {*_WORLD_LANDMARKS, *_PICTURE_LANDMARKS} & set(keys):
        return [_landmarks(frame) for frame in content], "mediapipe-33", None
    what = f"a dict of {', '.join(map(str, content))[:100]}" if isinstance(content, dict) else type(content).__name__
    raise ValueError(
        f"it holds {what}; known are OpenPose's people, COCO's annotations or results, MMPose's instances, Azure "
        "Kinect's frames, lists of MediaPipe's landmarks, and positions by frame and joint"
    )


def _openpose_people(content: dict) -> list[_Person]:
    people = []
    for person in _list(content["people"], "people"):
        width, flat = 4, person.get("pose_keypoints_3d")
        if not flat:
            width, flat = 3, person.get("pose_keypoints_2d", person.get("pose_keypoints"))
        track = (person.get("person_id") or [-1])[0]
        people.append(_scored(flat, width, None if track == -1 else track))
    return people


def _named(positions: dict) -> _Recording:
    frames = [positions[frame] for frame in sorted(positions, key=_natural)]
    if not all(isinstance(frame, dict) for frame in frames):
        raise ValueError("its positions are no frames of named joints")
    names = list(dict.fromkeys(name for frame in frames for name in frame))
    channels = max((len(_list(point, "a joint")) for frame in frames for point in frame.values()), default=0)
    bounded(len(frames), len(names), channels)
    places = {name: i for i, name in enumerate(names)}
    people = []
    for frame in frames:
        points = np.full((len(names), channels), np.nan, dtype=np.float32)
        for joint, point in frame.items():
            points[places[joint]] = _numbers(point, (channels,))
        people.append([_Person(None, points, None)] if frame else [])
    return people, None if all(name.isdecimal() for name in names) else names, None


def _coco(entries: Any, about: dict) -> _Recording:
    images = [image["id"] for image in about.get("images", [])]
    frames: dict[Any, list[_Person]] = {name: [] for name in sorted(images, key=_natural)}
    for entry in _list(entries, "annotations"):
        if "keypoints" in entry:
            track = entry.get("track_id", entry.get("idx"))
            track = track if isinstance(track, (int, str)) else None
            frames.setdefault(entry.get("image_id"), []).append(_scored(entry["keypoints"], 3, track))
    if not images:
        frames = {name: frames[name] for name in sorted(frames, key=_natural)}
    named = [category["keypoints"] for category in about.get("categories", []) if category.get("keypoints")]
    people = list(frames.values())
    return people, named[0] if named else _coco_17(people), None


def _mmpose(entries: Any, meta: Any) -> _Recording:
    frames = []
    for entry in _list(entries, "instance_info"):
        people = []
        for person in _list(entry["instances"], "instances"):
            points = _numbers(person["keypoints"])
            scores = person.get("keypoint_scores")
            scores = None if scores is None else _numbers(scores, points.shape[:1])
            people.append(_Person(person.get("track_id"), points, scores))
        frames.append(people)
    named = (meta or {}).get("keypoint_id2name")
    if named:
        return frames, [named[key] for key in sorted(named, key=_natural)], None
    return frames, _coco_17(frames), None


def _coco_17(frames: list[list[_Person]]) -> str | None:
    """The usual meaning of 17 keypoints in a picture; those in space may be Human3.6M's."""
    shapes = {person.points.shape for people in frames for person in people}
    return "coco-17" if shapes == {(17, 2)} else None


def _azure(content: dict) -> _Recording:
    frames = []
    for frame in content["frames"]:
        people = []
        for body in _list(frame["bodies"], "bodies"):
            # Depth camera's axes: x right, y down, z ahead, in millimetres; half a turn about x sets y up.
            points = _numbers(body["joint_positions"], (len(body["joint_positions"]), 3))
            points = points * np.array([1, -1, -1], dtype=np.float32) / 1000
            people.append(_Person(body.get("body_id"), points, None))
        frames.append(people)
    times = [frame["timestamp_usec"] for frame in content["frames"] if "timestamp_usec" in frame]
    fps = rate(float(np.median(np.diff(times))) / 1e6) if len(times) > 1 else None
    return frames, content.get("joint_names", "azure-kinect-32"), fps and round(fps, 1)


def _landmarks(frame: Any) -> list[_Person]:
    """The people in a frame of MediaPipe's: a result object, a dict like it, landmarks of one person or of several."""
    found = frame
    if isinstance(frame, Mapping) or any(hasattr(frame, name) for name in _WORLD_LANDMARKS + _PICTURE_LANDMARKS):
        values = [_field(frame, name) for name in _WORLD_LANDMARKS + _PICTURE_LANDMARKS]
        found = next((value for value in values if value), None)
    found = _field(found, "landmark", found)  # the older interface wraps them once more
    if found is None or not len(found):
        return []
    several = isinstance(found[0], (list, tuple)) and len(found[0]) and not isinstance(found[0][0], (int, float))
    people = []
    for points in found if several else [found]:
        rows = _numbers([_landmark(point) for point in points])
        shown = not np.isnan(rows[:, 3]).any() and bool((rows[:, 3] > 0).any())
        people.append(_Person(None, rows[:, :3].copy(), rows[:, 3] if shown else None))
    return people


def _landmark(point: Any) -> list:
    """x, y, z and visibility, NaN where it is not known."""
    if isinstance(point, (list, tuple, np.ndarray)):
        return [*point[:3], point[3] if len(point) > 3 else np.nan]
    place, visibility = [_field(point, axis) for axis in "xyz"], _field(point, "visibility")
    if None in place:
        raise ValueError(f"a landmark has x, y, z = {place}; all three are needed")
    return [*place, np.nan if visibility is None else visibility]


def _field(thing: Any, name: str, default: Any = None) -> Any:
    return thing.get(name, default) if isinstance(thing, Mapping) else getattr(thing, name, default)


def _turn_world_up(clip: np.ndarray) -> bool:
    """Turns MediaPipe's world landmarks (M, T, 33, 3), which have y down, upright in place; False if they are others.

    Their origin lies between the hips; in fractions of a picture this would be its corner.
    """
    middle = np.abs(clip[:, :, _HIPS].mean(axis=2))
    if np.isnan(middle).all() or np.nanmedian(middle) > 0.05:
        return False
    clip[..., 1:] *= -1
    return True


def _warn_of_fractions(clip: np.ndarray, where: str) -> None:
    low, high = np.nanmin(clip[..., :2]), np.nanmax(clip[..., :2])
    if low >= -0.1 and high <= 1.1:  # with room for joints guessed beyond the picture
        warn(
            f"{where}coordinates between {low:.2g} and {high:.2g} are taken for fractions of a picture's width and "
            "height, which stretch the poses; pass scale=(width, height), in 3-D with a third factor for the depth"
        )


def _scored(flat: Any, width: int, track: Any) -> _Person:
    """Somebody from [x, y, score, ...], flat or joint by joint."""
    rows = _numbers(flat)
    if rows.size % width or not rows.size:
        raise ValueError(f"keypoints of {rows.size} numbers; expected {width} a joint, the last of them a score")
    rows = rows.reshape(-1, width)
    return _Person(track, rows[:, :-1].copy(), rows[:, -1])


def _numbers(values: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # what is too large is refused below
            array = np.array(values, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        array = None
    if array is None or np.isinf(array).any() or (shape is not None and array.shape != shape):
        raise ValueError(f"got {str(values)[:60]} where {'' if shape is None else f'{shape} '}numbers should stand")
    return array


def _list(value: Any, what: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{what} is a {type(value).__name__}, not a list")
    return value


def _natural(name: Any) -> list:
    """Sorts 2 before 10 within names."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", str(name))]


def _assembled(frames: list[list[_Person]]) -> tuple[np.ndarray, np.ndarray | None]:
    """The clip (M, T, V, C) and, if everybody has some, the scores (M, T, V) of the people in each frame."""
    people = [person for frame in frames for person in frame]
    if not people:
        raise ValueError(f"nobody is seen in any of its {len(frames)} frames")
    shapes = {person.points.shape for person in people}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"people have keypoints of several shapes: {', '.join(map(str, sorted(shapes)[:5]))}")
    tracked = all(person.track is not None for person in people)
    keys = [[str(person.track) if tracked else i for i, person in enumerate(frame)] for frame in frames]
    slots = {key: i for i, key in enumerate(dict.fromkeys(key for frame in keys for key in frame))}
    shape = (len(slots), len(frames), *people[0].points.shape)
    bounded(*shape)
    clip = np.full(shape, np.nan, dtype=np.float32)
    scores = np.zeros(shape[:3], dtype=np.float32) if all(person.scores is not None for person in people) else None
    for t, frame in enumerate(frames):
        for key, person in zip(keys[t], frame):
            clip[slots[key], t] = person.points
            if scores is not None:
                scores[slots[key], t] = person.scores
    if scores is not None:
        clip[scores == 0] = np.nan
    return missing_as_nan(clip), scores


def sniff(path: Path) -> bool:
    """Whether a JSON file is of one of these kinds."""
    try:
        _recording(_load(path))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return True


def collect_openpose(files: Sequence[Path]) -> list[Path]:
    """OpenPose's files of one frame each, by their name."""
    return [file for file in files if file.name.endswith("_keypoints.json")]


READERS = (
    Reader(
        "openpose",
        (".json",),
        read_openpose,
        lambda path: path.name.endswith("_keypoints.json"),
        collect_openpose,
        read_openpose_folder,
    ),
    Reader("json", (".json",), read_json, sniff),
)
