"""COCO's annotations and lists of results, of one video and of several, with tracker ids in any spelling."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from skelrep.io import read
from tests.json_content import first_joint, flat, saved, triples, walker


def results(frames: int = 6, people: int = 2, **columns) -> list[dict]:
    """AlphaPose's list; people in another order in every second frame. Columns are functions of frame and person."""
    order = [range(people) if t % 2 else range(people)[::-1] for t in range(frames)]
    return [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": triples(walker(p, t)), "score": 2.0}
        | {key: of(t, p) for key, of in columns.items()}
        for t in range(frames)
        for p in order[t]
    ]


def kept_apart(poses) -> bool:
    """Whether no track jumps: people walk 3 pixels per frame and are 400 pixels apart."""
    return bool(np.nanmax(np.abs(np.diff(poses.clips[0][:, :, 0, 0], axis=1))) < 10)


@pytest.mark.parametrize("key", ["idx", "track_id", "person_id", "id", "instance_id"])
@pytest.mark.parametrize("spell", [int, float, str, lambda p: [p], lambda p: [float(p)], "ab".__getitem__])
def test_ids_in_any_spelling(tmp_path, key, spell):
    if key == "id":
        pytest.skip("the id of an annotation is none of a person")
    path = saved(tmp_path / "a.json", results(**{key: lambda t, p: spell(p)}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = read(path)
    assert (poses.skeleton.name, poses.ids) == ("coco-17", ["a"])
    assert poses.clips[0].shape == (2, 6, 17, 2) and kept_apart(poses)
    np.testing.assert_allclose(poses.scores[0], 0.9, rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "no tracker ids"),
        ({"idx": lambda t, p: 0}, "'0' occurs more than once in a frame"),
        ({"idx": lambda t, p: 2 * t + p}, "every id occurs in one frame only"),
        ({"idx": lambda t, p: (p + t) % 2}, "jump from one person to another"),
        ({"idx": lambda t, p: p if t % 3 else None}, "4 of 12 detections have no tracker id"),
        ({"id": lambda t, p: 2 * t + p}, "no tracker ids"),
    ],
)
def test_inconsistent_ids_are_replaced(tmp_path, columns, reason):
    with pytest.warns(UserWarning, match=reason) as caught:
        poses = read(saved(tmp_path / "a.json", results(**columns)))
    assert len(caught) == 1
    assert poses.clips[0].shape == (2, 6, 17, 2) and kept_apart(poses)


def test_images_without_persons_count_as_frames(tmp_path):
    entries = [entry for entry in results(people=1) if entry["image_id"] not in ("2.jpg", "3.jpg")]
    assert (
        np.isnan(read(saved(tmp_path / "a.json", entries)).clips[0][0, :, 0, 0]).tolist()
        == [False] * 2 + [True] * 2 + [False] * 2
    )


def annotated(images: list[dict], **more) -> dict:
    annotations = [
        {"id": i, "image_id": image["id"], "keypoints": triples(walker(0, i)), "track_id": 0}
        for i, image in enumerate(images)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}], **more}


def test_annotations(tmp_path):
    keypoints = [10, 10, 2, 0, 0, 0, 30, 30, 1]
    content = {
        "images": [{"id": 3, "file_name": "c.jpg"}, {"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 3, "keypoints": keypoints, "num_keypoints": 2}, {"image_id": 3, "bbox": []}],
        "categories": [{"name": "person", "keypoints": ["nose", "left_hip", "right_hip"]}],
    }
    poses = read(saved(tmp_path / "a.json", content))
    assert poses.skeleton.joints == ("nose", "left_hip", "right_hip")
    np.testing.assert_array_equal(poses.clips[0][0, -1], [[10, 10], [np.nan] * 2, [30, 30]])
    assert np.isnan(poses.clips[0][0, :-1]).all()


@pytest.mark.parametrize(
    "describe",
    [
        lambda v, t: {"file_name": f"{t:06d}.jpg", "video_id": v, "frame_id": t},
        lambda v, t: {"file_name": f"video{v}/{t:06d}.jpg"},
        lambda v, t: {"file_name": f"images/val/00{v}_mpii/{t:06d}.jpg", "vid_id": f"00{v}", "frame_id": 10**10 + t},
        lambda v, t: {"file_name": f"cam{v}_{t}.png"},
        lambda v, t: {"file_name": f"C:\\frames\\video{v}\\{t}.png"},
    ],
    ids=["video_id", "folders", "posetrack", "names", "windows"],
)
def test_several_videos_are_several_clips(tmp_path, describe):
    images = [{"id": 100 * v + t} | describe(v, t) for v in (1, 2) for t in range(6)]
    poses = read(saved(tmp_path / "two.json", annotated(images)))
    assert len(poses) == 2 and len(set(poses.ids)) == 2
    assert all(name.startswith("two/") for name in poses.ids)
    for v, clip in enumerate(poses.clips):
        assert clip.shape == (1, 6, 17, 2)
        np.testing.assert_allclose(clip[0, :, 0, 0], 500 + 3 * (np.arange(6) + 6 * v))


def test_videos_with_names_and_rates(tmp_path):
    images = [{"id": 10 * v + t, "video_id": v, "frame_id": 2 * t} for v in (1, 2) for t in range(3)]
    videos = [{"id": 1, "name": "walk", "fps": 50}, {"id": 2, "name": "run", "fps": 50}]
    poses = read(saved(tmp_path / "a.json", annotated(images, videos=videos)))
    assert poses.ids == ["a/walk", "a/run"] and poses.fps == 25  # every second frame is annotated


def test_track_ids_among_attributes(tmp_path):
    entries = results()
    for entry in entries:
        entry["attributes"] = {"track_id": int(entry["keypoints"][0] > 700)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kept_apart(read(saved(tmp_path / "a.json", entries)))


def test_pictures_that_are_not_frames(tmp_path):
    """COCO's own pictures, whose numbers are those of a collection."""
    numbers = np.cumsum(np.random.default_rng(0).integers(50, 5000, size=30))
    content = annotated([{"id": int(n), "file_name": f"{n:012d}.jpg"} for n in numbers])
    with pytest.raises(ValueError, match=r"a\.json: its 30 pictures are numbered .* video_id"):
        read(saved(tmp_path / "a.json", content))


def test_halpe_and_wholebody_by_their_count(tmp_path):
    for joints, name in ((26, "halpe-26"), (133, "coco-wholebody-133"), (136, "halpe-136")):
        entries = [{"image_id": f"{t}.jpg", "keypoints": flat(100 + t, joints), "idx": 1} for t in range(3)]
        poses = read(saved(tmp_path / "a.json", entries))
        assert poses.skeleton.name == name and first_joint(poses) == [[100, 101, 102]]
