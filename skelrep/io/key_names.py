"""The names of columns and keys: one vocabulary for tables, Parquet, JSON, JSON lines and trackers.

A name is compared without its case and separators: "frameNumber", "Frame_Number", "FRAME NUMBER" and "frame.number" are
the same. The meaning of a name is its role: the frame, the time, the person, the video, the label ... of a row.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from skelrep.tracking import plain_id

#: Role -> names, the most reliable first. Names that can also mean something else come last.
_NAMES = {
    "frame": "frame frame_id frame_no frame_nr frame_num frame_number frame_idx frame_index frame_count frame_counter "
    "frame_step frames frm fr frame_n no_frame num_frame number_frame idx_frame id_frame video_frame image_id img_id "
    "image_idx image_index image_no image_number img_idx img_no image_count picture_id time_step time_index time_idx "
    "step step_idx step_index step_no sample_no sample_number sample_index sample_idx f",
    # These number rows, but not reliably frames: pandas writes them before the first column.
    "row": "index row_index row_id row_no row_number row",
    "image": "image image_name image_file image_filename image_path img img_name img_file img_path frame_name "
    "frame_file frame_path picture photo file_name filename file path",
    "person": "track_id tracking_id tracker_id track tracker trk_id track_idx track_index track_no track_number "
    "track_name tid person_id person person_idx person_index person_no person_nr person_number person_name "
    "individual individual_id individuals human_id human human_idx human_index body_id body body_idx body_index "
    "body_no body_number player_id player player_name player_no user_id user user_index skeleton_id skeleton_index "
    "dancer dancer_id athlete athlete_id people_id people pid instance_id instance instance_idx instance_index "
    "object_id object obj_id entity_id entity target_id pedestrian_id",
    "number": "idx id",
    "box": "bbox_id box_id detection_id det_id",
    "subject": "subject subject_id subject_name subject_no participant participant_id actor actor_id actor_name "
    "performer performer_id patient patient_id",
    "clip": "clip clip_id clip_name video video_id video_name video_file video_filename video_path video_idx vid "
    "vid_id vid_name sequence sequence_id sequence_name seq seq_id seq_name recording recording_id recording_name "
    "record_id record_name session session_id session_name trial trial_id trial_name trial_no take take_id take_name "
    "movie movie_id movie_name scene_id shot_id sample_id sample_name filename file_name file file_id file_path "
    "filepath path frame_dir source source_file",
    "label": "label labels label_id label_name label_index label_idx action action_id action_name action_label "
    "action_class activity activity_id activity_name activity_label gesture gesture_id gesture_name gesture_label "
    "exercise exercise_id exercise_name movement movement_name class class_name class_label class_id category "
    "category_name target",
    "camera": "camera camera_id camera_name camera_no cam cam_id cam_name view view_id",
    "split": "split subset partition",
    "joint": "joint joint_name joint_id joint_index joint_idx joint_no joint_number joint_type landmark landmark_name "
    "landmark_id landmark_index landmark_idx landmark_type keypoint keypoint_name keypoint_id keypoint_index "
    "keypoint_idx keypoint_type kpt kpt_id kpt_name kp kp_id kp_name kp_idx bodypart body_part bodyparts "
    "body_part_name body_joint marker marker_name marker_id node node_name node_id part part_name part_id point_name "
    "point_id point_index point bone bone_name bone_id segment segment_name",
    "joint name": "name label type id index uid key",  # of an entry that is known to be a joint
    "group": "model type landmark_type trajectory_type group",
    "score": "score scores confidence confidences conf likelihood visibility visible vis prob probability certainty "
    "keypoint_score keypoint_scores keypoints_score keypoints_scores keypoint_confidence keypoint_conf keypoints_conf "
    "joint_score joint_scores joint_confidence joint_confidences point_scores kpt_score kpt_scores kpt_conf "
    "tracking_state tracking_status confidence_level c v",
    "rate": "fps frame_rate frames_per_second sampling_rate sample_rate sampling_frequency video_fps fps_video",
    # Keys that occur only in JSON. 3-D keypoints come first.
    "points": "keypoints_3d pose_keypoints_3d pose_3d joints_3d kpts_3d skeleton_3d points_3d landmarks_3d keypoints "
    "keypoints_2d pose_keypoints_2d pose_keypoints pose_2d joints_2d kpts kpts_2d kps keypoint joint_positions joints "
    "joint_coordinates landmarks landmark skeleton pose points positions coordinates coords skeleton_2d points_2d "
    "landmarks_2d body_joints body_keypoints key_points body_parts bodyparts markers xyz xy body",
    "frames": "instance_info frames data predictions results frame_data poses sequence frame_list detections_per_frame "
    "data_by_frame annotations records rows samples result output",
    "people": "instances people persons skeleton skeletons bodies detections predictions annotations objects poses "
    "results tracks players subjects humans individuals actors users animals tracked_people body_list people_list",
    "names": "keypoint_id2name keypoint_names keypoints_names joint_names landmark_names keypoint_labels joint_labels "
    "body_parts bodyparts node_names marker_names joint_order joints_names names",
    "about": "metadata meta info meta_info video video_info header settings properties",
    "position": "position positions coordinates coordinate coords coord location loc pos point xyz xy translation "
    "position_3d world",
}
_COMPACT = {role: {name.replace("_", ""): i for i, name in enumerate(names.split())} for role, names in _NAMES.items()}

#: Seconds per unit, by the words at the end of a name. A tick is .NET's unit of 100 ns, as in Kinect's times.
UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "milli", "millisec", "millisecs", "millisecond"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "usec", "usecs", "micros", "microsec", "microsecs", "microsecond"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanos", "nanosec", "nanosecs", "nanosecond"), 1e-9),
    **{"milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9, "100ns": 1e-7, "ticks": 1e-7, "tick": 1e-7},
}
#: Presentation times of video streams are in units of 1/90000 s (MPEG), in some files in other units.
PRESENTATION = 1 / 90_000
_TIME_WORDS = {"time", "times", "timestamp", "timestamps", "stamp", "ts", "t", "clock", "elapsed", "epoch", "pts"}
_TIME_WORDS |= {"datetime", "timecode"}
_BESIDE_TIME = {"date", "unix", "utc", "posix", "system", "sys", "relative", "rel", "abs", "absolute", "video", "frame"}
_BESIDE_TIME |= {"media", "capture", "captured", "recording", "record", "recorded", "sensor", "device", "camera", "by"}
_BESIDE_TIME |= {"host", "univ", "universal", "world", "local", "in", "wall", "presentation", "image", "sample", "mean"}
_BESIDE_TIME |= {"of", "depth", "color", "body", "kinect", "server", "the", "cam", "pose", "row", "total", "stamps"}
_GLUED = re.compile(rf"({'|'.join(sorted(_TIME_WORDS | {'datetime'}, key=len, reverse=True))})(\w\w+)")


@functools.lru_cache(maxsize=65536)
def compact(name: str) -> str:
    """A name in lower case without separators."""
    return re.sub(r"[\W_]+", "", name).lower()


@functools.lru_cache(maxsize=65536)
def rank(name: str, role: str) -> int | None:
    """How reliably a name has a role: 0 is the most reliable; None if it does not have this role."""
    if role == "time":
        return _time(name)[0]
    return _COMPACT[role].get(compact(name))


def unit_of(name: str) -> float | None:
    """Seconds per unit of a column or key, such as 1e-6 for "timestamp_usec"; None if the name does not state it."""
    return _time(name)[1]


def of_role(names: Sequence[str], role: str) -> list[int]:
    """Indices of the names that have a role, the most reliable first."""
    ranked = sorted((found, i) for i, name in enumerate(names) if (found := rank(str(name), role)) is not None)
    return [i for _, i in ranked]


def value_of(entry: Any, *roles: str) -> Any:
    """The value of the most reliable key with one of some roles and a value other than None in a dict; else None."""
    key = key_of(entry, *roles)
    return None if key is None else entry[key]


def key_of(entry: Any, *roles: str) -> Any:
    """The most reliable key with one of some roles and a value other than None in a dict; else None."""
    if not isinstance(entry, Mapping):
        return None
    for role in roles:
        best, chosen = None, None
        for key in entry:
            found = rank(key, role) if isinstance(key, str) else None
            if found is not None and (best is None or found < best) and entry[key] is not None:
                best, chosen = found, key
        if chosen is not None:
            return chosen
    return None


def tracker_id(entry: Mapping[str, Any]) -> str | None:
    """The person id in an entry for one person in one frame, from the most reliable key; None if there is none.

    Keys that may be the id of an annotation or a box come last: if they number detections instead of persons,
    `skelrep.tracking.identify` notices that each id occurs in only one frame.
    """
    keys = list(entry)
    found = [keys[i] for role in ("person", "subject", "number", "box") for i in of_role(keys, role)]
    return next((name for key in found if (name := plain_id(entry[key])) is not None), None)


@functools.lru_cache(maxsize=4096)
def _time(name: str) -> tuple[int | None, float | None]:
    """How reliably a name denotes a time, and seconds per unit if the name states them."""
    words = _words(name)
    unit = None
    if len(words) > 1 and words[-1] in UNITS or words and len(words[-1]) > 1 and words[-1] in UNITS:
        unit = UNITS[words.pop()]
        if not words:
            return (50, unit)
    elif len(words) == 1 and (glued := _GLUED.fullmatch(words[0])) and glued[2] in UNITS:
        words, unit = [glued[1]], UNITS[glued[2]]
    joined = "".join(words)
    if unit is None and words[-1:] == ["pts"]:
        unit = PRESENTATION
    if joined in _TIME_WORDS:
        return (10 * (joined == "t"), unit)
    if {*words} & _TIME_WORDS and {*words} <= _TIME_WORDS | _BESIDE_TIME:
        return (len(words), unit)
    return (None, unit)


def _words(name: str) -> list[str]:
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.strip())
    return [word for word in re.split(r"[\W_]+", text.lower()) if word]
