"""Pictures: moving skeletons, and the confusion matrices of evaluations.

Matplotlib draws them, without a screen; it comes with the extra `plot`.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skelrep.alignment import map_joints
from skelrep.evaluate import KNNResult, LinearResult
from skelrep.files import replacing
from skelrep.messages import install
from skelrep.poses import Poses, as_poses
from skelrep.skeletons import SKELETONS, Skeleton, mapping

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and vermilion of Okabe and Ito, Color Universal Design (2008), which colour-blind people can tell apart; trunks
# tell persons from each other, and are darker.
LEFT, RIGHT = "#0072B2", "#D55E00"
TRUNKS = ("#333333", "#117755", "#882255", "#887711")
FACE = ("nose", "head", "head_top", *(f"{side}_{part}" for side in ("left", "right") for part in ("eye", "ear")))
FACE += tuple(f"{side}_{part}" for side in ("left", "right") for part in ("eye_inner", "eye_outer", "mouth"))
USUAL_FPS = 30.0  # taken where a clip does not say: what most cameras and depth sensors give
_HEAD = 0.24  # radius in lengths of the trunk: 0.12 m to 0.5 m
_TRAIL = 0.4  # seconds
_TILT = 25.0  # degrees; people who sit or lie say nothing about their sensor


# -- what a spectator sees ------------------------------------------------------------------------------------------


def drawable(poses: Poses) -> Poses:
    """The same poses, on the common skeleton if their own says of no joint what it hangs on.

    Raises:
        ValueError: if it cannot be mapped; the message lists the joints.
    """
    parents = set(poses.skeleton.parents)
    if len(parents) > 1 or len(poses.skeleton) < 3:
        return poses
    common = SKELETONS["common-15"]
    matrix = torch.from_numpy(mapping(poses.skeleton, common))
    clips = [map_joints(torch.from_numpy(clip), matrix).numpy() for clip in poses.clips]
    return Poses(clips, common, poses.ids, poses.labels, poses.fps, info=poses.info)


def bones(skeleton: Skeleton) -> list[tuple[int, int]]:
    """The pairs of joints to draw a line between.

    Those of the tree, without the lines within a face, for which a head is drawn; where shoulders hang on the nose and
    hips on the shoulders, as in COCO's tree, lines across join them.
    """
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    pairs = []
    for i, parent in enumerate(skeleton.parents):
        joint, upper = skeleton.joints[i], skeleton.joints[parent]
        on_face = upper in FACE and (joint in FACE or joint.endswith("_shoulder"))
        if i != parent and not on_face:
            pairs.append((i, parent))
        if joint == "left_shoulder" and on_face or joint == "left_hip" and upper == "left_shoulder":
            pairs.append((i, index[joint.replace("left", "right")]))
    return pairs


def sides(skeleton: Skeleton) -> list[int]:
    """For every joint 0 (trunk), 1 (left) or 2 (right)."""
    return [1 if joint.startswith("left_") else 2 if joint.startswith("right_") else 0 for joint in skeleton.joints]


def head(skeleton: Skeleton) -> list[int]:
    """The joints in whose middle a head is drawn."""
    names = ("head", "left_ear", "right_ear", "left_eye", "right_eye", "nose", "head_top")
    found = [i for i, joint in enumerate(skeleton.joints) if joint in names[:5]]
    return found or [i for i, joint in enumerate(skeleton.joints) if joint in names[5:]][:1]


def oriented(clip: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """A clip as somebody sees it who stands in front of the first person.

    Up is the axis of the coordinates, with its sign, along which the shoulders are above the legs on the average: files
    have y up, z up, or y down as images do. Sensors are tilted, so that up is finally the mean way from ankles to hips
    where that is within 25 degrees of it. In front is where the shoulders face on the average.

    Args:
        clip: (M, T, V, C), C of 2 or 3.
        skeleton: What its joints are.

    Returns:
        (M, T, V, 3) in the clip's unit: to the right, up, and towards the spectator (0 for two-dimensional poses);
        the middle of what was seen is the origin.
    """
    upwards = _middle(clip, skeleton, "shoulder", "neck", "mid_shoulders", "head", "nose")
    upwards = upwards - _middle(clip, skeleton, "knee", "ankle", "hip", "pelvis", "mid_hips")
    across = _middle(clip[:1], skeleton, "left_shoulder", "left_hip")
    across = across - _middle(clip[:1], skeleton, "right_shoulder", "right_hip")
    if clip.shape[3] == 2:
        sign = 1.0 if upwards[1] > 0 else -1.0  # NaN, and so unknown joints, are an image's
        turned = np.concatenate([clip * (1, sign), np.where(np.isnan(clip[..., :1]), np.nan, 0.0)], axis=-1)
    else:
        axis = 1 if np.isnan(upwards).any() else int(np.abs(upwards).argmax())
        up = np.eye(3)[axis] * (-1.0 if upwards[axis] < 0 else 1.0)
        standing = _unit(_middle(clip, skeleton, "hip", "pelvis", "mid_hips") - _middle(clip, skeleton, "ankle"))
        if standing @ up > np.cos(np.radians(_TILT)):
            up = standing
        # Where nobody's left and right were seen, the next axis will do.
        across = across - (across @ up) * up
        right = _unit(across if np.abs(across).max() > 0 else np.cross(up, np.eye(3)[axis - 1]))
        turned = clip @ np.stack([right, up, np.cross(right, up)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a clip in which nobody is seen
        low, high = np.nanmin(turned, axis=(0, 1, 2)), np.nanmax(turned, axis=(0, 1, 2))
    return turned - np.nan_to_num((low + high) / 2)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def tips(skeleton: Skeleton) -> list[int]:
    """The joints that leave a trail."""
    return [i for i, joint in enumerate(skeleton.joints) if joint.endswith(("_wrist", "_ankle"))]


def ground(turned: np.ndarray, skeleton: Skeleton) -> float | None:
    """The height of the floor in an oriented clip: where the feet are lowest; None if no ankle or foot is seen."""
    feet = [i for i, joint in enumerate(skeleton.joints) if joint.endswith(("ankle", "foot", "heel", "toe"))]
    heights = turned[:, :, feet, 1]
    return None if np.isnan(heights).all() else float(np.nanmin(heights))


def trunk(turned: np.ndarray, skeleton: Skeleton) -> float:
    """The length of the first person's trunk, the measure of heads and lines; a third of the height if not seen."""
    upper, lower = (
        _middle(turned[:1], skeleton, *names)
        for names in (("shoulder", "shoulders", "neck"), ("hip", "hips", "pelvis"))
    )
    length = float(np.linalg.norm(upper - lower))
    if not length > 0:  # NaN as well
        heights = turned[..., 1]
        length = float(np.fmax.reduce(heights, axis=None) - np.fmin.reduce(heights, axis=None)) / 3
    return length if length > 0 else 1.0


