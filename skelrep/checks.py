"""Checks whether poses look like recordings of people, to find errors in files that readers cannot detect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skelrep.cleaning import find_spikes, find_swaps
from skelrep.poses import Poses
from skelrep.skeletons import DERIVATIONS, Skeleton, combination

#: Number of frames that are checked, from clips spread evenly over all; the quantities below are medians and fractions.
MOST_FRAMES = 100_000
#: Distance from hips to shoulders in metres, from children to tall adults.
TORSO = (0.25, 0.75)
UNITS = {"metres": 1.0, "centimetres": 100.0, "millimetres": 1000.0, "inches": 39.37}
#: Frames per second of cameras and motion capture.
RATES = (5.0, 1000.0)
#: Largest speed of hands in metres per second: fast hands reach about 10, those of fighters and pitchers twice as much.
FASTEST = 25.0
# Fractions above which a finding is a warning.
_MISSING, _SWAPPED, _SPIKES, _REPEATED = 0.3, 0.01, 0.002, 0.2
_BONE_CHANGE, _ASYMMETRY, _FACING = 0.15, 0.25, -0.3
_LIMBS = (
    *(("shoulder", "elbow"), ("elbow", "wrist"), ("elbow", "hand")),
    *(("hip", "knee"), ("knee", "ankle"), ("knee", "foot")),
)
_LONG_BONE = 0.3  # of the torso
# A knee that is nearer than this to the line from hip to ankle has no direction: with depth sensors, straight legs
# appear bent by 0.1, forwards or backwards.
_BENT = 0.2


@dataclass(frozen=True)
class Finding:
    """One line of a `Report`.

    Attributes:
        subject: What was checked: "bones", "sides", "missing" ...
        ok: False if it is unlikely for recordings of people.
        text: One sentence or less, with the numbers.
        values: The numbers by name, as JSON takes them.
    """

    subject: str
    ok: bool
    text: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """The result of `check`; `str(report)` has one line per finding.

    Attributes:
        findings: In a fixed order; those that do not apply, such as bones in 2-D, are left out.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all findings are likely for recordings of people."""
        return all(finding.ok for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `{"ok": ..., "findings": {subject: {"ok": ..., "text": ..., **values}}}`."""
        findings = {each.subject: {"ok": each.ok, "text": each.text, **each.values} for each in self.findings}
        return {"ok": self.ok, "findings": findings}

    def __str__(self) -> str:
        """Lines such as "bones    ok        lengths change by 2 % (median of 14 bones)"."""
        width = max(len(finding.subject) for finding in self.findings)
        return "\n".join(f"{f.subject:{width}}  {'ok' if f.ok else 'unlikely':8}  {f.text}" for f in self.findings)


def check(poses: Poses) -> Report:
    """Checks poses for properties that are unlikely in recordings of people.

    Coordinates are compared with the sizes, speeds and symmetry of human bodies. An unlikely finding is a reason to
    look at the data, not a proof of an error. Large data sets are judged by `MOST_FRAMES` frames, from clips that are
    spread evenly over them.

    Args:
        poses: At least one clip.

    Returns:
        A `Report` with the findings persons, missing, rate, unit, axes, bones, sides and jumps, as far as they apply.

    Raises:
        ValueError: if there is no clip.

    Examples:
        >>> report = check(skelrep.read("walk.bvh"))
        >>> print(report)
    """
    if not len(poses):
        raise ValueError("there is no clip to check")
    body = _Body.of(poses)
    findings = [_persons(poses), _missing(poses, body)]
    if len(body.rows):
        findings += [_rate(poses, body), _unit(poses, body), _axes(body), _bones(body), _sides(body), _jumps(body)]
    return Report(tuple(finding for finding in findings if finding is not None))


