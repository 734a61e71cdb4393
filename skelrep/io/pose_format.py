"""`.pose` files, read with the library pose-format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skelrep.io.reader import Reader, ReadOptions
from skelrep.messages import one_line, optional
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeletons import resolve


def read_pose(path: Path, options: ReadOptions) -> Poses:
    """Reads the body in a `.pose` file, with the extra `pose`: its world landmarks if it has any, else its pose.

    Faces and hands are ignored.

    Args:
        path: The file.
        options: `skeleton`: other names for the body's points.

    Returns:
        One clip (M, T, V, C) with scores: world landmarks in metres with y up, others in pixels with y down.

    Raises:
        ValueError: if the file is damaged or contains no body.
    """
    optional("pose_format", "pose")
    from pose_format import Pose  # type: ignore[import-not-found]

    try:
        pose = Pose.read(path.read_bytes())
        components = [component.name for component in pose.header.components]
        bodies = sorted((name for name in components if "POSE" in name.upper()), key=lambda name: "WORLD" not in name)
        if not bodies:
            raise ValueError(f"its components are {', '.join(components) or 'none'}, none of them a body's pose")
        part = next(component for component in pose.header.components if component.name == bodies[0])
        body = pose.get_components(bodies[:1]).body
        clip = np.array(np.ma.filled(body.data.astype(np.float32), np.nan)).swapaxes(0, 1)
        scores = np.array(body.confidence, dtype=np.float32).swapaxes(0, 1)
        fps = float(body.fps)
        if not clip.size:
            raise ValueError(f"its body has shape {clip.shape}: no person, frame or joint")
    except Exception as error:  # a damaged file fails in as many ways as there are fields
        raise ValueError(f"{path} is damaged or not a .pose file with a body ({one_line(error)})") from error
    clip[scores == 0] = np.nan
    if "WORLD" in bodies[0]:
        clip[..., 1:] *= -1
    table = resolve(part.points if options.skeleton is None else options.skeleton, len(part.points))
    return Poses([absent_as_nan(clip)], table, [path.stem], fps=fps if fps > 0 else None, scores=[scores])


READER = Reader("pose", (".pose",), read_pose)
