"""Joint names: one vocabulary for the names of motion capture, game engines, cameras and pose estimators.

`canonical_name` translates one name. `canonical_names` translates all names of a file together: parts that the names
share (an exporter's prefix, a suffix, a number) do not belong to a joint's name, and some words mean different joints
depending on the other names.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence

# Spellings of each name of the vocabulary, in snake case and without the side; underscores are optional. If a skeleton
# has several of them, the one that is listed first here gets the name.
_SPELLINGS = {
    "pelvis": "hips hip_center hip_centre spine_base root mid_hip hip_mid center_hip centre_hip hip waist_center",
    "spine": (
        "spine_mid torso belly spine_navel spine_naval abdomen waist spine_1 spine_01 lower_back abdomen_lower ab "
        "lumbar l_3 t_12 spine_lower"
    ),
    "chest": (
        "spine_shoulder spine_chest spine_3 spine_03 spine_2 spine_02 thorax upper_back upper_chest chest_upper "
        "chest_lower t_8 spine_upper"
    ),
    "neck": (
        "neck_1 neck_01 shoulder_center shoulder_centre center_shoulder lower_neck neck_lower mid_shoulder head_bottom "
        "neck_twist_01 neck_base t_1_c_7"
    ),
    "head": "face c_1_head center_head head_1",
    "head_top": (
        "head_end top_of_head head_site head_top_end top_head head_nub head_tip head_effector head_leaf head_vertex "
        "vertex"
    ),
    "nose": "",
    "hip": "up_leg upper_leg thigh femur hip_joint up_hip hjc hip_jc j_hip",
    "knee": "leg lower_leg shin tibia calf shank low_leg kne kjc knee_jc walker_knee",
    "ankle": "foot_ankle ank ajc ankle_jc talus talocrural",
    "foot": "",
    "toe": "toe_base toes foot_index ball big_toe toe_0 mtp ball_foot toebase_0",
    "small_toe": "pinky_toe little_toe",
    "collar": "clavicle t_4_shoulder inner_shoulder sternoclavicular",
    "shoulder": (
        "arm upper_arm humerus up_arm u_arm shldr sho sjc shoulder_jc glenohumeral acromial acromion shoulder_1"
    ),
    "elbow": "fore_arm lower_arm radius low_arm f_arm elb ejc elbow_jc ulna lower_arm_1",
    "wrist": "wjc wrist_jc radius_hand hand_wrist",
    "hand": "palm fin",
    "hand_tip": "fingers finger hand_end fingertip",
    "thumb": "",
    "eye": "",
    "ear": "",
    "heel": "hee calcn calcaneus calc",
    # Markers on the skin, from which joints are derived.
    "asis": "asi iliac_front waist_front",
    "psis": "psi iliac_back waist_back",
    "sacrum": "sacr",
    "wrist_a": "wra wrist_inner wrist_radius",
    "wrist_b": "wrb wrist_outer wrist_ulna",
    "front_head": "fhd head_front",
    "back_head": "bhd head_back",
}
_FROM_SPELLING = {
    spelling: name
    for name, spellings in _SPELLINGS.items()
    for written in (name, *spellings.split())
    for spelling in (written, written.replace("_", ""))
}
# Without a side, "hip" means the pelvis; with a side, it is the joint of that leg.
_FROM_SPELLING["hip"] = "hip"
_RANK = {spelling: rank for rank, spelling in enumerate(_FROM_SPELLING)}
SIDES = {"left": "left_", "l": "left_", "right": "right_", "r": "right_", "lt": "left_", "rt": "right_"}

_OTHER = {"l": "r", "r": "l"}

# Words of exporters and rigs before and after a joint's name: "mixamorig_Hips", "Character1_LeftUpLeg",
# "DEF-forearm.L", "Bip01 L Thigh", "CC_Base_L_Calf", "J_Bip_C_Hips", "body_left_hip", "left_arm_joint", "lShldrBend",
# "RHJC_study". They are removed only if a known name is left.
_BEFORE = frozenset(
    (
        *("mixamorig", "character", "def", "org", "mch", "bip", "biped", "valve", "cc", "base", "joint", "jnt", "skel"),
        *("skeleton", "body", "robot", "actor", "rig", "armature", "bone", "human", "subject", "avatar", "model"),
        *("tracker", "player", "person", "ref", "bind", "sk", "j", "b", "c"),
    )
)
_BEHIND = frozenset(
    ("joint", "jnt", "bone", "bend", "study", "bind", "bn", "geo", "marker", "mark", "pos", "position", "loc", "j")
)

# Words whose meaning depends on the other names: in NVIDIA's SOMA rigs and some game rigs, "LeftLeg" is the thigh if
# there is a "LeftShin".
_THIGHS = frozenset(spelling for spelling, name in _FROM_SPELLING.items() if name == "hip")
_BELOW_LEG = ("shin", "calf", "lower_leg", "low_leg", "knee", "tibia")


@functools.lru_cache(maxsize=4096)
def canonical_name(joint: str) -> str:
    """The vocabulary's name for a joint name in any common spelling.

    CamelCase, separators, "l"/"left"/"_L" before or after the name, and prefixes and suffixes of exporters
    ("mixamorig:", "_joint") are handled. An unknown name is returned in snake case, so that equal names still match.

    Examples:
        >>> canonical_name("mixamorig:LeftForeArm"), canonical_name("rShldr")
        ('left_elbow', 'right_shoulder')
    """
    return _name(*side_and_rest(joint))


def side_and_rest(joint: str) -> tuple[str, str]:
    """Splits a name into ("left_", "right_" or "", the rest in snake case without the words of exporters)."""
    words = _words(joint)
    plain = _split_side(words)
    if plain[1] in _FROM_SPELLING:
        return plain
    for start in _starts(words):
        for end in range(len(words), start, -1):
            if (start, end) != (0, len(words)) and (side := _split_side(words[start:end]))[1] in _FROM_SPELLING:
                return side
            if words[end - 1] not in _BEHIND:
                break
        # "upper_arm_joint.L": the side comes after the suffix.
        if len(words) - start > 2 and words[-1] in SIDES and words[-2] in _BEHIND:
            side = _split_side([*words[start:-2], words[-1]])
            if side[1] in _FROM_SPELLING:
                return side
    return plain


def canonical_names(joints: Sequence[str]) -> list[str]:
    """The vocabulary's names for all joint names of a file.

    A prefix or suffix that most names share is removed if more of them are known without it; so is a number at the end
    of every name. If two names mean the same joint ("Spine" and "Spine1", "LHipJoint" and "LeftUpLeg"), the more common
    one gets the vocabulary's name, and the other keeps its own, in snake case.

    Args:
        joints: The names in any spelling.

    Returns:
        As many names; two are equal only if the given names are.
    """
    joints = _without_common_parts([str(joint) for joint in joints])
    spelled = _with_glued_sides([side_and_rest(joint) for joint in joints])
    names = [_name(side, rest) for side, rest in spelled]
    for side in ("left_", "right_"):
        rests = {rest for of, rest in spelled if of == side}
        below = next((word for word in _BELOW_LEG if word in rests), None)
        if "leg" in rests and below and not rests & _THIGHS:
            names[spelled.index((side, "leg"))] = side + "hip"
            names[spelled.index((side, below))] = side + "knee"
        # If there is also an "Arm", the "Shoulder" of Mixamo and Bandai-Namco is the collar bone.
        if names.count(side + "shoulder") > 1 and side + "collar" not in names and (side, "shoulder") in spelled:
            names[spelled.index((side, "shoulder"))] = side + "collar"
    _rigify_spine(spelled, names)
    for twice in {name for name in names if names.count(name) > 1}:
        rivals = [i for i, name in enumerate(names) if name == twice]
        rivals.remove(min(rivals, key=lambda i: _RANK.get(spelled[i][1], 0)))
        for i in rivals:
            names[i] = "".join(spelled[i])
    return names


def _name(side: str, rest: str) -> str:
    return "pelvis" if not side and rest == "hip" else side + _FROM_SPELLING.get(rest, rest)


def _with_glued_sides(spelled: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Treats an "l" or "r" at either end of a word ("kneel", "LMTP5") as a side if the file has the other side too."""
    rests = {rest for side, rest in spelled if not side}
    found = []
    for side, rest in spelled:
        known = side or rest in _FROM_SPELLING or len(rest) < 3
        if not known and rest[-1] in "lr" and rest[:-1] in _FROM_SPELLING and rest[:-1] + _OTHER[rest[-1]] in rests:
            side, rest = SIDES[rest[-1]], rest[:-1]
        elif not known and rest[0] in "lr" and _OTHER[rest[0]] + rest[1:] in rests:
            side, rest = SIDES[rest[0]], rest[1:].lstrip("_")
        found.append((side, rest))
    return found


