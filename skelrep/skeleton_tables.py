"""The joints and trees of the named skeletons, as `skelrep.skeletons` reads them: data only.

A table is a text of `joint<parent` pairs in the order of the arrays; a joint without `<` is a root, and `l.` and `r.`
stand for `left_` and `right_`. Joint orders are those of the formats' own documentation.
"""

from __future__ import annotations

_LIMBS = (  # the part that every layout shares, in the order of the bundled encoder
    "l.shoulder<mid_shoulders l.elbow<l.shoulder l.wrist<l.elbow r.shoulder<mid_shoulders r.elbow<r.shoulder "
    "r.wrist<r.elbow l.hip<mid_hips l.knee<l.hip l.ankle<l.knee r.hip<mid_hips r.knee<r.hip r.ankle<r.knee"
)

_COCO_17 = (
    "nose l.eye<nose r.eye<nose l.ear<l.eye r.ear<r.eye l.shoulder<nose r.shoulder<nose l.elbow<l.shoulder "
    "r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.hip<l.shoulder r.hip<r.shoulder l.knee<l.hip "
    "r.knee<r.hip l.ankle<l.knee r.ankle<r.knee"
)
_COCO_FEET = " l.toe<l.ankle l.small_toe<l.toe l.heel<l.ankle r.toe<r.ankle r.small_toe<r.toe r.heel<r.ankle"
_HALPE_26 = (
    "nose<neck l.eye<nose r.eye<nose l.ear<l.eye r.ear<r.eye l.shoulder<neck r.shoulder<neck l.elbow<l.shoulder "
    "r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.hip<pelvis r.hip<pelvis l.knee<l.hip r.knee<r.hip "
    "l.ankle<l.knee r.ankle<r.knee head_top<neck neck<pelvis pelvis l.toe<l.ankle r.toe<r.ankle l.small_toe<l.toe "
    "r.small_toe<r.toe l.heel<l.ankle r.heel<r.ankle"
)
_FACE_AND_HANDS = "".join(f" face_{i}<nose" for i in range(68)) + "".join(
    f" {side}.hand_root<{side}.wrist"
    + "".join(
        f" {side}.{finger}_{i}<{side}.{f'{finger}_{i - 1}' if i > 1 else 'hand_root'}"
        for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
        for i in range(1, 5)
    )
    for side in "lr"
)
_PANOPTIC_15 = (
    "neck nose<neck mid_hips<neck l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow l.hip<mid_hips l.knee<l.hip "
    "l.ankle<l.knee r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow r.hip<mid_hips r.knee<r.hip r.ankle<r.knee"
)

