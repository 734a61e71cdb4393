"""Joint names of motion capture, game engines, cameras and estimators, one by one and by the vote of a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep.joint_names import canonical_name, canonical_names
from skelrep.skeletons import SKELETONS, custom, mapping

COMMON = SKELETONS["common-15"]

# The names of a file, and of these the left shoulder, elbow, wrist, hip, knee and ankle.
RIGS = {
    "DAZ-friendly CMU": (
        """
        hip, lButtock, lThigh, lShin, lFoot, lToe, rButtock, rThigh, rShin, rFoot, rToe, abdomen, chest, lCollar,
        lShldr, lForeArm, lHand, neck, head, leftEye, rightEye, rCollar, rShldr, rForeArm, rHand
        """,
        "lShldr, lForeArm, lHand, lThigh, lShin, lFoot",
    ),
    "DAZ Genesis 8": (
        """
        hip, pelvis, lThighBend, lThighTwist, lShin, lFoot, lMetatarsals, lToe, rThighBend, rThighTwist, rShin,
        rFoot, rToe, abdomenLower, abdomenUpper, chestLower, chestUpper, lCollar, lShldrBend, lShldrTwist,
        lForearmBend, lForearmTwist, lHand, rCollar, rShldrBend, rShldrTwist, rForearmBend, rForearmTwist, rHand,
        neckLower, neckUpper, head
        """,
        "lShldrBend, lForearmBend, lHand, lThighBend, lShin, lFoot",
    ),
    "DAZ Genesis 9": (
        """
        hip, pelvis, l_thigh, l_thightwist1, l_shin, l_foot, l_toes, r_thigh, r_shin, r_foot, r_toes, spine1,
        spine2, spine3, spine4, l_shoulder, l_upperarm, l_forearm, l_hand, r_shoulder, r_upperarm, r_forearm,
        r_hand, neck1, neck2, head
        """,
        "l_upperarm, l_forearm, l_hand, l_thigh, l_shin, l_foot",
    ),
    "Mixamo by Sketchfab": (
        """
        mixamorig:Hips_00, mixamorig:Spine_01, mixamorig:Spine1_02, mixamorig:Spine2_03, mixamorig:Neck_04,
        mixamorig:Head_05, mixamorig:HeadTop_End_06, mixamorig:LeftShoulder_07, mixamorig:LeftArm_08,
        mixamorig:LeftForeArm_09, mixamorig:LeftHand_10, mixamorig:RightShoulder_11, mixamorig:RightArm_12,
        mixamorig:RightForeArm_13, mixamorig:RightHand_14, mixamorig:LeftUpLeg_15, mixamorig:LeftLeg_16,
        mixamorig:LeftFoot_17, mixamorig:LeftToeBase_18, mixamorig:RightUpLeg_19, mixamorig:RightLeg_20,
        mixamorig:RightFoot_21, mixamorig:RightToeBase_22
        """,
        "mixamorig:LeftArm_08, mixamorig:LeftForeArm_09, mixamorig:LeftHand_10, "
        "mixamorig:LeftUpLeg_15, mixamorig:LeftLeg_16, mixamorig:LeftFoot_17",
    ),
    "Rigify": (
        """
        DEF-spine, DEF-spine.001, DEF-spine.002, DEF-spine.003, DEF-spine.004, DEF-spine.005, DEF-spine.006,
        DEF-pelvis.L, DEF-pelvis.R, DEF-thigh.L, DEF-thigh.L.001, DEF-shin.L, DEF-shin.L.001, DEF-foot.L,
        DEF-toe.L,
        DEF-thigh.R, DEF-shin.R, DEF-foot.R, DEF-toe.R, DEF-shoulder.L, DEF-upper_arm.L,
        DEF-upper_arm.L.001, DEF-forearm.L, DEF-forearm.L.001, DEF-hand.L, DEF-shoulder.R, DEF-upper_arm.R,
        DEF-forearm.R, DEF-hand.R
        """,
        "DEF-upper_arm.L, DEF-forearm.L, DEF-hand.L, DEF-thigh.L, DEF-shin.L, DEF-foot.L",
    ),
    "Unreal Engine": (
        """
        root, pelvis, spine_01, spine_02, spine_03, clavicle_l, upperarm_l, lowerarm_l, hand_l, upperarm_twist_01_l,
        clavicle_r, upperarm_r, lowerarm_r, hand_r, neck_01, head, thigh_l, calf_l, foot_l, ball_l, thigh_r, calf_r,
        foot_r, ball_r
        """,
        "upperarm_l, lowerarm_l, hand_l, thigh_l, calf_l, foot_l",
    ),
    "Xsens segments": (
        """
        Pelvis, L5, L3, T12, T8, Neck, Head, RightShoulder, RightUpperArm, RightForeArm, RightHand, LeftShoulder,
        LeftUpperArm, LeftForeArm, LeftHand, RightUpperLeg, RightLowerLeg, RightFoot, RightToe, LeftUpperLeg,
        LeftLowerLeg, LeftFoot, LeftToe
        """,
        "LeftUpperArm, LeftForeArm, LeftHand, LeftUpperLeg, LeftLowerLeg, LeftFoot",
    ),
    "Xsens joints": (
        """
        jL5S1, jL4L3, jL1T12, jT9T8, jT1C7, jC1Head, jRightT4Shoulder, jRightShoulder, jRightElbow, jRightWrist,
        jLeftT4Shoulder, jLeftShoulder, jLeftElbow, jLeftWrist, jRightHip, jRightKnee, jRightAnkle, jRightBallFoot,
        jLeftHip, jLeftKnee, jLeftAnkle, jLeftBallFoot
        """,
        "jLeftShoulder, jLeftElbow, jLeftWrist, jLeftHip, jLeftKnee, jLeftAnkle",
    ),
    "Xsens BVH": (
        """
        Hips, Chest, Chest2, Chest3, Chest4, Neck, Head, RightCollar, RightShoulder, RightElbow, RightWrist,
        LeftCollar, LeftShoulder, LeftElbow, LeftWrist, RightHip, RightKnee, RightAnkle, RightToe, LeftHip,
        LeftKnee, LeftAnkle, LeftToe
        """,
        "LeftShoulder, LeftElbow, LeftWrist, LeftHip, LeftKnee, LeftAnkle",
    ),
    "Rokoko": (
        """
        Hips, LeftThigh, LeftShin, LeftFoot, LeftToe, RightThigh, RightShin, RightFoot, RightToe, Spine1, Spine2,
        Spine3, Spine4, LeftShoulder, LeftArm, LeftForeArm, LeftHand, RightShoulder, RightArm, RightForeArm,
        RightHand, Neck, Head
        """,
        "LeftArm, LeftForeArm, LeftHand, LeftThigh, LeftShin, LeftFoot",
    ),
    "Motive": (
        """
        Skeleton1:Hip, Skeleton1:Ab, Skeleton1:Chest, Skeleton1:Neck, Skeleton1:Head, Skeleton1:LShoulder,
        Skeleton1:LUArm, Skeleton1:LFArm, Skeleton1:LHand, Skeleton1:RShoulder, Skeleton1:RUArm, Skeleton1:RFArm,
        Skeleton1:RHand, Skeleton1:LThigh, Skeleton1:LShin, Skeleton1:LFoot, Skeleton1:LToe, Skeleton1:RThigh,
        Skeleton1:RShin, Skeleton1:RFoot, Skeleton1:RToe
        """,
        "Skeleton1:LUArm, Skeleton1:LFArm, Skeleton1:LHand, Skeleton1:LThigh, Skeleton1:LShin, Skeleton1:LFoot",
    ),
    "Character Creator": (
        """
        CC_Base_Hip, CC_Base_Pelvis, CC_Base_Waist, CC_Base_Spine01, CC_Base_Spine02, CC_Base_NeckTwist01,
        CC_Base_Head, CC_Base_L_Clavicle, CC_Base_L_Upperarm, CC_Base_L_Forearm, CC_Base_L_Hand, CC_Base_R_Clavicle,
        CC_Base_R_Upperarm, CC_Base_R_Forearm, CC_Base_R_Hand, CC_Base_L_Thigh, CC_Base_L_Calf, CC_Base_L_Foot,
        CC_Base_L_ToeBase, CC_Base_R_Thigh, CC_Base_R_Calf, CC_Base_R_Foot, CC_Base_R_ToeBase
        """,
        "CC_Base_L_Upperarm, CC_Base_L_Forearm, CC_Base_L_Hand, CC_Base_L_Thigh, CC_Base_L_Calf, CC_Base_L_Foot",
    ),
    "VRM": (
        """
        Root, J_Bip_C_Hips, J_Bip_C_Spine, J_Bip_C_Chest, J_Bip_C_UpperChest, J_Bip_C_Neck, J_Bip_C_Head,
        J_Bip_L_Shoulder, J_Bip_L_UpperArm, J_Bip_L_LowerArm, J_Bip_L_Hand, J_Bip_R_Shoulder, J_Bip_R_UpperArm,
        J_Bip_R_LowerArm, J_Bip_R_Hand, J_Bip_L_UpperLeg, J_Bip_L_LowerLeg, J_Bip_L_Foot, J_Bip_L_ToeBase,
        J_Bip_R_UpperLeg, J_Bip_R_LowerLeg, J_Bip_R_Foot, J_Bip_R_ToeBase
        """,
        "J_Bip_L_UpperArm, J_Bip_L_LowerArm, J_Bip_L_Hand, J_Bip_L_UpperLeg, J_Bip_L_LowerLeg, J_Bip_L_Foot",
    ),
    "3ds Max Biped": (
        """
        Bip01, Bip01 Pelvis, Bip01 Spine, Bip01 Spine1, Bip01 Neck, Bip01 Head, Bip01 HeadNub, Bip01 L Clavicle,
        Bip01 L UpperArm, Bip01 L Forearm, Bip01 L Hand, Bip01 R Clavicle, Bip01 R UpperArm, Bip01 R Forearm, Bip01
        R Hand, Bip01 L Thigh, Bip01 L Calf, Bip01 L Foot, Bip01 L Toe0, Bip01 R Thigh, Bip01 R Calf, Bip01 R Foot,
        Bip01 R Toe0
        """,
        "Bip01 L UpperArm, Bip01 L Forearm, Bip01 L Hand, Bip01 L Thigh, Bip01 L Calf, Bip01 L Foot",
    ),
    "Valve": (
        """
        ValveBiped.Bip01_Pelvis, ValveBiped.Bip01_Spine, ValveBiped.Bip01_Spine1, ValveBiped.Bip01_Spine2,
        ValveBiped.Bip01_Spine4, ValveBiped.Bip01_Neck1, ValveBiped.Bip01_Head1, ValveBiped.Bip01_L_Clavicle,
        ValveBiped.Bip01_L_UpperArm, ValveBiped.Bip01_L_Forearm, ValveBiped.Bip01_L_Hand,
        ValveBiped.Bip01_R_Clavicle, ValveBiped.Bip01_R_UpperArm, ValveBiped.Bip01_R_Forearm,
        ValveBiped.Bip01_R_Hand, ValveBiped.Bip01_L_Thigh, ValveBiped.Bip01_L_Calf, ValveBiped.Bip01_L_Foot,
        ValveBiped.Bip01_L_Toe0, ValveBiped.Bip01_R_Thigh, ValveBiped.Bip01_R_Calf, ValveBiped.Bip01_R_Foot,
        ValveBiped.Bip01_R_Toe0
        """,
        "ValveBiped.Bip01_L_UpperArm, ValveBiped.Bip01_L_Forearm, ValveBiped.Bip01_L_Hand, "
        "ValveBiped.Bip01_L_Thigh, ValveBiped.Bip01_L_Calf, ValveBiped.Bip01_L_Foot",
    ),
    "SOMA, BONES-SEED": (
        """
        Hips, Spine1, Spine2, Chest, Neck1, Neck2, Head, HeadEnd, Jaw, LeftEye, RightEye, LeftShoulder, LeftArm,
        LeftForeArm, LeftHand, RightShoulder, RightArm, RightForeArm, RightHand, LeftLeg, LeftShin, LeftFoot,
        LeftToeBase, LeftToeEnd, RightLeg, RightShin, RightFoot, RightToeBase, RightToeEnd
        """,
        "LeftArm, LeftForeArm, LeftHand, LeftLeg, LeftShin, LeftFoot",
    ),
    "ARKit": (
        """
        root, hips_joint, left_upLeg_joint, left_leg_joint, left_foot_joint, left_toes_joint, right_upLeg_joint,
        right_leg_joint, right_foot_joint, right_toes_joint, spine_1_joint, spine_7_joint, left_shoulder_1_joint,
        left_arm_joint, left_forearm_joint, left_hand_joint, right_shoulder_1_joint, right_arm_joint,
        right_forearm_joint, right_hand_joint, neck_1_joint, head_joint
        """,
        "left_arm_joint, left_forearm_joint, left_hand_joint, left_upLeg_joint, left_leg_joint, left_foot_joint",
    ),
    "Apple Vision": (
        """
        head_joint, neck_1_joint, left_shoulder_1_joint, left_forearm_joint, left_hand_joint,
        right_shoulder_1_joint, right_forearm_joint, right_hand_joint, left_upLeg_joint, left_leg_joint,
        left_foot_joint, right_upLeg_joint, right_leg_joint, right_foot_joint, root
        """,
        "left_shoulder_1_joint, left_forearm_joint, left_hand_joint, left_upLeg_joint, left_leg_joint, left_foot_joint",
    ),
    "Apple Vision 3D": (
        """
        human_root_3D, human_center_head_3D, human_center_shoulder_3D, human_left_shoulder_3D, human_left_elbow_3D,
        human_left_wrist_3D, human_right_shoulder_3D, human_right_elbow_3D, human_right_wrist_3D, human_left_hip_3D,
        human_left_knee_3D, human_left_ankle_3D, human_right_hip_3D, human_right_knee_3D, human_right_ankle_3D,
        human_spine_3D, human_top_head_3D
        """,
        "human_left_shoulder_3D, human_left_elbow_3D, human_left_wrist_3D, "
        "human_left_hip_3D, human_left_knee_3D, human_left_ankle_3D",
    ),
    "DeepMotion": (
        """
        hips_JNT, l_upleg_JNT, l_leg_JNT, l_foot_JNT, l_toebase_JNT, r_upleg_JNT, r_leg_JNT, r_foot_JNT,
        r_toebase_JNT, spine_JNT, spine1_JNT, spine2_JNT, neck_JNT, head_JNT, l_shoulder_JNT, l_arm_JNT,
        l_forearm_JNT, l_hand_JNT, r_shoulder_JNT, r_arm_JNT, r_forearm_JNT, r_hand_JNT
        """,
        "l_arm_JNT, l_forearm_JNT, l_hand_JNT, l_upleg_JNT, l_leg_JNT, l_foot_JNT",
    ),
    "joint centres": (
        """
        LHJC, LKJC, LAJC, RHJC, RKJC, RAJC, LSJC, LEJC, LWJC, RSJC, REJC, RWJC, LFHD, RFHD, LBHD, RBHD, C7, T10
        """,
        "LSJC, LEJC, LWJC, LHJC, LKJC, LAJC",
    ),
    "OpenSim": (
        """
        pelvis, femur_r, tibia_r, talus_r, calcn_r, toes_r, femur_l, tibia_l, talus_l, calcn_l, toes_l, torso,
        humerus_r, ulna_r, radius_r, hand_r, humerus_l, ulna_l, radius_l, hand_l, head
        """,
        "humerus_l, radius_l, hand_l, femur_l, tibia_l, talus_l",
    ),
    "OpenCap": (
        """
        C7_study, r_shoulder_study, L_shoulder_study, RHJC_study, LHJC_study, r_knee_study, L_knee_study,
        r_mknee_study, L_mknee_study, r_ankle_study, L_ankle_study, r_toe_study, L_toe_study, r_calc_study,
        L_calc_study, r_melbow_study, L_melbow_study, r_lelbow_study, L_lelbow_study, r_mwrist_study,
        r_lwrist_study, L_mwrist_study, L_lwrist_study, Neck, RElbow, LElbow, RWrist, LWrist
        """,
        "L_shoulder_study, LElbow, LWrist, LHJC_study, L_knee_study, L_ankle_study",
    ),
    "Nuitrack": (
        """
        JOINT_HEAD, JOINT_NECK, JOINT_TORSO, JOINT_WAIST, JOINT_LEFT_COLLAR, JOINT_LEFT_SHOULDER, JOINT_LEFT_ELBOW,
        JOINT_LEFT_WRIST, JOINT_LEFT_HAND, JOINT_RIGHT_COLLAR, JOINT_RIGHT_SHOULDER, JOINT_RIGHT_ELBOW,
        JOINT_RIGHT_WRIST, JOINT_RIGHT_HAND, JOINT_LEFT_HIP, JOINT_LEFT_KNEE, JOINT_LEFT_ANKLE, JOINT_RIGHT_HIP,
        JOINT_RIGHT_KNEE, JOINT_RIGHT_ANKLE
        """,
        "JOINT_LEFT_SHOULDER, JOINT_LEFT_ELBOW, JOINT_LEFT_WRIST, JOINT_LEFT_HIP, JOINT_LEFT_KNEE, JOINT_LEFT_ANKLE",
    ),
    "OpenNI": (
        """
        SKEL_HEAD, SKEL_NECK, SKEL_TORSO, SKEL_LEFT_SHOULDER, SKEL_LEFT_ELBOW, SKEL_LEFT_HAND, SKEL_RIGHT_SHOULDER,
        SKEL_RIGHT_ELBOW, SKEL_RIGHT_HAND, SKEL_LEFT_HIP, SKEL_LEFT_KNEE, SKEL_LEFT_FOOT, SKEL_RIGHT_HIP,
        SKEL_RIGHT_KNEE, SKEL_RIGHT_FOOT
        """,
        "SKEL_LEFT_SHOULDER, SKEL_LEFT_ELBOW, SKEL_LEFT_HAND, SKEL_LEFT_HIP, SKEL_LEFT_KNEE, SKEL_LEFT_FOOT",
    ),
    "Momentum": (
        """
        b_root, b_l_upleg, b_l_leg, b_l_talocrural, b_l_ball, b_r_upleg, b_r_leg, b_r_talocrural, b_spine0,
        b_spine1, b_spine2, b_neck0, b_head, b_l_shoulder, b_l_arm, b_l_forearm, b_l_wrist, b_r_shoulder, b_r_arm,
        b_r_forearm, b_r_wrist
        """,
        "b_l_arm, b_l_forearm, b_l_wrist, b_l_upleg, b_l_leg, b_l_talocrural",
    ),
    "FreeMoCap": (
        """
        body_nose, body_left_eye, body_right_eye, body_left_ear, body_right_ear, body_left_shoulder,
        body_right_shoulder, body_left_elbow, body_right_elbow, body_left_wrist, body_right_wrist, body_left_hip,
        body_right_hip, body_left_knee, body_right_knee, body_left_ankle, body_right_ankle, body_left_heel,
        body_right_heel, body_left_foot_index, body_right_foot_index
        """,
        "body_left_shoulder, body_left_elbow, body_left_wrist, body_left_hip, body_left_knee, body_left_ankle",
    ),
    "Unity": (
        """
        Hips, Left Upper Leg, Right Upper Leg, Left Lower Leg, Right Lower Leg, Left Foot, Right Foot, Spine, Chest,
        Neck, Head, Left Shoulder, Right Shoulder, Left Upper Arm, Right Upper Arm, Left Lower Arm, Right Lower Arm,
        Left Hand, Right Hand
        """,
        "Left Upper Arm, Left Lower Arm, Left Hand, Left Upper Leg, Left Lower Leg, Left Foot",
    ),
}


def split(text: str) -> list[str]:
    return [name.strip() for name in text.replace("\n", " ").split(",")]


def sources(names: list[str]) -> dict[str, list[str]]:
    """The source names of each joint of the bundled encoder's skeleton."""
    return {
        joint: [name for name, weight in zip(names, row) if weight]
        for joint, row in zip(COMMON.joints, mapping(custom(names), COMMON))
    }