def _words(joint: str) -> list[str]:
    text = re.sub(r"^.*[:|]|^(bip\d*|j_bip|k4abt_joint)[ _]+", "", joint.strip(), flags=re.IGNORECASE)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])", "_", text)
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def _starts(words: Sequence[str]) -> list[int]:
    """The positions where a name may begin: 0, and after each leading word of exporters or number."""
    starts = [0]
    for i, word in enumerate(words[:-1]):
        if word not in _BEFORE and not word.isdecimal():
            break
        starts.append(i + 1)
    return starts


def _split_side(words: Sequence[str]) -> tuple[str, str]:
    words, side = list(words), ""
    for position in (0, -1):
        if len(words) > 1 and words[position] in SIDES:
            rest = words[1:] if position == 0 else words[:-1]
            if all(word.isdecimal() for word in rest):  # "L5" is a vertebra
                break
            side, words = SIDES[words[position]], rest
            break
    rest = "_".join(words)
    if not side and rest not in _FROM_SPELLING:  # "lhip", "rfemur", "leftshoulder", "LSHO"
        for prefix in ("left", "right", "l", "r"):
            if rest.startswith(prefix) and rest.removeprefix(prefix) in _FROM_SPELLING:
                return SIDES[prefix], rest.removeprefix(prefix)
    return side, rest