def _middle(clip: np.ndarray, skeleton: Skeleton, *names: str) -> np.ndarray:
    """(C,) mean of the joints whose names end so; NaN if there is none."""
    rows = [i for i, joint in enumerate(skeleton.joints) if joint.endswith(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(clip[:, :, rows].astype(np.float64), axis=(0, 1, 2))


# -- moving skeletons -----------------------------------------------------------------------------------------------


def draw(poses: Any, *, skeleton: Any = None, view: float = 30.0, frames: int = 8, fps: float | None = None) -> Figure:
    """A strip of moments of one clip, side by side.

    Blue is left and vermilion right; what is nearer is thicker and darker; hands and feet leave a trail.

    Args:
        poses: One clip, as `embed` takes them.
        skeleton: What the joints of an array are.
        view: Degrees that the spectator walks around the person, to their left, from where they face.
        frames: How many moments, evenly spread; no more than there are.
        fps: Frames a second, if the clip does not say.

    Raises:
        ValueError: for several clips, or one that shows nobody.
        ModuleNotFoundError: without matplotlib.
    """
    scene = _Scene.of(poses, skeleton, view, fps)
    moments = np.unique(np.linspace(0, scene.poses.shape[1] - 1, frames).round().astype(int))
    # Each moment stands in a column of its own, as wide as the widest.
    x = scene.poses[..., 0][:, moments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        left, right = np.nanmin(x, axis=(0, 2)), np.nanmax(x, axis=(0, 2))
    column = np.nanmax(right - left) + 2 * scene.margin
    figure, axes = scene.figure(0.0, column * len(moments))
    low = scene.low
    for place, frame in enumerate(moments):
        centre = column * (place + 0.5)
        scene.paint(axes, frame, shift=centre - np.nan_to_num((left[place] + right[place]) / 2))
        axes.text(centre, low, f"{frame / scene.fps:.1f} s", ha="center", va="top", color="#777777")
    return figure


def animate(
    poses: Any, *, skeleton: Any = None, view: float = 30.0, fps: float | None = None, pictures: float | None = None
) -> FuncAnimation:
    """One clip in motion, at its own speed; in a notebook `IPython.display.HTML(animate(clip).to_jshtml())`.

    Args:
        poses: One clip, as `embed` takes them.
        skeleton: What the joints of an array are.
        view: As in `draw`.
        fps: Frames a second of the clip, if it does not say.
        pictures: Pictures a second; by default 25 at most.

    Raises:
        ValueError: as `draw`.
        ModuleNotFoundError: without matplotlib.
    """
    figure, show, moments, rate = _Scene.of(poses, skeleton, view, fps).film(pictures)
    from matplotlib.animation import FuncAnimation

    return FuncAnimation(figure, show, frames=moments, interval=1000 / rate, cache_frame_data=False)


def save(
    poses: Any,
    path: str | os.PathLike,
    *,
    skeleton: Any = None,
    view: float = 30.0,
    fps: float | None = None,
    pictures: float | None = None,
) -> None:
    """Draws one clip into a file: a `.gif` of the motion, or a `.png` of some moments side by side.

    Args:
        poses: One clip, as `embed` takes them.
        path: The file.
        skeleton: What the joints of an array are.
        view: As in `draw`.
        fps: Frames a second of the clip, if it does not say.
        pictures: Pictures a second of the `.gif`; by default 25 at most.

    Raises:
        ValueError: for another suffix, and as `draw`.
        ModuleNotFoundError: without matplotlib.
    """
    path = Path(path)
    if (suffix := path.suffix.lower()) not in (".gif", ".png"):
        raise ValueError(f"a picture is a .gif or a .png, got {str(path)!r}")
    if suffix == ".png":
        figure = draw(poses, skeleton=skeleton, view=view, fps=fps)
        with replacing(path) as file:
            figure.savefig(file, format="png")
        return
    figure, show, moments, rate = _Scene.of(poses, skeleton, view, fps).film(pictures)
    from PIL import Image  # which matplotlib needs

    images = []
    for frame in moments:
        show(frame)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
        images.append(Image.fromarray(pixels).convert("RGB"))
    # One palette for all: a palette of each picture's own makes colours flicker, and dithering makes noise.
    sample = images[:: max(1, len(images) // 8)]
    montage = Image.new("RGB", (sample[0].width, sample[0].height * len(sample)))
    for place, image in enumerate(sample):
        montage.paste(image, (0, place * image.height))
    palette = montage.quantize(128)
    first, *rest = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[first.getpixel((0, 0))] = 255  # the background, which quantisation makes only nearly white
    for image in (first, *rest):
        image.putpalette(colours.ravel().tolist())
    with replacing(path) as file:
        first.save(file, format="GIF", save_all=True, append_images=rest, duration=1000 / rate, loop=0)


@dataclass
class _Scene:
    """One clip as it is drawn, and the hand that draws it."""

    poses: np.ndarray  # (M, T, V, 3) right, up, towards the spectator
    skeleton: Skeleton
    title: str
    fps: float
    trunk: float  # its length, the measure of everything
    inch: float = 1.0  # a unit of the clip in the figure
    floor: float | None = None

    @classmethod
    def of(cls, poses: Any, skeleton: Any, view: float, fps: float | None) -> _Scene:
        if not np.isfinite(view):
            raise ValueError(f"view must be a number of degrees, got {view}")
        clip = drawable(as_poses(poses, skeleton=skeleton, fps=fps))
        if len(clip) != 1:
            raise ValueError(f"one clip is drawn at a time, got {len(clip)}; choose one: poses[0]")
        turned = oriented(clip.clips[0], clip.skeleton)
        if np.isnan(turned).all():
            raise ValueError(f"clip {clip.ids[0]!r} shows nobody")
        if clip.channels == 3:
            cos, sin = np.cos(np.radians(view)), np.sin(np.radians(view))
            turned = turned @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        title = clip.ids[0] if clip.labels is None else f"{clip.ids[0]} · {clip.labels[0]}"
        return cls(turned.astype(np.float64), clip.skeleton, title, clip.fps or USUAL_FPS, trunk(turned, clip.skeleton))

    @property
    def margin(self) -> float:
        """Room at the sides, for thick lines and heads."""
        return 0.35 * self.trunk

    @property
    def low(self) -> float:
        """Where the picture of the bodies ends below."""
        return float(np.nanmin(self.poses[..., 1])) - 0.25 * self.trunk

    def figure(self, left: float, right: float) -> tuple[Figure, Axes]:
        """Empty axes in the clip's unit, 2.4 inches a standing person, the whole at most 14 inches wide."""
        high = float(np.nanmax(self.poses[..., 1])) + 0.4 * self.trunk
        inch = min(0.75 / self.trunk, 14 / (right - left), 6 / (high - self.low))
        size = max((right - left) * inch, 0.09 * len(self.title), 2.2), (high - self.low) * inch
        head, foot = 0.35, 0.28
        figure = _figure(figsize=(size[0], size[1] + head + foot), dpi=110)
        axes = figure.add_axes((0, foot / (size[1] + head + foot), 1, size[1] / (size[1] + head + foot)))
        spare = size[0] / inch - (right - left)
        axes.set(xlim=(left - spare / 2, right + spare / 2), ylim=(self.low, high), aspect="equal")
        axes.set_axis_off()
        look = {"ha": "center", "va": "top", "size": 11, "color": "#222222", "parse_math": False}
        figure.text(0.5, 1 - 0.1 / (size[1] + head + foot), self.title, **look)
        self.inch = inch
        if (height := ground(self.poses, self.skeleton)) is not None:
            self.floor = height - 0.06 * self.trunk
            axes.axhline(self.floor, color="#BBBBBB", lw=1, zorder=0)
        return figure, axes

    def film(self, pictures: float | None) -> tuple[Figure, Callable[[int], list[Any]], np.ndarray, float]:
        """A figure, what shows a frame in it, the frames to show, and how many a second."""
        rate = min(self.fps, 25.0) if pictures is None else pictures  # 25: a .gif counts hundredths of a second
        if not 0.01 <= rate <= 50:  # a .gif cannot show a picture for longer than eleven minutes
            raise ValueError(f"pictures a second must be 0.01 to 50, which viewers can show, got {rate}")
        count = self.poses.shape[1]
        moments = np.arange(0, count, self.fps / rate).round().astype(int).clip(max=count - 1)
        left, right = np.nanmin(self.poses[..., 0]) - self.margin, np.nanmax(self.poses[..., 0]) + self.margin
        figure, axes = self.figure(left, right)
        clock = figure.text(0.5, 0.02, "", ha="center", va="bottom", color="#777777")
        shown: list[Any] = []

        def show(frame: int) -> list[Any]:
            while shown:
                shown.pop().remove()
            shown.extend(self.paint(axes, frame))
            clock.set_text(f"{frame / self.fps:.1f} s")
            return shown

        return figure, show, moments, rate

    def paint(self, axes: Axes, frame: int, shift: float = 0.0) -> list[Any]:
        """Draws everybody at one frame, moved to the right by `shift`; returns what was drawn."""
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Circle

        width = 8 * self.trunk * self.inch  # points
        depth = self.poses[..., 2]
        low, high = np.nanmin(depth), np.nanmax(depth)
        # Of somebody whose depth hardly changes everything is about as near.
        nearness = np.clip((depth - (low + high) / 2) / max(high - low, self.trunk) + 0.5, 0, 1)
        pairs, side = bones(self.skeleton), np.array(sides(self.skeleton))
        face = [i for i, joint in enumerate(self.skeleton.joints) if joint in FACE]
        seen = [person for person in range(len(depth)) if not np.isnan(depth[person, frame]).all()]
        drawn: list[Any] = []
        for layer, person in enumerate(sorted(seen, key=lambda person: np.nanmean(depth[person, frame]))):
            pose = self.poses[person, frame, :, :2] + (shift, 0)
            near = nearness[person, frame]
            colours = np.array([to_rgb(colour) for colour in (TRUNKS[person % len(TRUNKS)], LEFT, RIGHT)])
            lines, looks, widths = [], [], []
            for i, parent in sorted(pairs, key=lambda pair: np.nan_to_num(near[list(pair)].sum())):
                middle = (near[i] + near[parent]) / 2
                if np.isnan(middle):
                    continue
                which = side[i] if side[parent] in (0, side[i]) else 0
                thick = width * (0.65 + 0.5 * middle)
                # A white rim along its middle shows which of two crossing limbs is in front.
                ends = pose[[i, parent]]
                lines += [0.6 * ends + 0.4 * ends.mean(axis=0), ends]
                looks += [(1.0, 1.0, 1.0), _paler(colours[which], middle)]
                widths += [thick + 0.35 * width, thick]
            limbs = LineCollection(lines, colors=looks, linewidths=widths, capstyle="round", zorder=layer + 2)
            drawn.append(axes.add_collection(limbs))
            joined = {i for pair in pairs if not np.isnan(near[list(pair)]).any() for i in pair}
            dots = [i for i in range(len(pose)) if not np.isnan(near[i]) and i not in joined | set(face)]
            look = [_paler(colours[side[i]], near[i]) for i in dots]
            size = (0.8 * width * (0.65 + 0.5 * near[dots])) ** 2
            drawn.append(axes.scatter(*pose[dots].T, s=size, color=look, lw=0, zorder=layer + 2.3))
            if seen_face := [i for i in head(self.skeleton) if not np.isnan(near[i])]:
                middle = near[seen_face].mean()
                radius = _HEAD * self.trunk * (0.9 + 0.2 * middle)
                look = {"facecolor": _paler(colours[0], middle), "edgecolor": "white", "lw": 0.2 * width}
                drawn.append(axes.add_patch(Circle(pose[seen_face].mean(axis=0), radius, zorder=layer + 2.6, **look)))
            if self.floor is not None:
                shadow = [np.nanmin(pose[:, 0]), np.nanmax(pose[:, 0])], [self.floor] * 2
                drawn += axes.plot(*shadow, color="#AAAAAA", lw=0.5 * width, zorder=0.5, solid_capstyle="round")
            begin = max(0, frame - round(_TRAIL * self.fps))
            for i in tips(self.skeleton):
                if begin < frame:
                    path = self.poses[person, begin : frame + 1, i, :2] + (shift, 0)
                    fading = np.linspace(0, 1, frame - begin)
                    trail = LineCollection(
                        list(np.stack([path[:-1], path[1:]], axis=1)),
                        colors=[(*colours[side[i]], 0.45 * share) for share in fading],
                        linewidths=width * (0.2 + 0.5 * fading),
                        zorder=1,
                    )
                    drawn.append(axes.add_collection(trail))
        return drawn


def _paler(colour: np.ndarray, near: float) -> tuple[float, ...]:
    """A colour mixed with white, the more the farther away."""
    return tuple(colour + (1 - colour) * 0.4 * (1 - near))


# -- evaluations ----------------------------------------------------------------------------------------------------


def confusion(result: KNNResult | LinearResult) -> Figure:
    """The confusion matrix of an evaluation: which class (row) was taken for which (column).

    Classes stand in the order of their accuracy, the best first, so that the trouble is below; each row is in per cent
    of the class's clips, what is right in blue and what is wrong in orange. A class without test clips stands last.

    Args:
        result: Of `knn_eval` (the matrix is for its first k) or `linear_eval`.

    Raises:
        TypeError: for another result, which has no confusion matrix.
        ModuleNotFoundError: without matplotlib.
    """
    if not isinstance(result, (KNNResult, LinearResult)):
        raise TypeError(f"only knn_eval and linear_eval give a confusion matrix, got {type(result).__name__}")
    figure = _figure(layout="constrained", dpi=130)
    from matplotlib import colormaps

    counts = result.confusion
    clips = counts.sum(axis=1)
    share = np.divide(counts, clips[:, None], out=np.zeros(counts.shape), where=clips[:, None] > 0)
    order = np.lexsort((-share.diagonal(), clips == 0))
    share, names = share[np.ix_(order, order)], [str(name) for name in result.classes[order]]
    right = np.eye(len(share), dtype=bool)
    # Of a few per cent something must be seen, so that colour goes with the root.
    image = np.where(right[..., None], colormaps["Blues"](share**0.5), colormaps["Oranges"](share**0.5))
    image[share == 0] = (1, 1, 1, 1)
    accuracy = result.accuracy if isinstance(result, LinearResult) else next(iter(result.accuracy.values()))
    what = "linear probe" if isinstance(result, LinearResult) else f"{next(iter(result.accuracy))}-NN"
    side = float(np.clip(0.36 * len(names), 2.5, 9))
    font = float(np.clip(72 * side / len(names) * 0.62, 4, 10))
    figure.set_size_inches(side + 2.2, side + 2.0)
    axes = figure.add_subplot()
    axes.imshow(image, interpolation="nearest")
    rows = [f"{name}  {100 * own:.0f} %" for name, own in zip(names, share.diagonal())]
    rows = [row if clips[i] else f"{name}  no clips" for row, name, i in zip(rows, names, order)]
    axes.set_xticks(range(len(names)), names, rotation=90, size=font, parse_math=False)
    axes.set_yticks(range(len(names)), rows, size=font, parse_math=False)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#EEEEEE", lw=0.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")
    axes.set(title=f"{what}: {100 * accuracy:.1f} % of {clips.sum()} clips", xlabel="taken for", ylabel="truth")
    if len(names) <= 30:
        for row, column in np.argwhere(share >= 0.005):
            colour = "white" if share[row, column] > 0.3 else "#333333"
            text = f"{100 * share[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", size=0.8 * font, color=colour)
    return figure


def _figure(**options: Any) -> Figure:
    """An empty figure that needs no screen, and shows itself in a notebook whether or not pyplot is in use there."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"drawing needs {install('matplotlib', 'plot')}", name="matplotlib") from error
    figure = Figure(facecolor="white", **options)
    FigureCanvasAgg(figure)
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