@dataclass(frozen=True)
class _Body:
    """Concatenated tracks of the persons of some clips, without the frames in which a person is not seen."""

    rows: np.ndarray  # (F, V, C) float64, NaN where missing
    starts: np.ndarray  # (R,) first row of each track
    lengths: np.ndarray  # (R,)
    skeleton: Skeleton

    @classmethod
    def of(cls, poses: Poses) -> _Body:
        frames = sum(clip.shape[0] * clip.shape[1] for clip in poses.clips)
        step = max(1, -(-frames // MOST_FRAMES))
        tracks = []
        for clip in poses.clips[::step]:
            for track in clip:
                seen = ~np.isnan(track).all(axis=(1, 2))
                if seen.any():
                    tracks.append(track[seen].astype(np.float64))
        rows = np.concatenate(tracks) if tracks else np.zeros((0, len(poses.skeleton), poses.channels))
        lengths = np.array([len(track) for track in tracks], dtype=int)
        return cls(rows, np.cumsum(lengths) - lengths, lengths, poses.skeleton)

    def point(self, *joints: str) -> np.ndarray | None:
        """(F, C) the first of these joints that the skeleton has, or that can be derived from its joints."""
        index = {joint: i for i, joint in enumerate(self.skeleton.joints)}
        for joint in joints:
            weights = combination(joint, index, len(index), DERIVATIONS)
            if weights is not None:
                used = np.flatnonzero(weights)
                return np.einsum("fvc,v->fc", self.rows[:, used], weights[used].astype(np.float64))
        return None

    def bones(self) -> list[tuple[str, np.ndarray]]:
        """Name and length in every frame, (F,), of each bone; without a tree, bones follow from the joint names."""
        names = self.skeleton.joints
        pairs = [(v, p) for v, p in enumerate(self.skeleton.parents) if v != p]
        if len({p for _, p in pairs}) == 1:  # no tree was given: the first joint is the parent of all others
            index = {joint: i for i, joint in enumerate(names)}
            limbs = [(f"{side}_{end}", f"{side}_{start}") for side in ("left", "right") for start, end in _LIMBS]
            pairs = [(index[end], index[start]) for end, start in limbs if end in index and start in index]
        return [(f"{names[p]}-{names[v]}", _length(self.rows[:, v] - self.rows[:, p])) for v, p in pairs]

    def torso(self) -> float | None:
        """Median distance from hips to shoulders in the file's unit."""
        hips, shoulders = self.point("mid_hips", "pelvis"), self.point("mid_shoulders", "neck")
        if hips is None or shoulders is None:
            return None
        found = _median(_length(shoulders - hips))
        return found if np.isfinite(found) and found > 0 else None


def _persons(poses: Poses) -> Finding:
    counts = [int((~np.isnan(clip).all(axis=(1, 2, 3))).sum()) for clip in poses.clips]
    empty = [poses.ids[i] for i, count in enumerate(counts) if not count]
    text = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    text += f" per clip in {len(poses)} clips"
    if empty:
        text = f"nobody is seen in {len(empty)} of {len(poses)} clips ({empty[0]} ...)"
    return Finding("persons", not empty, text, {"least": min(counts), "most": max(counts), "empty_clips": len(empty)})


def _missing(poses: Poses, body: _Body) -> Finding:
    absent = np.asarray(np.isnan(body.rows).any(axis=2))
    fraction = float(absent.mean()) if absent.size else 1.0
    never = [poses.skeleton.joints[v] for v in np.flatnonzero(absent.all(axis=0))] if len(absent) else []
    text = f"{_percent(fraction)} of the joints of seen persons"
    if never:
        text += f"; never seen: {', '.join(never[:6])}{' ...' if len(never) > 6 else ''}"
    return Finding("missing", fraction <= _MISSING and not never, text, {"fraction": fraction, "never_seen": never})


def _rate(poses: Poses, body: _Body) -> Finding:
    seconds = sum(clip.shape[1] for clip in poses.clips) / poses.fps if poses.fps else None
    following = np.ones(len(body.rows), dtype=bool)
    following[body.starts] = False
    same = (body.rows[1:] == body.rows[:-1]) | (np.isnan(body.rows[1:]) & np.isnan(body.rows[:-1]))
    repeated = float(same.all(axis=(1, 2))[following[1:]].mean()) if following.any() else 0.0
    values = {"fps": poses.fps, "seconds": seconds, "repeated_frames": repeated}
    often = f"; {_percent(repeated)} of the frames repeat the one before" if repeated > _REPEATED / 4 else ""
    if poses.fps is None:
        return Finding("rate", False, f"unknown; pass fps={often}", values)
    likely = RATES[0] <= poses.fps <= RATES[1] and repeated <= _REPEATED
    return Finding("rate", likely, f"{poses.fps:g} frames per second, {_duration(seconds or 0)} in all{often}", values)


def _unit(poses: Poses, body: _Body) -> Finding | None:
    torso = body.torso()
    if torso is None:
        return None
    if poses.channels == 2:
        unit = "pixels" if torso > 2 else "fractions"
        text = f"looks like {unit}: hips to shoulders {torso:.3g}"
        return Finding("unit", True, text, {"unit": unit, "torso": torso})
    unit = next((name for name, factor in UNITS.items() if TORSO[0] <= torso / factor <= TORSO[1]), None)
    values: dict[str, Any] = {"unit": unit, "torso": torso}
    if unit is None:
        return Finding("unit", False, f"no unit fits a body whose hips are {torso:.3g} from the shoulders", values)
    text = f"looks like {unit}: hips to shoulders {torso:.3g}"
    if unit != "metres":
        text += f"; scale={1 / UNITS[unit]:.4g} makes metres"
    hands = [hand for hand in (body.point("left_wrist"), body.point("right_wrist")) if hand is not None]
    fast = None
    if hands and poses.fps:
        inside = np.ones(len(body.rows), dtype=bool)
        inside[body.starts] = False
        steps = np.concatenate([_length(np.diff(hand, axis=0))[inside[1:]] for hand in hands]) / UNITS[unit]
        steps = steps[~np.isnan(steps)]
        fast = float(np.quantile(steps, 0.99)) * poses.fps if len(steps) else None
        values["hand_speed"] = fast
    if fast is not None and fast > FASTEST:
        return Finding("unit", False, f"{text}; hands move at {fast:.3g} m/s, so the unit or the rate is wrong", values)
    return Finding("unit", unit == "metres", text, values)


def _axes(body: _Body) -> Finding | None:
    """Which axis points up, and whether coordinates are right-handed: knees, toes and noses point forwards."""
    hips, shoulders = body.point("mid_hips", "pelvis"), body.point("mid_shoulders", "neck")
    left, right = body.point("left_shoulder", "left_hip"), body.point("right_shoulder", "right_hip")
    if hips is None or shoulders is None or left is None or right is None:
        return None
    feet = [(body.point(f"{side}_ankle"), body.point(f"{side}_toe", f"{side}_foot")) for side in ("left", "right")]
    low = feet[0][0] if feet[0][0] is not None else hips
    up = _unit_vectors(shoulders - (hips if np.isnan(low).all() else low))
    mean = np.nanmean(up, axis=0)
    if np.isnan(mean).any():
        return None
    axis = int(np.abs(mean).argmax())
    name = f"{'xyz'[axis]} points {'up' if mean[axis] > 0 else 'down'}"
    values: dict[str, Any] = {"up": f"{'-' * bool(mean[axis] < 0)}{'xyz'[axis]}"}
    if body.rows.shape[2] == 2:
        return Finding("axes", axis == 1, name, values)
    forward = np.cross(_unit_vectors(shoulders - hips), _unit_vectors(right - left))
    pointers = [toe - ankle for ankle, toe in feet if ankle is not None and toe is not None]
    for side in ("left", "right"):
        hip, knee, ankle = (body.point(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        if hip is not None and knee is not None and ankle is not None:
            bent = knee - (hip + ankle) / 2
            bent[_length(bent) < _BENT * _length(ankle - hip)] = np.nan
            pointers.append(bent)
    cosines = np.concatenate([(_unit_vectors(pointer) * forward).sum(axis=1) for pointer in pointers] or [[]])
    cosines = cosines[~np.isnan(cosines)]
    facing = float(cosines.mean()) if len(cosines) > len(body.rows) // 20 else None
    values["facing"] = facing
    if facing is not None and facing < _FACING:
        text = f"{name}; knees and toes point backwards: left and right are swapped, or coordinates are left-handed"
        return Finding("axes", False, text, values)
    known = "" if facing is None else ", right-handed" if facing > -_FACING else ", handedness unclear"
    return Finding("axes", True, name + known, values)


def _bones(body: _Body) -> Finding | None:
    """How much the lengths of bones change within a track; None in 2-D, where lengths change with every movement."""
    if body.rows.shape[2] == 2:
        return None
    changes = {}
    for name, length in body.bones():
        found = [_change(part) for part in np.split(length, body.starts[1:])]
        if not np.isnan(found).all():
            changes[name] = _median(np.array(found))
    if not changes:
        return None
    worst = max(changes, key=lambda name: changes[name])
    typical = _median(np.array(list(changes.values())))
    text = f"lengths change by {_percent(typical)} (median of {len(changes)} bones)"
    text += f", {worst} by {_percent(changes[worst])}"
    return Finding("bones", typical <= _BONE_CHANGE, text, {"change": typical, "worst": worst, "changes": changes})


def _sides(body: _Body) -> Finding | None:
    """Frames in which left and right are swapped, and bones whose lengths differ between left and right."""
    joints = np.arange(len(body.skeleton))
    if not any(joint.startswith("left_") for joint in body.skeleton.joints):
        return None
    rows = body.rows.astype(np.float32)
    swapped = float(find_swaps(rows, body.starts, body.lengths, body.skeleton, joints).mean())
    uneven, worst = 0.0, ""
    if body.rows.shape[2] == 3:
        lengths = {name: _median(length) for name, length in body.bones()}
        least = _LONG_BONE * (body.torso() or 0.0)
        for name, length in lengths.items():
            other = lengths.get(name.replace("left_", "right_"), np.nan)
            # Sensors have errors of centimetres: large relative to a hand or a foot, small relative to an arm or a leg.
            if name.startswith("left_") and min(length, other) > 0 and max(length, other) > least:
                difference = abs(length - other) / max(length, other)
                uneven, worst = max((uneven, worst), (difference, name.replace("left_", "")))
    text = f"swapped in {_percent(swapped)} of the frames"
    if uneven > _ASYMMETRY:
        text += f"; {worst} differs by {_percent(uneven)} between left and right"
    values = {"swapped": swapped, "asymmetry": uneven, "worst": worst or None}
    return Finding("sides", swapped <= _SWAPPED and uneven <= _ASYMMETRY, text, values)


def _jumps(body: _Body) -> Finding:
    joints = np.arange(len(body.skeleton))
    row, _ = find_spikes(body.rows.astype(np.float32), body.starts, body.lengths, joints)
    fraction = len(row) / body.rows[..., 0].size
    text = f"{_percent(fraction)} of the joints jump away and back"
    return Finding("jumps", fraction <= _SPIKES, text, {"fraction": fraction})


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(vectors).sum(axis=-1))


def _unit_vectors(vectors: np.ndarray) -> np.ndarray:
    length = _length(vectors)[..., None]
    return np.divide(vectors, length, out=np.full_like(vectors, np.nan), where=length > 0)


def _median(values: np.ndarray) -> float:
    seen = values[~np.isnan(values)]
    return float(np.median(seen)) if len(seen) else np.nan


def _change(lengths: np.ndarray) -> float:
    """Half the range of the middle 80 % of the frames, relative to the median: a few bad frames do not count."""
    seen = lengths[~np.isnan(lengths)]
    if len(seen) < 5 or not np.median(seen):
        return np.nan
    low, high = np.quantile(seen, [0.1, 0.9])
    return float((high - low) / 2 / np.median(seen))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"


def _duration(seconds: float) -> str:
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < most:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 3600:.1f} h"
