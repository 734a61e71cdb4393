"""Xsens MVNX: segments, calibration frames, two subjects, and invalid files."""

import numpy as np
import pytest

from skelrep.io import read

SEGMENTS = "Pelvis L5 L3 T12 T8 Neck Head RightShoulder RightUpperArm RightForeArm RightHand LeftShoulder LeftUpperArm "
SEGMENTS += (
    "LeftForeArm LeftHand RightUpperLeg RightLowerLeg RightFoot RightToe LeftUpperLeg LeftLowerLeg LeftFoot LeftToe"
)
LABELS = SEGMENTS.split()
POINTS = np.random.default_rng(0).normal(size=(2, 4, 23, 3))


def subject(label: str, points: np.ndarray, numbers=(0, 1, 2, 3)) -> str:
    segments = "".join(
        f'<segment label="{name}" id="{i + 1}"><points><point/></points></segment>' for i, name in enumerate(LABELS)
    )
    zero = " ".join(["0"] * 69)
    frames = f'<frame time="0" index="" type="tpose"><position>{zero}</position></frame>'
    for number, pose in zip(numbers, points):
        place = " ".join(f"{value:.6f}" for value in pose.ravel())
        frames += f'<frame time="{number}" index="{number}" type="normal"><orientation>1 0</orientation>'
        frames += f"<position>{place}</position></frame>"
    return (
        f'<subject label="{label}" frameRate="60" segmentCount="23"><segments>{segments}</segments>'
        f'<frames segmentCount="23">{frames}</frames></subject>'
    )


def document(*subjects: str) -> str:
    return f'<?xml version="1.0"?><mvnx xmlns="http://www.xsens.com/mvn/mvnx" version="4">{"".join(subjects)}</mvnx>'


def test_segments_are_joints(tmp_path):
    (tmp_path / "a.mvnx").write_text(document(subject("Anna", POINTS[0])))
    poses = read(tmp_path / "a.mvnx")
    assert (poses.ids, poses.fps, poses.clips[0].shape) == (["a"], 60, (1, 4, 23, 3))
    np.testing.assert_allclose(poses.clips[0][0], POINTS[0], atol=1e-5)
    joints = poses.skeleton.joints
    for segment, joint in (
        ("RightUpperArm", "right_shoulder"),
        ("RightHand", "right_wrist"),
        ("LeftFoot", "left_ankle"),
    ):
        assert joints[LABELS.index(segment)] == joint
    assert joints[LABELS.index("RightShoulder")] == "right_collar"
    parent = {joint: joints[poses.skeleton.parents[i]] for i, joint in enumerate(joints)}
    assert (parent["left_knee"], parent["left_collar"], parent["head"]) == ("left_hip", "chest", "neck")


def test_two_subjects_and_a_gap(tmp_path):
    text = document(subject("Anna", POINTS[0], (0, 1, 3, 4)), subject("Ben", POINTS[1], (1, 2, 3, 4)))
    (tmp_path / "a.mvnx").write_text(text)
    poses = read(tmp_path / "a.mvnx")
    assert poses.clips[0].shape == (2, 5, 23, 3)
    np.testing.assert_allclose(poses.clips[0][0, [0, 1, 3, 4]], POINTS[0], atol=1e-5)
    np.testing.assert_allclose(poses.clips[0][1, 1:], POINTS[1], atol=1e-5)
    assert np.isnan(poses.clips[0][0, 2]).all() and np.isnan(poses.clips[0][1, 0]).all()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("</mvnx>", "", "damaged or not an MVNX file"),
        ('type="normal"', 'type="tpose"', "no subject with frames of type 'normal'"),
        ("<position>", "<positions>", "damaged or not an MVNX file"),
        (
            '<segment label="Pelvis" id="1"><points><point/></points></segment>',
            "",
            "contains 69 position values, but 22 segments need 66",
        ),
    ],
)
def test_files_of_another_format_are_refused(tmp_path, before, after, message):
    text = document(subject("Anna", POINTS[0]))
    assert before in text
    (tmp_path / "a.mvnx").write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=rf"a\.mvnx.*{message}"):
        read(tmp_path / "a.mvnx")


def test_xml_entities_do_not_exhaust_memory(tmp_path):
    entities = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
    )
    (tmp_path / "a.mvnx").write_text(f'<?xml version="1.0"?>{entities}]><mvnx><subject label="&j;"/></mvnx>')
    with pytest.raises(ValueError, match="damaged or not an MVNX file"):
        read(tmp_path / "a.mvnx")
