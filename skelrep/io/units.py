"""Units of length: their names, and the unit that makes a body plausibly large."""

from __future__ import annotations

import warnings

import numpy as np

from skelrep.skeletons import SKELETONS, Skeleton, mapping

#: Metres per unit, by the names that files use.
METRES = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("dm", "decimeter", "decimeters"), 0.1),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 0.01),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 0.001),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
}
# From the middle of the hips to the middle of the shoulders: 0.25 m in a two-year-old child, 0.6 m in a very tall
# adult. The units below differ by factors of at least ten, so at most one fits.
_TRUNK = (0.2, 0.7)
_GUESSED = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}


def metres_by_body(clip: np.ndarray, skeleton: Skeleton) -> tuple[str, float | None]:
    """The unit of length of a 3-D clip by the length of the trunk.

    Args:
        clip: (M, T, V, 3) coordinates in an unknown unit.
        skeleton: The skeleton of the V joints.

    Returns:
        The unit's name and its metres, or ("", None) if the trunk is not seen or no unit makes it plausible.
    """
    common = SKELETONS["common-15"]
    try:
        weights = mapping(skeleton, common)
    except ValueError:
        return "", None
    ends = weights[[common.joints.index("mid_hips"), common.joints.index("mid_shoulders")]]
    used = np.flatnonzero(ends.any(axis=0))
    hips, shoulders = np.moveaxis(np.einsum("jv,mtvc->mtjc", ends[:, used], clip[:, :, used]), 2, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the trunk may never be seen
        trunk = np.nanmedian(np.linalg.norm(shoulders - hips, axis=-1))
    for name, metres in _GUESSED.items():
        if _TRUNK[0] <= trunk * metres <= _TRUNK[1]:
            return name, metres
    return "", None