#: The table of each skeleton by its name.
TABLES: dict[str, str] = {
    # What every sensor and pose estimator gives, directly or by rule: the skeleton of the bundled encoders.
    # Midpoints stand for pelvis and neck, which sensors place differently (neck to head: 0.19 m in Kinect v1,
    # 0.07 m in motion capture).
    "common-15": "mid_hips mid_shoulders<mid_hips head<mid_shoulders " + _LIMBS,
    # Kinect v2 as in NTU RGB+D; the parents are the bone pairs of the AGCN / CMD line.
    "ntu-25": (
        "pelvis<spine spine<chest neck<chest head<neck l.shoulder<chest l.elbow<l.shoulder l.wrist<l.elbow "
        "l.hand<l.wrist r.shoulder<chest r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist l.hip<pelvis "
        "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle "
        "chest l.hand_tip<l.thumb l.thumb<l.hand r.hand_tip<r.thumb r.thumb<r.hand"
    ),
    # Kinect v1 in the order of its SDK (JointType); the neck is the SDK's ShoulderCenter.
    "kinect-20": (
        "pelvis spine<pelvis neck<spine head<neck l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow "
        "l.hand<l.wrist r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist l.hip<pelvis "
        "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle"
    ),
    # The same joints from the head downwards: UTD-MHAD.
    "utd-mhad-20": (
        "head<neck neck<spine spine<pelvis pelvis l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow "
        "l.hand<l.wrist r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist l.hip<pelvis "
        "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle"
    ),
    # MSR Action3D; its joint 1 is the left shoulder by geometry.
    "msr-action3d-20": (
        "l.shoulder<neck r.shoulder<neck neck<spine spine<pelvis l.hip<pelvis r.hip<pelvis pelvis "
        "l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.hand<l.wrist r.hand<r.wrist "
        "l.knee<l.hip r.knee<r.hip l.ankle<l.knee r.ankle<r.knee l.foot<l.ankle r.foot<r.ankle head<neck"
    ),
    "coco-17": _COCO_17,
    # Human3.6M's seventeen in the order of VideoPose3D and MotionBERT.
    "h36m-17": (
        "pelvis r.hip<pelvis r.knee<r.hip r.ankle<r.knee l.hip<pelvis l.knee<l.hip l.ankle<l.knee spine<pelvis "
        "neck<spine nose<neck head<nose l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow r.shoulder<neck "
        "r.elbow<r.shoulder r.wrist<r.elbow"
    ),
    "smpl-22": (
        "pelvis l.hip<pelvis r.hip<pelvis spine<pelvis l.knee<l.hip r.knee<r.hip spine_2<spine l.ankle<l.knee "
        "r.ankle<r.knee chest<spine_2 l.foot<l.ankle r.foot<r.ankle neck<chest l.collar<chest r.collar<chest "
        "head<neck l.shoulder<l.collar r.shoulder<r.collar l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow "
        "r.wrist<r.elbow"
    ),
    "smpl-24": (
        "pelvis l.hip<pelvis r.hip<pelvis spine<pelvis l.knee<l.hip r.knee<r.hip spine_2<spine l.ankle<l.knee "
        "r.ankle<r.knee chest<spine_2 l.foot<l.ankle r.foot<r.ankle neck<chest l.collar<chest r.collar<chest "
        "head<neck l.shoulder<l.collar r.shoulder<r.collar l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow "
        "r.wrist<r.elbow l.hand<l.wrist r.hand<r.wrist"
    ),
    "mediapipe-33": (
        "nose l.eye_inner<nose l.eye<l.eye_inner l.eye_outer<l.eye r.eye_inner<nose r.eye<r.eye_inner "
        "r.eye_outer<r.eye l.ear<l.eye_outer r.ear<r.eye_outer l.mouth<nose r.mouth<nose l.shoulder<nose "
        "r.shoulder<nose l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.pinky<l.wrist "
        "r.pinky<r.wrist l.index<l.wrist r.index<r.wrist l.thumb<l.wrist r.thumb<r.wrist l.hip<l.shoulder "
        "r.hip<r.shoulder l.knee<l.hip r.knee<r.hip l.ankle<l.knee r.ankle<r.knee l.heel<l.ankle r.heel<r.ankle "
        "l.toe<l.ankle r.toe<r.ankle"
    ),
    "openpose-25": (
        "nose<neck neck r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow l.shoulder<neck l.elbow<l.shoulder "
        "l.wrist<l.elbow pelvis<neck r.hip<pelvis r.knee<r.hip r.ankle<r.knee l.hip<pelvis l.knee<l.hip "
        "l.ankle<l.knee r.eye<nose l.eye<nose r.ear<r.eye l.ear<l.eye l.toe<l.ankle l.small_toe<l.toe "
        "l.heel<l.ankle r.toe<r.ankle r.small_toe<r.toe r.heel<r.ankle"
    ),
    # OpenPose's older model: the order of its POSE_COCO_BODY_PARTS.
    "openpose-18": (
        "nose<neck neck r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow l.shoulder<neck l.elbow<l.shoulder "
        "l.wrist<l.elbow r.hip<neck r.knee<r.hip r.ankle<r.knee l.hip<neck l.knee<l.hip l.ankle<l.knee r.eye<nose "
        "l.eye<nose r.ear<r.eye l.ear<l.eye"
    ),
    # Azure Kinect's body tracking in the order of its SDK (k4abt_joint_id_t).
    "azure-kinect-32": (
        "pelvis spine<pelvis chest<spine neck<chest l.collar<chest l.shoulder<l.collar l.elbow<l.shoulder "
        "l.wrist<l.elbow l.hand<l.wrist l.hand_tip<l.hand l.thumb<l.wrist r.collar<chest r.shoulder<r.collar "
        "r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist r.hand_tip<r.hand r.thumb<r.wrist l.hip<pelvis "
        "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle "
        "head<neck nose<head l.eye<head l.ear<head r.eye<head r.ear<head"
    ),
    # CMU motion capture reduced to the joints that its BVH and AMC releases share; hands and feet are wrists and
    # ankles.
    "cmu-17": (
        "pelvis spine<pelvis chest<spine neck<chest head<neck l.shoulder<chest l.elbow<l.shoulder l.wrist<l.elbow "
        "r.shoulder<chest r.elbow<r.shoulder r.wrist<r.elbow l.hip<pelvis l.knee<l.hip l.ankle<l.knee r.hip<pelvis "
        "r.knee<r.hip r.ankle<r.knee"
    ),
    # Bandai-Namco Research motion data sets 1 and 2: their Shoulder is the collar, UpperArm the shoulder and so on.
    "bandai-namco-21": (
        "pelvis spine<pelvis chest<spine neck<chest head<neck l.collar<chest l.shoulder<l.collar "
        "l.elbow<l.shoulder l.wrist<l.elbow r.collar<chest r.shoulder<r.collar r.elbow<r.shoulder r.wrist<r.elbow "
        "l.hip<pelvis l.knee<l.hip l.ankle<l.knee l.toe<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee "
        "r.toe<r.ankle"
    ),
    # HDM05's ASF names a position after the segment that ends there: "lhumerus" is the left elbow.
    "hdm05-31": (
        "pelvis l.hip<pelvis r.hip<pelvis spine<pelvis l.knee<l.hip r.knee<r.hip spine_2<spine l.ankle<l.knee "
        "r.ankle<r.knee chest<spine_2 l.foot<l.ankle r.foot<r.ankle neck<chest l.shoulder<chest r.shoulder<chest "
        "l.toe<l.foot r.toe<r.foot upper_neck<neck l.elbow<l.shoulder r.elbow<r.shoulder head<upper_neck "
        "l.forearm<l.elbow r.forearm<r.elbow l.wrist<l.forearm r.wrist<r.forearm l.hand<l.wrist l.thumb<l.wrist "
        "r.hand<r.wrist r.thumb<r.wrist l.hand_tip<l.hand r.hand_tip<r.hand"
    ),
    # JHMDB's fifteen, 2-D.
    "jhmdb-15": (
        "neck<spine spine head<neck r.shoulder<neck l.shoulder<neck r.hip<spine l.hip<spine r.elbow<r.shoulder "
        "l.elbow<l.shoulder r.knee<r.hip l.knee<l.hip r.wrist<r.elbow l.wrist<l.elbow r.ankle<r.knee "
        "l.ankle<l.knee"
    ),
    # OpenPose's MPI model; its head is the top of the head.
    "openpose-15": (
        "head_top<neck neck<chest r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow l.shoulder<neck "
        "l.elbow<l.shoulder l.wrist<l.elbow r.hip<chest r.knee<r.hip r.ankle<r.knee l.hip<chest l.knee<l.hip "
        "l.ankle<l.knee chest"
    ),
    # Halpe Full-Body's 26 of AlphaPose, RTMPose and Pose2Sim: COCO's, then the top of the head, neck and feet.
    "halpe-26": _HALPE_26,
    # COCO-WholeBody's 133 and Halpe Full-Body's 136: body and feet, 68 of the face, 21 of each hand.
    "coco-wholebody-133": _COCO_17 + _COCO_FEET + _FACE_AND_HANDS,
    "halpe-136": _HALPE_26 + _FACE_AND_HANDS,
    # CMU Panoptic's joints19; joints15 are the first fifteen.
    "panoptic-19": _PANOPTIC_15 + " l.eye<nose l.ear<l.eye r.eye<nose r.ear<r.eye",
    "panoptic-15": _PANOPTIC_15,
    "mpii-16": (
        "r.ankle<r.knee r.knee<r.hip r.hip<pelvis l.hip<pelvis l.knee<l.hip l.ankle<l.knee pelvis chest<pelvis "
        "neck<chest head_top<neck r.wrist<r.elbow r.elbow<r.shoulder r.shoulder<chest l.shoulder<chest "
        "l.elbow<l.shoulder l.wrist<l.elbow"
    ),
    # Ubisoft's LAFAN1, in the order of its BVH hierarchy.
    "lafan1-22": (
        "pelvis l.hip<pelvis l.knee<l.hip l.ankle<l.knee l.toe<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee "
        "r.toe<r.ankle spine<pelvis spine_1<spine chest<spine_1 neck<chest head<neck l.collar<chest "
        "l.shoulder<l.collar l.elbow<l.shoulder l.wrist<l.elbow r.collar<chest r.shoulder<r.collar "
        "r.elbow<r.shoulder r.wrist<r.elbow"
    ),
    # KIT-ML as HumanML3D distributes it. Its names (LS, LE, LW ...) put the left side first, but the coordinates
    # are mirrored: with right-handed axes people walk forward only if joints 5 to 7 and 11 to 15 are the right side.
    "kit-21": (
        "pelvis spine<pelvis chest<spine neck<chest head<neck r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow "
        "l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow r.hip<pelvis r.knee<r.hip r.ankle<r.knee "
        "r.foot<r.ankle r.toe<r.foot l.hip<pelvis l.knee<l.hip l.ankle<l.knee l.foot<l.ankle l.toe<l.foot"
    ),
}