LIMBS = [f"left_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]


@pytest.mark.parametrize("rig", RIGS)
def test_rigs(rig):
    names, left = map(split, RIGS[rig])
    used = sources(names)
    assert [used[joint] for joint in LIMBS] == [[name] for name in left]
    mirrored = [name.replace("left", "right") for name in LIMBS]
    right = [used[joint] for joint in mirrored]
    assert all(len(name) == 1 for name in right) and not {name[0] for name in right} & {*left}
    if any("head" in name.lower() for name in names):
        assert all("head" in name.lower() for name in used["head"])


MIXAMO = split(RIGS["Mixamo by Sketchfab"][0])
PLAIN = [name.split(":")[1].rsplit("_", 1)[0] for name in MIXAMO]


@pytest.mark.parametrize(
    "prefix",
    [
        "mixamorig:",
        "mixamorig9:",
        "mixamorig_",
        "mixamorig",
        "Character1_",
        "Robot_",
        "Armature|",
        "mySkel007_",
        "walk.01/",
    ]
    + ["Actor1:mixamorig:", "subject-3 "],
)
@pytest.mark.parametrize("suffix", ["", "_jnt", ".pos"])
def test_common_prefixes_and_suffixes_of_names_are_removed(prefix, suffix):
    assert canonical_names([f"{prefix}{name}{suffix}" for name in PLAIN]) == canonical_names(PLAIN)


def test_a_side_that_all_names_share_stays():
    assert canonical_names(["left_shoulder", "left_elbow", "left_wrist"]) == [
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ]
    assert canonical_names(["r_hip", "r_knee", "r_ankle"]) == ["right_hip", "right_knee", "right_ankle"]


def test_some_names_without_the_prefix():
    assert canonical_names(["Root", *(f"Bob_{name}" for name in PLAIN)])[1:] == canonical_names(PLAIN)


PLUG_IN_GAIT = (
    "LFHD RFHD LBHD RBHD C7 T10 CLAV STRN RBAK LSHO LUPA LELB LFRM LWRA LWRB LFIN RSHO RUPA RELB RFRM RWRA RWRB"
)
PLUG_IN_GAIT += " RFIN LASI RASI LPSI RPSI LTHI LKNE LTIB LANK LHEE LTOE RTHI RKNE RTIB RANK RHEE RTOE"


def test_markers_on_the_skin():
    """Joints between markers are derived from them: wrist, head, and the hip by the proportions of a pelvis."""
    used = sources(PLUG_IN_GAIT.split())
    assert used["head"] == ["LFHD", "RFHD", "LBHD", "RBHD"] and used["left_wrist"] == ["LWRA", "LWRB"]
    assert used["left_hip"] == ["LASI", "LPSI", "LKNE"] and used["right_knee"] == ["RKNE"]
    # x to the left, y ahead, z up; metres. By Bell et al. the hip is 3.4 cm inside, 5.3 cm behind and 7.2 cm below
    # the front of an iliac crest that is 24 cm wide.
    skeleton = custom(["LASI", "RASI", "LPSI", "RPSI", "LKNE", "RKNE"])
    markers = [[0.12, 0.1, 1], [-0.12, 0.1, 1], [0.04, -0.05, 1.01], [-0.04, -0.05, 1.01], [0.09, 0.05, 0.51]]
    markers = np.array([*markers, [-0.09, 0.05, 0.51]])
    hips = mapping(skeleton, custom(["left_hip", "right_hip"])) @ markers
    np.testing.assert_allclose(hips, [[0.086, 0.047, 0.928], [-0.086, 0.047, 0.928]], atol=0.01)


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        (
            "left_shoulder",
            "lShldr LSHO LSJC lShldrBend left_arm_joint L_Shoulder_study acromial_l shoulderLeft Lt_Shoulder",
        ),
        ("right_elbow", "rForeArm RELB REJC rForearmBend DEF-forearm.R right_forearm_joint mixamorig_RightForeArm"),
        ("left_wrist", "LWJC jLeftWrist human_left_wrist left_wrist_joint"),
        (
            "left_hip",
            "lThigh LHJC lThighBend Character1_LeftUpLeg J_Bip_L_UpperLeg CC_Base_L_Thigh body_left_hip femur_l",
        ),
        ("right_knee", "rShin RKNE RKJC JOINT_KNEE_RIGHT Bip01_R_Calf right_leg_joint SKEL_RIGHT_KNEE"),
        ("left_ankle", "LANK LAJC talus_l jLeftAnkle"),
        ("right_heel", "RHEE calcn_r R_calc_study"),
        ("pelvis", "mixamorig_Hips mixamorigHips J_Bip_C_Hips hips_joint mixamorig1:Hips Character1_Hips"),
        ("neck", "head_bottom neckLower jT1C7"),
        ("head_top", "HeadNub HeadTop_End human_top_head"),
        ("left_asis", "LASI LASIS L_ASIS_study"),
        # What only looks like a known name.
        ("left_shldr_twist", "lShldrTwist"),
        ("l_5", "L5"),
        ("t_10", "T10"),
        ("left_upa", "left_UPA"),
        ("body", "body"),
    ],
)
def test_spellings_of_vendors(name, spellings):
    assert {canonical_name(spelling) for spelling in spellings.split()} == {name}


def test_a_leg_above_a_shin_is_the_thigh():
    assert canonical_names(["LeftLeg", "LeftShin"]) == ["left_hip", "left_knee"]
    assert canonical_names(["LeftUpLeg", "LeftLeg"]) == ["left_hip", "left_knee"]
    assert canonical_names(["RightThigh", "RightLeg", "RightShin"]) == ["right_hip", "right_knee", "right_shin"]


def test_sides_without_separator_need_both_sides():
    assert canonical_names(["KNEEL", "KNEER", "lMTP5", "rMTP5"]) == [
        "left_knee",
        "right_knee",
        "left_mtp_5",
        "right_mtp_5",
    ]
    assert canonical_names(["LMTP5", "RMTP5"]) == ["left_mtp_5", "right_mtp_5"]
    assert canonical_names(["lemon", "ring", "kneel"]) == ["lemon", "ring", "kneel"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=6))
def test_as_many_names_as_given(names):
    assert len(canonical_names(names)) == len(names)