def _without_common_parts(joints: list[str]) -> list[str]:
    """The names without the prefix, suffix or number that most of them share, if more names are known without it."""
    plain = [re.sub(r"^.*[:|]", "", joint) for joint in joints]
    best, known = plain, _known(plain)
    if len(joints) < 3:
        return best
    for prefix in _common_prefixes(plain):
        for suffix in ("", *_common_suffixes(plain)):
            stripped = [name.removeprefix(prefix).removesuffix(suffix) or name for name in plain]
            # If no more names are known, only a word of an exporter is removed: "left_" before all joints of an arm is
            # a side.
            added = set(_words(prefix + "_" + suffix))
            exporters = added and all(word in _BEFORE or word in _BEHIND or word.isdecimal() for word in added)
            found = _known(stripped)
            if found > known or (found == known and exporters):
                best, known = stripped, found
    numbered = [re.sub(r"[._-]?\d+$", "", name) or name for name in best]
    most = sum(a != b for a, b in zip(best, numbered)) > 0.8 * len(best)
    if most and len({*numbered}) == len({*best}) and _known(numbered) > known:
        best = numbered
    return best


def _known(names: Sequence[str]) -> int:
    return len({(side, _FROM_SPELLING[rest]) for side, rest in map(side_and_rest, names) if rest in _FROM_SPELLING})


def _common_prefixes(names: Sequence[str]) -> list[str]:
    """Prefixes that most names share, starting with the empty one; each ends at the end of a word."""
    candidates = {""}
    for name in names[:8]:
        alike = [other for other in names if other[:2] == name[:2]]
        shared = os.path.commonprefix(alike)
        candidates |= {
            shared[: match.end()] for match in re.finditer(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|\d(?=\D)|$", shared)
        }
    return sorted((c for c in candidates if sum(n.startswith(c) for n in names) > 0.6 * len(names)), key=len)


def _common_suffixes(names: Sequence[str]) -> list[str]:
    backwards = [name[::-1] for name in names]
    ends = {match.group()[::-1] for name in backwards[:8] for match in re.finditer(r"^[A-Za-z0-9]+[\W_]+", name)}
    return sorted((c for c in ends if sum(n.endswith(c) for n in names) > 0.6 * len(names)), key=len)


def _rigify_spine(spelled: list[tuple[str, str]], names: list[str]) -> None:
    """Blender's Rigify numbers the spine from the hips (spine) to the head (spine.006)."""
    rests = [rest for _, rest in spelled]
    if "spine_006" not in rests or "head" in names:
        return
    for rest, name in (("spine", "pelvis"), ("spine_001", "spine"), ("spine_003", "chest"), ("spine_004", "neck")):
        if rest in rests and name not in [names[i] for i in range(len(names)) if rests[i] != rest]:
            names[rests.index(rest)] = name
    names[rests.index("spine_006")] = "head"
