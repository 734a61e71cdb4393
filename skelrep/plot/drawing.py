"""Drawing skeletons with matplotlib: one clip as a viewer sees it, and a strip of its moments."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skelrep.messages import caption, warn
from skelrep.plot.arrangement import shifts
from skelrep.plot.body import DEFAULT_FPS, bones, drawable, ground, head, is_face, oriented, sides, tips, trunk_length
from skelrep.plot.figures import new_figure
from skelrep.poses import Poses, as_poses
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and vermilion of Okabe and Ito, Color Universal Design (2008), which colour-blind people can distinguish. Trunks
# have darker colours, a different one for each person.
LEFT, RIGHT = "#0072B2", "#D55E00"
TRUNKS = ("#333333", "#117755", "#882255", "#887711")

_DPI = 110
_INCHES_PER_TRUNK = 0.75  # a standing person is about three trunks, or 2.4 inches, tall
_LARGEST_SIZE = (14.0, 6.0)  # inches; a larger figure does not fit on a screen
_HEADER, _FOOTER = 0.35, 0.28  # inches for the title and for the time
_NARROWEST, _INCHES_PER_LETTER = 2.2, 0.09  # inches, so that the time and the title fit

# Lengths in trunks.
_HEAD_RADIUS = 0.24  # 0.12 m for a trunk of 0.5 m
_LINE_WIDTH = 0.11
_ROOM_AT_SIDES, _ROOM_ABOVE, _ROOM_BELOW = 0.35, 0.4, 0.25  # for heads, thick lines, and the floor
_ROOM_BETWEEN_GROUPS = 1.0  # on each side, so that moments are farther apart than the persons of one moment
_FLOOR_BELOW_FEET = 0.06  # half the width of a line, which is centred on the joint

# Relative to the width of a line, or to 1.
_FARTHEST, _NEARER = 0.65, 0.5  # width of the farthest line, and how much wider the nearest line is
_FARTHEST_PALENESS = 0.4  # fraction of white in the colour of the farthest line
_RIM = 0.35  # white border of a line, which shows which of two crossing limbs is in front
_RIM_INSET = 0.4  # by how much the border is shorter, so that it does not cover the next limb
_DOT = 0.8  # diameter of a joint without lines
_TRAIL_SECONDS, _TRAIL_OPACITY = 0.4, 0.45
_TRAIL_WIDTHS = (0.2, 0.5)  # width at the end of a trail, and how much wider it is at the joint


def draw(
    poses: Any,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    view: float = 30.0,
    frames: int = 8,
    fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    placement: str = "auto",
) -> Figure:
    """Draws a strip of moments of one clip.

    Blue is left and vermilion right; nearer lines are thicker and darker; hands and feet leave a trail.

    Examples:
        >>> draw(clips[7], frames=5, start=2, end=4).savefig("strip.png")

    Args:
        poses: One clip, as `embed` takes it.
        skeleton: The joints of an array.
        view: Camera angle in degrees around the person: 0 is from the front, larger angles move to the person's left.
        frames: Number of moments, equally spaced in time; at most the number of frames.
        fps: Frames per second of the clip, if it has none.
        start: Start time in seconds.
        end: End time in seconds.
        placement: Where several persons are drawn. "recorded": at their recorded positions. "side-by-side": at equal
            distances. "auto": at their recorded positions, unless two are at the same position (then side by side) or
            there is a large gap between them (then with a smaller gap); a warning reports either.

    Raises:
        ValueError: for several clips, one that shows nobody, or a range outside the clip.
        ModuleNotFoundError: without matplotlib.
    """
    scene = Scene.of(poses, skeleton, view, fps, start, end, placement)
    moments = np.unique(np.linspace(0, scene.frames - 1, frames).round().astype(int))
    # All moments have columns of the same width, that of the widest.
    x = scene.poses[..., 0][:, moments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of moments in which nobody is seen
        left, right = np.nanmin(x, axis=(0, 2)), np.nanmax(x, axis=(0, 2))
    room = _ROOM_AT_SIDES if len(scene.poses) == 1 else _ROOM_BETWEEN_GROUPS
    column = np.nanmax(right - left) + 2 * room * scene.trunk
    figure, axes = scene.figure(0.0, column * len(moments))
    for i, frame in enumerate(moments):
        centre = column * (i + 0.5)
        scene.paint(axes, frame, shift=centre - np.nan_to_num((left[i] + right[i]) / 2))
        axes.text(centre, scene.bottom, f"{scene.time(frame):.1f} s", ha="center", va="top", color="#777777")
    return figure


@dataclass
class Scene:
    """One clip, or a range of it, as a viewer sees it; it paints its frames.

    Attributes:
        poses: (M, T, V, 3) float64 to the right, up, and towards the viewer, in the clip's unit.
        skeleton: The skeleton of the poses.
        title: The title above the drawing.
        fps: Frames per second.
        first: Index of the first frame in the clip.
        trunk: Length of a trunk in the clip's unit.
        inches: Inches in the figure per unit of the clip.
        floor: Height of the floor; None if no feet are seen.
    """

    poses: np.ndarray
    skeleton: Skeleton
    title: str
    fps: float
    first: int
    trunk: float
    inches: float = 1.0
    floor: float | None = None

    @classmethod
    def of(
        cls,
        poses: Any,
        skeleton: Skeleton | str | Sequence[str] | None,
        view: float,
        fps: float | None,
        start: float | None = None,
        end: float | None = None,
        placement: str = "auto",
    ) -> Scene:
        """The scene of one clip; arguments and errors are those of `draw`."""
        if not np.isfinite(view):
            raise ValueError(f"view must be a number of degrees, got {view}")
        clip = as_poses(poses, skeleton=skeleton, fps=fps)
        if len(clip) != 1:
            raise ValueError(f"expected one clip, got {len(clip)}; choose one, for example poses[0]")
        rate = clip.fps or DEFAULT_FPS
        span = _span(clip, rate, start, end)
        clip = drawable(Poses([clip.clips[0][:, span]], clip.skeleton, clip.ids, clip.labels, clip.fps))
        turned = oriented(clip.clips[0], clip.skeleton)
        if np.isnan(turned).all():
            where = "" if start is None and end is None else f" from {span.start / rate:g} to {span.stop / rate:g} s"
            raise ValueError(f"clip {clip.ids[0]!r} shows nobody{where}")
        if clip.channels == 3:
            cos, sin = np.cos(np.radians(view)), np.sin(np.radians(view))
            turned = turned @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        turned = turned.astype(np.float64)
        trunk = trunk_length(turned, clip.skeleton)
        moves = shifts(turned, trunk, placement)
        if moves.any():
            turned[..., 0] += moves[:, None, None]
            if placement == "auto":
                warn("persons are not drawn at their recorded positions; placement='recorded' draws them there")
        title = clip.ids[0] if clip.labels is None else f"{clip.ids[0]} · {clip.labels[0]}"
        return cls(turned, clip.skeleton, caption(title), rate, span.start, trunk)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.poses.shape[1]

    @property
    def bottom(self) -> float:
        """The lower edge of the axes."""
        return float(np.nanmin(self.poses[..., 1])) - _ROOM_BELOW * self.trunk

    def time(self, frame: int) -> float:
        """Seconds since the start of the clip."""
        return (self.first + frame) / self.fps

    def figure(
        self, left: float | None = None, right: float | None = None, footer: float = 0.0, narrowest: float = _NARROWEST
    ) -> tuple[Figure, Axes]:
        """A figure with empty axes in the clip's unit, from `left` to `right`; by default all frames fit.

        Args:
            left: In the clip's unit.
            right: In the clip's unit.
            footer: Inches to leave free below the time.
            narrowest: Smallest width of the figure in inches.
        """
        left, right, bottom, top = self._limits(left, right)
        self.inches = min(
            _INCHES_PER_TRUNK / self.trunk, _LARGEST_SIZE[0] / (right - left), _LARGEST_SIZE[1] / (top - bottom)
        )
        width = max((right - left) * self.inches, _INCHES_PER_LETTER * len(self.title), narrowest)
        height = (top - bottom) * self.inches
        below = _FOOTER + footer
        total = height + _HEADER + below
        figure = new_figure(figsize=(width, total), dpi=_DPI)
        axes = figure.add_axes((0, below / total, 1, height / total))
        self._begin(axes, left, right, bottom, top, width)
        look = {"ha": "center", "va": "top", "size": 11, "color": "#222222", "parse_math": False}
        figure.text(0.5, 1 - 0.1 / total, self.title, **look)
        return figure, axes

    def within(self, axes: Axes, width: float, height: float) -> None:
        """Makes axes of `width` and `height` inches ready for all frames."""
        left, right, bottom, top = self._limits()
        self.inches = min(width / (right - left), height / (top - bottom))
        self._begin(axes, left, right, bottom, bottom + height / self.inches, width)

    def _limits(self, left: float | None = None, right: float | None = None) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of what is drawn."""
        room = _ROOM_AT_SIDES * self.trunk
        left = float(np.nanmin(self.poses[..., 0])) - room if left is None else left
        right = float(np.nanmax(self.poses[..., 0])) + room if right is None else right
        return left, right, self.bottom, float(np.nanmax(self.poses[..., 1])) + _ROOM_ABOVE * self.trunk

    def _begin(self, axes: Axes, left: float, right: float, bottom: float, top: float, width: float) -> None:
        """Sets the limits of axes that are `width` inches wide, and draws the floor."""
        spare = width / self.inches - (right - left)
        axes.set(xlim=(left - spare / 2, right + spare / 2), ylim=(bottom, top), aspect="equal")
        axes.set_axis_off()
        if (height := ground(self.poses, self.skeleton)) is not None:
            self.floor = height - _FLOOR_BELOW_FEET * self.trunk
            axes.axhline(self.floor, color="#BBBBBB", lw=1, zorder=0)

    def paint(self, axes: Axes, frame: int, shift: float = 0.0) -> list[Any]:
        """Draws all persons at one frame, moved to the right by `shift`; returns what was drawn."""
        depth = self.poses[..., 2]
        low, high = np.nanmin(depth), np.nanmax(depth)
        # Divided by at least a trunk, so that a clip with little depth has similar widths and colours everywhere.
        nearness = np.clip((depth[:, frame] - (low + high) / 2) / max(high - low, self.trunk) + 0.5, 0, 1)
        seen = [person for person in range(len(depth)) if not np.isnan(depth[person, frame]).all()]
        drawn: list[Any] = []
        for layer, person in enumerate(sorted(seen, key=lambda person: np.nanmean(depth[person, frame]))):
            drawn += self._paint_person(axes, person, frame, shift, nearness[person], layer + 2)
        return drawn

    def _paint_person(
        self, axes: Axes, person: int, frame: int, shift: float, near: np.ndarray, layer: int
    ) -> list[Any]:
        """Draws limbs, joints without lines, head, shadow and trails. `near` is (V,), from 0 (far) to 1 (near)."""
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Circle

        pose = self.poses[person, frame, :, :2] + (shift, 0)
        colours = np.array([to_rgb(colour) for colour in (TRUNKS[person % len(TRUNKS)], LEFT, RIGHT)])
        side = np.array(sides(self.skeleton))
        width = 72 * _LINE_WIDTH * self.trunk * self.inches  # points

        lines, looks, widths, joined = [], [], [], set()
        for i, parent in sorted(bones(self.skeleton), key=lambda pair: np.nan_to_num(near[list(pair)].sum())):
            middle = (near[i] + near[parent]) / 2
            if np.isnan(middle):
                continue
            joined |= {i, parent}
            which = side[i] if side[parent] in (0, side[i]) else 0
            thick = width * (_FARTHEST + _NEARER * middle)
            ends = pose[[i, parent]]
            lines += [(1 - _RIM_INSET) * ends + _RIM_INSET * ends.mean(axis=0), ends]
            looks += [(1.0, 1.0, 1.0), _paler(colours[which], middle)]
            widths += [thick + _RIM * width, thick]
        limbs = LineCollection(lines, colors=looks, linewidths=widths, capstyle="round", zorder=layer)
        drawn: list[Any] = [axes.add_collection(limbs)]

        face = {i for i, joint in enumerate(self.skeleton.joints) if is_face(joint)}
        dots = [i for i in range(len(pose)) if not np.isnan(near[i]) and i not in joined | face]
        sizes = (_DOT * width * (_FARTHEST + _NEARER * near[dots])) ** 2
        dot_colours = [_paler(colours[side[i]], near[i]) for i in dots]
        drawn.append(axes.scatter(*pose[dots].T, s=sizes, color=dot_colours, lw=0, zorder=layer + 0.3))

        if seen_face := [i for i in head(self.skeleton) if not np.isnan(near[i])]:
            middle = near[seen_face].mean()
            radius = _HEAD_RADIUS * self.trunk * (0.9 + 0.2 * middle)  # a tenth smaller if far, a tenth larger if near
            look = {"facecolor": _paler(colours[0], middle), "edgecolor": "white", "lw": 0.2 * width}
            drawn.append(axes.add_patch(Circle(pose[seen_face].mean(axis=0), radius, zorder=layer + 0.6, **look)))

        if self.floor is not None:
            shadow = [np.nanmin(pose[:, 0]), np.nanmax(pose[:, 0])], [self.floor] * 2
            drawn += axes.plot(*shadow, color="#AAAAAA", lw=0.5 * width, zorder=0.5, solid_capstyle="round")

        begin = max(0, frame - round(_TRAIL_SECONDS * self.fps))
        if begin < frame:
            fading = np.linspace(0, 1, frame - begin)
            for i in tips(self.skeleton):
                path = self.poses[person, begin : frame + 1, i, :2] + (shift, 0)
                trail = LineCollection(
                    list(np.stack([path[:-1], path[1:]], axis=1)),
                    colors=[(*colours[side[i]], _TRAIL_OPACITY * opacity) for opacity in fading],
                    linewidths=width * (_TRAIL_WIDTHS[0] + _TRAIL_WIDTHS[1] * fading),
                    zorder=1,
                )
                drawn.append(axes.add_collection(trail))
        return drawn


def _span(clip: Poses, fps: float, start: float | None, end: float | None) -> slice:
    """The frames of one clip from `start` to `end` seconds."""
    frames = clip.clips[0].shape[1]
    begin = 0.0 if start is None else start
    stop = math.inf if end is None else end
    if not 0 <= begin < stop:  # false for NaN, too
        got = ", ".join(f"{name}={value:g}" for name, value in (("start", start), ("end", end)) if value is not None)
        raise ValueError(f"start must be at least 0 and less than end, in seconds; got {got}")
    if begin * fps >= frames:
        raise ValueError(f"clip {clip.ids[0]!r} lasts {frames / fps:g} s; start={begin:g} is after its end")
    first = min(round(begin * fps), frames - 1)
    return slice(first, max(first + 1, round(min(frames, stop * fps))))


def _paler(colour: np.ndarray, near: float) -> tuple[float, ...]:
    """A colour mixed with more white the farther away it is."""
    return tuple(colour + (1 - colour) * _FARTHEST_PALENESS * (1 - near))
