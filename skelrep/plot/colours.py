"""Colours of classes and labels, the same in pictures and on the explorer page."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable

#: The first colours are those of Okabe and Ito, Color Universal Design (2008), which colour-blind people can
#: distinguish; the others have a similar lightness. The second row is for dark backgrounds.
LIGHT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6bb1", "#8a8a2a", "#a6611a", "#e7298a")
LIGHT += ("#66a61e", "#7a7f87")
DARK = ("#3a93d6", "#f0b429", "#22b98c", "#e39bc3", "#ec7a2a", "#86ccf7", "#b294dd", "#b8b84e", "#c98a4b", "#f2569f")
DARK += ("#8ccc45", "#a7adb5")

_GOLDEN_ANGLE = 137.508  # degrees: hues that differ by it are spread evenly, however many there are


def colours_of(labels: Iterable[str]) -> dict[str, str]:
    """A colour of a light background for each distinct label, in the order of the labels."""
    names = sorted(set(labels))
    if len(names) <= len(LIGHT):
        return dict(zip(names, LIGHT))
    found = {}
    for i, name in enumerate(names):
        red, green, blue = colorsys.hls_to_rgb(i * _GOLDEN_ANGLE % 360 / 360, (0.42, 0.58, 0.32)[i % 3], 0.75)
        found[name] = f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
    return found
