"""Xsens MVNX: the positions of body segments in XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.timeline import timeline
from skelrep.memory_budget import bounded
from skelrep.messages import one_line
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton, custom, resolve

# The segments of the MVN body model, each with the joint at its origin: "RightUpperArm" begins at the shoulder,
# "RightShoulder" at the inner end of the collar bone.
_TRUNK = {"Pelvis": "pelvis", "L5": "spine", "L3": "l3", "T12": "t12", "T8": "chest", "Neck": "neck", "Head": "head"}
_ARM = {"Shoulder": "collar", "UpperArm": "shoulder", "ForeArm": "elbow", "Hand": "wrist"}
_LEG = {"UpperLeg": "hip", "LowerLeg": "knee", "Foot": "ankle", "Toe": "toe"}
_CHAINS = [_TRUNK] + [
    {start: "", **{side + segment: f"{side.lower()}_{joint}" for segment, joint in limb.items()}}
    for side in ("Right", "Left")
    for start, limb in (("T8", _ARM), ("Pelvis", _LEG))
]
_JOINT = {segment: joint for chain in _CHAINS for segment, joint in chain.items() if joint}
_PARENT = {child: parent for chain in _CHAINS for parent, child in zip(chain, list(chain)[1:])}


def read_mvnx(path: Path, options: ReadOptions) -> Poses:
    """Reads the segments of an `.mvnx`, versions 2 to 4: metres, z up.

    Frames of calibration (types "identity" and "tpose") are left out.

    Args:
        path: The file.
        options: `skeleton`: other names for the segments.

    Returns:
        One clip (M, T, V, 3), a person for each subject, at the first one's frame rate.

    Raises:
        ValueError: if the file is not XML of this format, or a frame does not have three numbers per segment.
    """
    subjects: list[tuple[dict[str, str], list[str], list[np.ndarray], list[float]]] = []
    about: dict[str, str] = {}
    segments: list[str] = []
    rows: list[np.ndarray] = []
    numbers: list[float] = []
    try:
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            tag = element.tag.rpartition("}")[2]
            if event == "start":
                if tag == "subject":
                    about, segments, rows, numbers = dict(element.attrib), [], [], []
                continue
            if tag == "segment":
                segments.append(element.get("label") or "")
            elif tag == "frame":
                if element.get("type", "normal") == "normal":
                    rows.append(_positions(element, len(segments)))
                    numbers.append(float(element.get("index") or len(numbers)))
                element.clear()
            elif tag == "subject":
                subjects.append((about, segments, rows, numbers))
                element.clear()
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"{path} is damaged or not an MVNX file ({one_line(error)})") from None
    subjects = [subject for subject in subjects if subject[2]]
    if not subjects:
        raise ValueError(f"{path} contains no subject with frames of type 'normal'")
    about, segments = subjects[0][0], subjects[0][1]
    if any(other != segments for _, other, _, _ in subjects):
        raise ValueError(f"{path} contains subjects with different segments; export one file per subject")
    frames = [number for _, _, _, numbers in subjects for number in numbers]
    line = timeline(frames=frames, fps=_rate(about))
    person = np.repeat(np.arange(len(subjects)), [len(rows) for _, _, rows, _ in subjects])
    bounded(len(subjects), len(line.position), len(segments), 3)
    clip = np.full((len(subjects), len(line.position), len(segments), 3), np.nan, dtype=np.float32)
    clip[person, line.moment] = np.concatenate([rows for _, _, rows, _ in subjects])
    skeleton = _skeleton(segments) if options.skeleton is None else resolve(options.skeleton, len(segments))
    return Poses([line.on_grid(clip, axis=1)], skeleton, [path.stem], fps=line.fps)


READER = Reader("mvnx", (".mvnx",), read_mvnx)


def _positions(frame: ElementTree.Element, segments: int) -> np.ndarray:
    text = next((child.text for child in frame if child.tag.rpartition("}")[2] == "position"), None)
    values = (text or "").split()
    if len(values) != 3 * segments or not segments:
        raise ValueError(
            f"frame {frame.get('index', '?')} contains {len(values)} position values, but {segments} segments need "
            f"{3 * segments}; export with the positions of the segments"
        )
    return np.array(values, dtype=np.float32).reshape(segments, 3)


def _rate(about: dict[str, str]) -> float | None:
    try:
        rate = float(about.get("frameRate", "nan"))
    except ValueError:
        return None
    return rate if 0 < rate < np.inf else None


def _skeleton(segments: list[str]) -> Skeleton:
    """The joints at which segments begin; segments that are not in the body model (props) keep their names."""
    joints = [_JOINT.get(name, name) for name in segments]
    index = {name: i for i, name in enumerate(segments)}
    parents = [index.get(_PARENT.get(name, name), i) for i, name in enumerate(segments)]
    return custom(joints, parents, "xsens")
