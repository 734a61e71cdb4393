"""Tables, names and mappings of skeletons."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from skelrep.skeletons import (
    DERIVATIONS,
    SKELETONS,
    TOLD_BY_COUNT,
    Skeleton,
    canonical_name,
    covering,
    custom,
    mapping,
    resolve,
)

TABLES = pytest.mark.parametrize("table", SKELETONS.values(), ids=lambda table: table.name)
COMMON = SKELETONS["common-15"]

# Joints as the formats' own documentation spells and orders them.
DOCUMENTED = {
    "ntu-25": """
        SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight
        WristRight HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight
        SpineShoulder HandTipLeft ThumbLeft HandTipRight ThumbRight
    """,
    "kinect-20": """
        HipCenter Spine ShoulderCenter Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight
        WristRight HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight
    """,
    "coco-17": """
        nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow
        left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle
    """,
    "openpose-25": """
        Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle
        REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel
    """,
    "mediapipe-33": """
        NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER LEFT_EAR RIGHT_EAR
        MOUTH_LEFT MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST
        LEFT_PINKY RIGHT_PINKY LEFT_INDEX RIGHT_INDEX LEFT_THUMB RIGHT_THUMB LEFT_HIP RIGHT_HIP LEFT_KNEE
        RIGHT_KNEE LEFT_ANKLE RIGHT_ANKLE LEFT_HEEL RIGHT_HEEL LEFT_FOOT_INDEX RIGHT_FOOT_INDEX
    """,
    "smpl-22": """
        pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot
        right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow
        left_wrist right_wrist
    """,
    "smpl-24": """
        Pelvis L_Hip R_Hip Spine1 L_Knee R_Knee Spine2 L_Ankle R_Ankle Spine3 L_Foot R_Foot Neck L_Collar
        R_Collar Head L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist L_Hand R_Hand
    """,
}

# Rigs without a table of their own: their names for the joints of the bundled encoder.
RIGS = {
    "mixamo": """
        mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck mixamorig:Head
        mixamorig:HeadTop_End mixamorig:LeftShoulder mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:LeftHand
        mixamorig:RightShoulder mixamorig:RightArm mixamorig:RightForeArm mixamorig:RightHand
        mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase mixamorig:RightUpLeg
        mixamorig:RightLeg mixamorig:RightFoot mixamorig:RightToeBase
    """,
    "cmu bvh": """
        Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase RHipJoint RightUpLeg RightLeg RightFoot
        RightToeBase LowerBack Spine Spine1 Neck Neck1 Head LeftShoulder LeftArm LeftForeArm LeftHand
        LeftFingerBase LeftHandIndex1 LThumb RightShoulder RightArm RightForeArm RightHand RightFingerBase
        RightHandIndex1 RThumb
    """,
    "asf": """
        root lhipjoint lfemur ltibia lfoot ltoes rhipjoint rfemur rtibia rfoot rtoes lowerback upperback thorax
        lowerneck upperneck head lclavicle lhumerus lradius lwrist lhand lfingers lthumb rclavicle rhumerus
        rradius rwrist rhand rfingers rthumb
    """,
    "unreal": """
        root pelvis spine_01 spine_02 spine_03 clavicle_l upperarm_l lowerarm_l hand_l clavicle_r upperarm_r
        lowerarm_r hand_r neck_01 head thigh_l calf_l foot_l ball_l thigh_r calf_r foot_r ball_r
    """,
    "azure": """
        PELVIS SPINE_NAVEL SPINE_CHEST NECK CLAVICLE_LEFT SHOULDER_LEFT ELBOW_LEFT WRIST_LEFT HAND_LEFT
        HANDTIP_LEFT THUMB_LEFT CLAVICLE_RIGHT SHOULDER_RIGHT ELBOW_RIGHT WRIST_RIGHT HAND_RIGHT HANDTIP_RIGHT
        THUMB_RIGHT HIP_LEFT KNEE_LEFT ANKLE_LEFT FOOT_LEFT HIP_RIGHT KNEE_RIGHT ANKLE_RIGHT FOOT_RIGHT HEAD
        NOSE EYE_LEFT EAR_LEFT EYE_RIGHT EAR_RIGHT
    """,
    "mmpose h36m": """
        root right_hip right_knee right_foot left_hip left_knee left_foot spine thorax neck_base head
        left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist
    """,
    "videopose3d": """
        Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head LShoulder LElbow LWrist RShoulder
        RElbow RWrist
    """,
    "bandai namco": """
        joint_Root Hips Spine Chest Neck Head Shoulder_L UpperArm_L LowerArm_L Hand_L Shoulder_R UpperArm_R
        LowerArm_R Hand_R UpperLeg_L LowerLeg_L Foot_L Toes_L UpperLeg_R LowerLeg_R Foot_R Toes_R
    """,
}


@TABLES
def test_every_table_is_one_tree(table):
    def path(joint):
        seen = [joint]
        while table.parents[joint] != joint:
            joint = table.parents[joint]
            assert joint not in seen, "a cycle"
            seen.append(joint)
        return seen

    roots = {path(joint)[-1] for joint in range(len(table))}
    assert len(roots) == 1
    assert f"{len(table)}" in table.name


@TABLES
def test_mirror_pairs_left_with_right(table):
    mirror = table.mirror
    assert [mirror[i] for i in mirror] == list(range(len(table)))
    for joint, twin in zip(table.joints, mirror):
        swapped = "-".join({"left": "right", "right": "left"}.get(word, word) for word in joint.split("_"))
        assert table.joints[twin].replace("_", "-") == swapped
    # A body hangs together alike on both sides.
    assert [table.parents[i] for i in mirror] == [mirror[parent] for parent in table.parents]


def test_mirror_of_a_joint_without_its_twin_is_itself():
    assert Skeleton("arms", ("left_hand", "right_hand", "left_foot"), (0, 1, 2)).mirror == (1, 0, 2)


@pytest.mark.parametrize(
    ("joints", "parents", "message"),
    [
        (("a", "b", "a"), (0, 0, 0), "has the same joint twice: a"),
        (("a", "b"), (0,), "2 joints but 1 parents"),
        (("a", "b"), (0, 2), "parent outside 0..1"),
        (("a", "b"), (0, -1), "parent outside 0..1"),
    ],
)
def test_tables_that_cannot_be(joints, parents, message):
    with pytest.raises(ValueError, match=message):
        Skeleton("odd", joints, parents)


def test_skeletons_are_short_to_print_and_can_be_keys():
    assert repr(COMMON) == "Skeleton('common-15', 15 joints)"
    assert len({COMMON: 1, Skeleton("common-15", COMMON.joints, COMMON.parents): 2}) == 1


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("left_wrist", "left_wrist LeftWrist leftWrist wrist_l L_Wrist lWrist lwrist l.wrist LWRIST rig:left-wrist"),
        ("right_elbow", "r_elbow RightForeArm relbow RElbow ElbowRight Elbow.R rradius lower_arm_r right-lower-arm"),
        ("left_shoulder", "LeftArm lhumerus upperarm_l LShoulder SHOULDER_LEFT leftshoulder Bip01_L_UpperArm"),
        ("right_hip", "RightUpLeg right_hip RHip rfemur Thigh_R R_Hip hip_r UpperLeg_R rupleg K4ABT_JOINT_HIP_RIGHT"),
        ("left_knee", "LeftLeg ltibia calf_l LowerLeg_L LKnee KNEE_LEFT shin.L"),
        ("left_toe", "LeftToeBase LBigToe left_foot_index ball_l Toes_L LEFT_FOOT_INDEX ltoes"),
        ("right_hand_tip", "HandTipRight HANDTIP_RIGHT rfingers handtip_r"),
        ("pelvis", "Hips hip Hip SpineBase HipCenter MidHip mid_hip root ROOT Pelvis mixamorig:Hips Armature|x:Hips"),
        ("spine", "SpineMid Spine spine1 SPINE_NAVEL spine_naval torso LowerBack lowerback"),
        ("chest", "SpineShoulder SPINE_CHEST thorax spine3 spine_03 Spine2 upperback"),
        ("neck", "ShoulderCenter Neck neck_01 lowerneck"),
        ("left_ear", "LEar lear left_ear EAR_LEFT"),
        ("left_eye_inner", "left_eye_inner LEFT_EYE_INNER"),
        ("left_mouth", "MOUTH_LEFT mouth_left"),
        ("right_small_toe", "RSmallToe right_pinky_toe"),
        # Letters that only look like a side belong to the word.
        ("radius_of_gyration", "RadiusOfGyration"),
        ("lemon", "lemon Lemon"),
        ("left", "left Left"),
    ],
)
def test_spellings(name, spellings):
    assert {canonical_name(spelling) for spelling in spellings.split()} == {name}


WORDS = st.sampled_from(
    [
        "Left",
        "right",
        "L",
        "r",
        "hip",
        "Hand",
        "tip",
        "foot",
        "1",
        "22",
        "_",
        ".",
        ":",
        "é",
        "Spine",
        "ARM",
        "toe",
        "x",
        "base",
    ]
)


@settings(deadline=None)
@given(st.text(max_size=20) | st.lists(WORDS, max_size=6).map("".join))
def test_names_are_fixed_points(text):
    name = canonical_name(text)
    assert canonical_name(name) == name


@pytest.mark.parametrize("name", DOCUMENTED)
def test_tables_have_the_documented_order(name):
    assert custom(DOCUMENTED[name].split()).joints == SKELETONS[name].joints


@TABLES
def test_known_joint_names_are_kept(table):
    """The names of a known skeleton give the same skeleton, even if one of them is an alias of another."""
    assert custom(table.joints, table.parents, table.name) == table


@pytest.mark.parametrize("name", RIGS)
def test_rigs_have_the_joints_of_the_bundled_encoder(name):
    rig = custom(RIGS[name].split())
    matrix = mapping(rig, COMMON)
    used = {
        target: {joint for joint, weight in zip(RIGS[name].split(), row) if weight}
        for target, row in zip(COMMON.joints, matrix)
    }
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    for target in COMMON.joints[3:]:  # limbs
        assert len(used[target]) == 1, f"{target} is derived from {used[target]}"
    assert len(set().union(*(used[target] for target in COMMON.joints[3:]))) == 12
    assert {canonical_name(joint) for joint in used["head"]} == {"head"}
    # What has "hip" or "shoulder" in its name, but is not what turns there.
    assert not used["left_hip"] & {"lhipjoint", "LHipJoint"}
    assert (used["left_shoulder"] & {"LeftShoulder", "Shoulder_L", "mixamorig:LeftShoulder"}) == set()


@pytest.mark.parametrize(
    ("joints", "expected"),
    [
        ("LeftShoulder LeftArm", "left_collar left_shoulder"),
        ("LeftArm LeftShoulder", "left_shoulder left_collar"),
        ("SHOULDER_LEFT UPPERARM_LEFT", "left_collar left_shoulder"),
        ("Shoulder_R UpperArm_R Shoulder_L UpperArm_L", "right_collar right_shoulder left_collar left_shoulder"),
        ("LeftShoulder RightArm", "left_shoulder right_shoulder"),
        ("clavicle_l shoulder_l upperarm_l", "left_collar left_shoulder left_upperarm"),
        ("Spine Spine1 Spine2", "spine spine_1 chest"),
        ("Spine1 Spine", "spine_1 spine"),
        ("LHipJoint LeftUpLeg", "left_hip_joint left_hip"),
        ("Root Hips", "root pelvis"),
        ("Neck1 Neck", "neck_1 neck"),
    ],
)
def test_the_more_common_of_two_names_for_one_joint_is_used(joints, expected):
    assert custom(joints.split()).joints == tuple(expected.split())


def test_the_same_name_twice_is_refused():
    with pytest.raises(ValueError, match="has the same joint twice: left_knee"):
        custom(["LeftKnee", "left_knee"])


def test_parents_of_a_custom_skeleton():
    assert custom(["hip", "spine", "neck"]).parents == (0, 0, 0)
    assert custom(["a", "b", "c", "d"], [-1, 0, -1, 2], "two trees").parents == (0, 0, 2, 2)
    assert custom(["a", "b"], np.array([0, 0])) == Skeleton("custom", ("a", "b"), (0, 0))
    with pytest.raises(ValueError, match="3 joints but 2 parents"):
        custom(["a", "b", "c"], [0, 0])


# -- mapping ----------------------------------------------------------------------------------------------------------


@TABLES
def test_every_skeleton_maps_to_that_of_the_bundled_encoder(table):
    matrix = mapping(table, COMMON)
    assert matrix.shape == (15, len(table))
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


@TABLES
def test_mapping_to_itself_is_the_identity(table):
    np.testing.assert_array_equal(mapping(table, table), np.eye(len(table)))


@TABLES
def test_joints_of_both_skeletons_are_copied(table):
    for other in SKELETONS.values():
        try:
            matrix = mapping(table, other)
        except ValueError:
            continue
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
        for joint in set(table.joints) & set(other.joints):
            row = np.zeros(len(table))
            row[table.joints.index(joint)] = 1
            np.testing.assert_array_equal(matrix[other.joints.index(joint)], row)


@TABLES
def test_mapping_is_the_same_on_both_sides(table):
    matrix = mapping(table, COMMON)
    np.testing.assert_allclose(matrix[list(COMMON.mirror)][:, list(table.mirror)], matrix, atol=1e-7)


# Standing straight, arms to the sides: x to the body's left, z up.
STANDING = {
    "pelvis": (0, 0, 1.0),
    "neck": (0, 0, 1.5),
    "left_shoulder": (0.2, 0, 1.4),
    "right_shoulder": (-0.2, 0, 1.4),
    "left_elbow": (0.5, 0, 1.4),
    "right_elbow": (-0.5, 0, 1.4),
    "left_wrist": (0.7, 0, 1.4),
    "right_wrist": (-0.7, 0, 1.4),
    "left_hip": (0.1, 0, 0.9),
    "right_hip": (-0.1, 0, 0.9),
    "left_knee": (0.1, 0, 0.5),
    "right_knee": (-0.1, 0, 0.5),
    "left_ankle": (0.1, 0, 0.1),
    "right_ankle": (-0.1, 0, 0.1),
    "left_ear": (0.08, 0, 1.7),
    "right_ear": (-0.08, 0, 1.7),
    "left_eye": (0.03, 0.1, 1.72),
    "right_eye": (-0.03, 0.1, 1.72),
    "nose": (0, 0.15, 1.68),
    "head_top": (0, 0, 1.8),
    "left_toe": (0.1, 0.2, 0.0),
    "right_toe": (-0.1, 0.2, 0.0),
}
LIMBS = [
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]


@pytest.mark.parametrize(
    ("joints", "target", "position"),
    [
        (LIMBS, "mid_hips", (0, 0, 0.9)),
        (["pelvis", *LIMBS], "mid_hips", (0, 0, 0.9)),  # sensors place the pelvis differently, so hips are preferred
        (["pelvis"], "mid_hips", (0, 0, 1.0)),
        (LIMBS, "mid_shoulders", (0, 0, 1.4)),
        (["neck"], "mid_shoulders", (0, 0, 1.5)),
        (LIMBS, "pelvis", (0, 0, 0.9)),
        (LIMBS, "neck", (0, 0, 1.4)),
        (LIMBS, "spine", (0, 0, 1.15)),
        (["pelvis", *LIMBS], "spine", (0, 0, 1.2)),
        (LIMBS, "chest", (0, 0, 1.4)),
        (LIMBS, "spine_2", (0, 0, 1.275)),
        (list(STANDING), "head", (0, 0, 1.7)),
        (["left_eye", "right_eye", "nose", "left_ear"], "head", (0, 0.1, 1.72)),
        (["nose", "left_ear"], "head", (0, 0.15, 1.68)),
        (["head_top"], "head", (0, 0, 1.8)),
        (LIMBS, "head", (0, 0, 1.6)),  # 0.2 above the shoulders: two fifths of the trunk's 0.5
        (LIMBS, "nose", (0, 0, 1.6)),
        (LIMBS, "left_hand", (0.77, 0, 1.4)),  # 0.35 of the forearm's 0.2 further on
        (LIMBS, "right_hand_tip", (-0.84, 0, 1.4)),
        (LIMBS, "left_thumb", (0.77, 0, 1.4)),
        (LIMBS, "left_collar", (0.1, 0, 1.4)),
        (LIMBS, "right_foot", (-0.1, 0, 0.1)),
        (["left_toe"], "left_foot", (0.1, 0.2, 0.0)),
        (["left_toe"], "left_ankle", (0.1, 0.2, 0.0)),
        (LIMBS, "left_heel", (0.1, 0, 0.1)),
    ],
)
def test_derived_positions(joints, target, position):
    pose = np.array([STANDING[joint] for joint in joints])
    matrix = mapping(custom(joints), Skeleton("wanted", (target,), (0,)))
    np.testing.assert_allclose(matrix @ pose, [position], atol=1e-6)


def test_rules_exist_for_both_sides_alike():
    for joint, rules in DERIVATIONS.items():
        if joint.startswith("left_"):
            assert DERIVATIONS[joint.replace("left_", "right_")] == tuple(r.replace("left_", "right_") for r in rules)
        for rule in rules:
            assert sum(float(weight) for weight in rule.split()[::2]) == pytest.approx(1)


def test_rules_do_not_go_in_circles():
    """Each of these is derived from the next, and none is there."""
    with pytest.raises(ValueError, match="no rule for left_hand, left_wrist"):
        mapping(custom(["pelvis"]), Skeleton("hands", ("left_hand", "left_wrist"), (0, 0)))


def test_a_refused_mapping_names_both_lists():
    with pytest.raises(ValueError, match="no rule for") as refused:
        mapping(custom(["left_wrist", "tail"], name="cat"), COMMON)
    message = str(refused.value)
    assert "'cat' cannot be mapped to 'common-15'" in message
    assert "Joints given: left_wrist, tail." in message
    assert f"Joints needed: {', '.join(COMMON.joints)}." in message
    absent = message.split("no rule for ")[1].split(".")[0].split(", ")
    assert absent == [joint for joint in COMMON.joints if joint != "left_wrist"]


@settings(deadline=None)
@given(st.sampled_from(list(SKELETONS.values())), st.randoms(use_true_random=False))
def test_mapping_does_not_depend_on_the_order_of_joints(table, random):
    order = list(range(len(table)))
    random.shuffle(order)
    parents = [order.index(table.parents[i]) for i in order]
    shuffled = Skeleton("shuffled", tuple(table.joints[i] for i in order), tuple(parents))
    np.testing.assert_array_equal(mapping(shuffled, COMMON), mapping(table, COMMON)[:, order])


@settings(deadline=None)
@given(st.permutations(range(len(COMMON))))
def test_mapping_follows_the_order_of_the_joints_wanted(order):
    wanted = Skeleton("shuffled", tuple(COMMON.joints[i] for i in order), (0,) * len(COMMON))
    ntu = SKELETONS["ntu-25"]
    np.testing.assert_array_equal(mapping(ntu, wanted), mapping(ntu, COMMON)[order])


@settings(deadline=None)
@given(st.sampled_from(list(SKELETONS.values())), st.integers(0, 2**32 - 1))
def test_mapping_commutes_with_moving_the_body(table, seed):
    random = np.random.default_rng(seed)
    pose, shift = random.normal(size=(len(table), 3)), random.normal(size=3)
    turn = Rotation.random(random_state=seed).as_matrix()
    matrix = mapping(table, COMMON)
    np.testing.assert_allclose(matrix @ (pose @ turn.T + shift), (matrix @ pose) @ turn.T + shift, atol=1e-5)


UPPER = ["nose", *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right"))]


def test_part_of_a_body_is_completed_by_joints_that_were_never_seen():
    for joints in (UPPER, UPPER[1:], ["left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"]):
        source = custom(joints)
        extended = covering(source, COMMON)
        assert extended.joints[: len(source)] == source.joints
        added = extended.joints[len(source) :]
        assert not {*added} & {*joints} and not any(joint.startswith("mid_hips") for joint in added)
        matrix = mapping(extended, COMMON)
        own = [i for i, joint in enumerate(COMMON.joints) if joint in joints]
        assert not matrix[own][:, len(source) :].any()
    assert covering(SKELETONS["coco-17"], COMMON) is SKELETONS["coco-17"]


@pytest.mark.parametrize(
    "joints", [["left_wrist", "tail"], ["left_shoulder", "left_elbow", "left_wrist", "nose"], ["a", "b"]]
)
def test_too_little_of_a_body_is_refused(joints):
    with pytest.raises(ValueError, match="no joint and no rule for.*NaN"):
        covering(custom(joints), COMMON)


# -- resolve ----------------------------------------------------------------------------------------------------------


@TABLES
def test_resolve_by_count(table):
    same = [other.name for other in SKELETONS.values() if len(other) == len(table)]
    if same == [table.name] and table.name in TOLD_BY_COUNT:
        assert resolve(None, len(table)) is table
    else:
        with pytest.raises(
            ValueError, match=f"an array of {len(table)} joints could be {' or '.join(same)}; choose one with skeleton="
        ):
            resolve(None, len(table))


def test_resolve_by_a_count_of_no_skeleton():
    with pytest.raises(
        ValueError, match=r"99 joints fits no known skeleton \(known: common-15 \(15\), .*kit-21 \(21\)\)"
    ):
        resolve(None, 99)
    with pytest.raises(ValueError, match="neither a skeleton nor a number of joints"):
        resolve(None)


def test_resolve_by_name_object_or_joint_names():
    ntu = SKELETONS["ntu-25"]
    assert resolve("ntu-25") is ntu
    assert resolve("ntu-25", 25) is ntu
    assert resolve(ntu, 25) is ntu
    assert resolve(DOCUMENTED["ntu-25"].split(), 25).joints == ntu.joints
    assert resolve(("a", "b")).name == "custom"
    for skeleton in ("ntu-25", ntu, ntu.joints):
        with pytest.raises(ValueError, match="has 25 joints but the array has 17"):
            resolve(skeleton, 17)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("ntu25", "ntu-25"),
        ("NTU_25", "ntu-25"),
        ("coco", "coco-17"),
        ("mediapipe", "mediapipe-33"),
        ("smpl22", "smpl-22"),
    ],
)
def test_resolve_suggests_the_nearest_name(typo, meant):
    with pytest.raises(ValueError, match=f"there is no skeleton '{typo}'; did you mean '{meant}'"):
        resolve(typo)


def test_resolve_of_an_unknown_name_lists_all():
    with pytest.raises(ValueError, match=f"skeleton 'xyzzy' .known: {', '.join(SKELETONS)}"):
        resolve("xyzzy")


def test_names_are_strings_and_parents_whole_numbers():
    with pytest.raises(ValueError, match="strings"):
        Skeleton("a", ("hip", ("knee",)), (0, 0))
    with pytest.raises(ValueError, match=r"whole numbers.*1\.5"):
        Skeleton("a", ("hip", "knee"), (0, 1.5))


def test_a_number_is_not_a_skeleton():
    with pytest.raises(ValueError, match="joint names, got int"):
        resolve(-1, 17)  # type: ignore[arg-type]
