"""`PreprocessConfig`: how an encoder's input is made from raw clips, and the configs that are in use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from skelrep.persons import PersonRule

Joints = tuple[str, ...]  # several joints mean the mean position of those that are seen


def _added(default: Any) -> Any:
    """A key that older configs lack; its default leaves their encoders unchanged."""
    return field(default=default, metadata={"when_missing": default})


@dataclass(frozen=True)
class PreprocessConfig:
    """The processing of raw poses into the encoder's input; part of every checkpoint.

    Attributes:
        frames: T, the number of frames that every clip is resampled to; with `rate`, of a view in training.
        rate: Frames per second of the encoder's input, for clips of any length. No frame then needs a later one, so
            that a live stream gives the same embedding (see `skelrep.causal`); needs align="running". None: every clip
            is resampled to `frames`, whatever its duration.
        crop: Fraction of the clip that is kept, from its middle; CMD embeds 0.95.
        persons: M. If there are more persons, the most active are kept; absent persons are zero.
        per_person: True: every person is centred, rotated and scaled by its own joints. False: all persons by the
            joints of the first one, so that their relative position is kept, as in CMD.
        center: The origin of every frame.
        up: (from, to): the direction from the first joints to the second ones is rotated to +z.
        up_else: Replaces `up` if that direction is never seen, as with people behind a desk; None: they are not
            rotated.
        right: (from, to): then the direction from the first joints to the second ones (left to right shoulder) is
            rotated to +x.
        align: How these two directions are measured. "first": in the first frame; the second rotation is the smallest
            one, even if it tilts +z again (`pre_normalization` of 2s-AGCN, which CMD uses). "mean": their mean over the
            clip; the second rotation is about z. (With a single frame, noise costs 2 to 6 points of 1-NN accuracy on
            raw poses.) "running": in each frame, their mean over the frames so far, and the same for the scale; needs
            `rate`.
        scale: (from, to): the mean distance between the two is scaled to 1; None keeps the unit.
        scale_else: Bones (joint, joint, length) that replace `scale`, in order, if its joints are never seen: the mean
            length of the bone is scaled to the given length. If none is seen, or none is given, the root mean square
            distance of the joints from the origin is scaled to 1.
        trim: Whether frames in which nobody is seen are cut off at both ends; otherwise the nearest pose fills them.
            With `rate`, frames in which a person is not seen are always left out.
        undo_swaps: Whether swaps of left and right in some frames are undone (`find_swaps`).
        remove_spikes: Whether positions of a joint far from those before and after are interpolated (`find_spikes`).
        derive_missing: Whether a joint that is never seen in a clip is derived from others (`skelrep.completion`);
            otherwise it is zero.
        keep: The measure of activity. "energy": `coordinate_energy`, as in the NTU readers. "movement":
            `motion_energy`.
        weigh: Weights of the persons' features in that of the clip. "equal": all the same. "sightings": proportional to
            how often the person's joints are seen, so that a false detection in a few frames hardly counts.
        pairs: How two persons are normalised if neither is seen less than half as often as the other. "apart": like
            single persons. "partner": each in the coordinate system of the other: centred at the other, scaled by the
            other, and rotated so that the direction from the other to the person is +x. The embedding then contains
            their positions and movements relative to each other, in either order of the persons.
    """

    frames: int = 64
    crop: float = 1.0
    persons: int = 2
    per_person: bool = True
    center: Joints = ("mid_hips", "mid_shoulders")
    # Legs lean less often than the trunk. If they are not seen, the mean is that of the hips alone.
    up: tuple[Joints, Joints] = (
        ("mid_hips", "left_knee", "right_knee", "left_ankle", "right_ankle"),
        ("mid_shoulders",),
    )
    up_else: tuple[Joints, Joints] | None = (("mid_shoulders",), ("head",))
    right: tuple[Joints, Joints] = (("left_shoulder",), ("right_shoulder",))
    align: Literal["first", "mean", "running"] = "mean"
    scale: tuple[Joints, Joints] | None = (("mid_hips",), ("mid_shoulders",))
    scale_else: tuple[tuple[str, str, float], ...] = _added(())
    trim: bool = _added(False)
    undo_swaps: bool = _added(False)
    remove_spikes: bool = _added(False)
    derive_missing: bool = _added(False)
    keep: PersonRule = _added("energy")
    weigh: Literal["equal", "sightings"] = _added("equal")
    pairs: Literal["apart", "partner"] = _added("apart")
    rate: float | None = _added(None)

    @property
    def timing(self) -> str:
        """What clips are resampled to, in words."""
        return f"{self.frames} frames" if self.rate is None else f"{self.rate:g} frames per second"


#: For new encoders: with all repairs, which have no measurable effect on clean data.
ROBUST = PreprocessConfig(
    trim=True,
    undo_swaps=True,
    remove_spikes=True,
    derive_missing=True,
    keep="movement",
    weigh="sightings",
    pairs="partner",
    # Relative to the trunk, arms and shins have the same length in Kinect and motion-capture data; shoulders and necks
    # do not.
    scale_else=(
        ("left_shoulder", "left_elbow", 0.65),
        ("right_shoulder", "right_elbow", 0.65),
        ("left_knee", "left_ankle", 0.95),
        ("right_knee", "right_ankle", 0.95),
    ),
)

#: For encoders of live streams: with the repairs that need no future.
STREAMING = replace(ROBUST, frames=32, rate=15.0, align="running", undo_swaps=False, remove_spikes=False, pairs="apart")

#: The preprocessing of CMD's public feeder and of the AGCN reader before it, on the "ntu-25" skeleton.
CMD_LINE = PreprocessConfig(
    frames=64,
    crop=0.95,
    persons=2,
    per_person=False,
    center=("spine",),
    up=(("pelvis",), ("spine",)),
    up_else=None,
    right=(("left_shoulder",), ("right_shoulder",)),
    align="first",
    scale=None,
)
