"""CMU Panoptic's JSON: one file per frame, {"bodies": [{"id": 0, "joints19": [x, y, z, c, ...]}]}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skelrep.io.json_files import Family, as_list, number_of, reader
from skelrep.io.people import Person, Recording, scored

_JOINTS = {"joints19": "panoptic-19", "joints15": "panoptic-15"}
# Centimetres with y down; a half turn about x makes y point up.
_TO_METRES_Y_UP = np.array([1, -1, -1], dtype=np.float32) / 100
_RATES = {"hd": 29.97, "vga": 25.0}


def recognises(content: Any) -> bool:
    """Whether there are bodies with joints19, joints15 or the time of the data set."""
    if not isinstance(content, Mapping) or not isinstance(content.get("bodies"), list):
        return False
    return "univTime" in content or any(_key(body) for body in content["bodies"])


def recordings(content: Any) -> list[Recording]:
    """The one frame in metres with y up."""
    people, joints = [], None
    for body in as_list(content["bodies"], "bodies"):
        key = _key(body)
        if key is None:
            raise ValueError(f"a body has {', '.join(body)}; expected joints19 or joints15")
        person = scored(body[key], 4, None if body.get("id") == -1 else body.get("id"))
        if person is not None:
            joints = _JOINTS[key]
            # Joints without confidence are written as -1.
            scores = np.maximum(person.scores, 0) if person.scores is not None else None
            people.append(Person(person.track, person.points * _TO_METRES_Y_UP, scores))
    kind = str(content.get("fpsType", "")).split("_")[0]
    return [Recording([people], joints, fps=_RATES.get(kind) or number_of(content.get("fps")))]


def _key(body: Any) -> str | None:
    return next((key for key in _JOINTS if isinstance(body, Mapping) and key in body), None)


FAMILY = Family("panoptic", recognises, recordings, frame_files=True)
READER = reader(FAMILY)
