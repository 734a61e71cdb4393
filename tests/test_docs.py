"""The documentation: its code runs, its links exist, and the site builds without a warning.

A block of a page is run if it is `sh` or `python`, in order, in one new folder a page; Python in one namespace. Blocks
whose fence says `title="not run ..."` need what is absent here, and so do those with a benchmark; `pip` does nothing.
`YOUR/` holds made-up files of each kind that the pages speak of, and `clips.npz` is what the Quickstart makes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest

from skelrep import SKELETONS, load_pretrained, write
from skelrep.cli import main
from skelrep.encoder import BACKBONES, MODALITIES
from skelrep.hub import model_card
from skelrep.io.video import estimation
from skelrep.poses import Poses
from tests.motion_capture_files import LEG, MOTION, SKELETON
from tests.pose_files import agcn_folder, pku_frames, skeleton_text, write_pku_recording
from tests.tutorial_files import Drawn, exercises, write_exercises, write_gestures, write_motions

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CARD = ROOT / "skelrep" / "pretrained" / "i2md-small" / "README.md"
DOCUMENTS = [ROOT / "README.md", *sorted(DOCS.glob("**/*.md"))]
# Pages that must contain at least one block that runs.
TELLING = {"README.md", *(f"docs/{name}.md" for name in ("index", "quickstart", "own-skeletons", "formats", "seeing"))}
TELLING |= {f"docs/{name}.md" for name in ("streaming", "protocols", "pretraining", "extending", "labelled-folders")}


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int  # of the page, where the text begins


def blocks(page: Path) -> list[Block]:
    """Those that can be run here."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(sh|python)\b(.*)\n([\s\S]*?)^```$", text, re.MULTILINE):
        before = text[: match.start()].rstrip()
        elsewhere = "not run" in match[2] or "tests.benchmarks" in match[3] or before.endswith("<!-- test command -->")
        if not elsewhere:
            found.append(Block(match[1], match[3], text[: match.start(3)].count("\n") + 1))
    return found


def where(page: Path) -> str:
    """The path below the root of the repository."""
    return page.relative_to(ROOT).as_posix()


PAGES = [page for page in DOCUMENTS if where(page) in TELLING or blocks(page)]


# -- what the pages speak of ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def made_up(tmp_path_factory, monkeypatch_module) -> Path:
    """A folder with `clips.npz` and `YOUR/`."""
    folder = tmp_path_factory.mktemp("made-up")
    spec = importlib.util.spec_from_file_location("motion", ROOT / "examples" / "motion.py")
    motion = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(motion)
    motion.make_clips(60).save(folder / "clips.npz")
    _make_files(folder / "YOUR", motion)
    write_motions(folder / "YOUR" / "motions", motion)
    write_gestures(folder / "YOUR", motion)
    clip = exercises(motion)
    write_exercises(folder / "YOUR" / "exercises.mp4", clip, motion)
    # No pose model comes with the package; this one knows what was drawn in the video.
    monkeypatch_module.setattr(estimation, "MediaPipePose", lambda model: Drawn(clip, motion))
    return folder


def _make_files(folder: Path, motion) -> None:
    """A file or folder of every kind that the pages read."""
    folder.mkdir()
    seen = motion.make_clips(24, skeleton="coco-17", noise=0)
    [walk] = seen.clips[0][:, :40].astype(float)  # (T, 17, 3) metres, y up
    pixels = walk[..., :2] * (400, -400) + (960, 700)  # y down

    hips = walk[:, [11, 12]].mean(axis=1, keepdims=True)
    landmarks = _on("mediapipe-33", (walk - hips) * (1, -1, -1))
    keys = ("x", "y", "z", "visibility")
    _json(folder / "walk.json", [[dict(zip(keys, (*point, 0.9))) for point in frame] for frame in landmarks.tolist()])

    (folder / "openpose").mkdir()
    for t, frame in enumerate(_on("openpose-25", pixels)):
        person = {"pose_keypoints_2d": np.insert(frame, 2, 0.8, axis=1).ravel().tolist()}
        _json(folder / "openpose" / f"walk_{t:012}_keypoints.json", {"people": [person]})
    instances = [{"keypoints": frame.tolist(), "keypoint_scores": [0.8] * 17} for frame in pixels]
    _json(folder / "mmpose.json", [{"frame_id": t, "instances": [one]} for t, one in enumerate(instances)])
    flat = [np.insert(frame, 2, 0.8, axis=1).ravel().tolist() for frame in pixels]
    results = [{"image_id": f"{t}.jpg", "keypoints": numbers, "idx": 1} for t, numbers in enumerate(flat)]
    _json(folder / "alphapose-results.json", results)
    bodies = [
        {"body_id": 1, "joint_positions": frame.tolist()}
        for frame in _on("azure-kinect-32", walk * (1000, -1000, -1000))
    ]
    stamps = [{"timestamp_usec": t * 33_333, "bodies": [body]} for t, body in enumerate(bodies)]
    _json(folder / "azure.json", {"frames": stamps})

    for label in ("wave", "jump", "bow"):
        several = motion.make_clips(72, skeleton="coco-17").select(labels=label)
        for name, clip in zip("abcdxy", several.clips, strict=True):
            where = folder / "labelled" / ("test" if name in "xy" else "train") / label
            where.mkdir(parents=True, exist_ok=True)
            points = clip[0, :, :, :2] * (400, -400) + (960, 700)
            frames = [{"frame_id": t, "instances": [{"keypoints": frame.tolist()}]} for t, frame in enumerate(points)]
            _json(where / f"{name}.json", {"instance_info": frames})

    np.savetxt(folder / "kinect_v1.txt", motion.make_clips(24, noise=0).clips[0][0].reshape(-1, 60), fmt="%.5f")
    write(seen[:4], folder / "recordings.csv")
    (folder / "walk.bvh").write_text(LEG)
    (folder / "01.asf").write_text(SKELETON)
    (folder / "01_02.amc").write_text(MOTION)
    _write_c3d(folder / "walk.c3d", walk)

    _write_utd_mhad(folder / "UTD-MHAD", motion)
    _write_amass(folder)
    agcn_folder(folder)
    clips = [clip[:, :70] for clip in motion.make_clips(24, skeleton="ntu-25", noise=0).clips[:16]]
    names = [f"S001C001P{p:03}R00{r}A{a:03}" for p in (1, 2, 3, 6) for r in (1, 2) for a in (1, 2)]  # 1 and 2 train
    annotations = [
        {"frame_dir": name, "label": int(name[-3:]) - 1, "total_frames": clip.shape[1], "keypoint": clip}
        for name, clip in zip(names, clips)
    ]
    splits = {"xsub_train": names[:8], "xsub_val": names[8:]}
    (folder / "ntu60_3d.pkl").write_bytes(pickle.dumps({"split": splits, "annotations": annotations}))
    (folder / "nturgb+d_skeletons").mkdir()
    for name, clip in zip(names, clips):
        text = skeleton_text([{"72057594037931101": points} for points in clip[0]])
        (folder / "nturgb+d_skeletons" / f"{name}.skeleton").write_text(text)
    data, labels = folder / "PKUMMD" / "Data", folder / "PKUMMD" / "Label"
    for name in ("A01N01-L", "A02N02-L", "A01N08-L"):
        write_pku_recording(data, labels, name, pku_frames(40), "3,2,18,2\n51,20,36,1\n")
    (folder / "PKUMMD" / "cross_subject_v2.txt").write_text(
        "Training videos:\nA01N01-L, A02N02-L\nValidataion videos:\nA01N08-L\n"
    )


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


def _on(skeleton: str, points: np.ndarray) -> np.ndarray:
    """(T, 17, C) of COCO on another skeleton; a joint that COCO lacks is at the hip or the wrist of its side."""
    near = {"left_": ("left_wrist", "left_hip"), "right_": ("right_wrist", "right_hip"), "": ("nose", "left_hip")}
    known = SKELETONS["coco-17"].joints
    columns = []
    for joint in SKELETONS[skeleton].joints:
        upper, lower = near[next(side for side in near if joint.startswith(side))]
        low = any(part in joint for part in ("foot", "toe", "heel", "pelvis", "spine"))
        columns.append(known.index(joint if joint in known else lower if low else upper))
    return points[:, columns]


def _write_utd_mhad(folder: Path, motion) -> None:
    from scipy.io import savemat

    folder.mkdir()
    order = [SKELETONS["kinect-20"].joints.index(joint) for joint in SKELETONS["utd-mhad-20"].joints]
    for i, clip in enumerate(motion.make_clips(24, noise=0).clips):
        name = f"a{i % 3 + 1}_s{i % 2 + 1}_t{i // 6 + 1}_skeleton.mat"
        savemat(folder / name, {"d_skel": clip[0][:, order].transpose(1, 2, 0)})


def _write_amass(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "body_models" / "smplh" / "neutral").mkdir(parents=True)
    (folder / "amass").mkdir()
    tree = np.array([[0, *(max(0, i - 1) for i in range(1, 52))], range(52)])
    sizes = {"v_template": (60, 3), "shapedirs": (60, 3, 16), "J_regressor": (52, 60)}
    arrays = {name: rng.normal(size=size) for name, size in sizes.items()}
    np.savez(folder / "body_models" / "smplh" / "neutral" / "model.npz", kintree_table=tree, **arrays)
    motion = {"poses": rng.normal(size=(9, 156)), "trans": np.zeros((9, 3)), "betas": np.zeros(16)}
    np.savez(folder / "amass" / "walk_poses.npz", gender=np.array("neutral"), mocap_framerate=np.array(120.0), **motion)


def _write_c3d(path: Path, points: np.ndarray) -> None:
    import ezc3d

    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [30.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(SKELETONS["coco-17"].joints)
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["data"]["points"] = np.insert(points * 1000, 3, 1.0, axis=2).T
    file.write(str(path))


# -- the code blocks --------------------------------------------------------------------------------------------------

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
#: The package's command may not be installed, and what is installed here stays as it is.
FUNCTIONS = f'pip() {{ :; }}; python() {{ "{sys.executable}" "$@"; }}; skelrep() {{ python -m skelrep "$@"; }}\n'


def _type(text: str) -> None:
    """Runs a shell block: plain calls of `skelrep` in this process, where torch is loaded, all else in bash."""
    for line in text.replace("\\\n", " ").splitlines():
        if re.match(r"skelrep [^|<>;&$`]*$", line.partition(" #")[0]):
            assert main(shlex.split(line, comments=True)[1:]) == 0, line
        elif line and not line.startswith("#"):
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", FUNCTIONS + line], env=ENVIRONMENT, text=True)
            assert done.returncode == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=where)
def test_blocks_run(page, made_up, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    Path("examples").symlink_to(ROOT / "examples")
    if page.stem != "quickstart":
        shutil.copy(made_up / "clips.npz", tmp_path)
    if page.stem == "README":  # speaks of two files
        clips = Poses.load("clips.npz")
        clips.select(split="train").save("train.npz")
        clips.select(split="test").save("test.npz")
    if "YOUR/" in page.read_text(encoding="utf-8"):
        shutil.copytree(made_up / "YOUR", "YOUR")
    namespace: dict = {}
    # What a page adds for other packages to use is taken out again.
    with mock.patch.dict(BACKBONES), mock.patch.dict(MODALITIES):
        for block in blocks(page):
            if block.language == "sh":
                _type(block.text)
            else:  # numbered as in the page, for tracebacks
                exec(compile("\n" * (block.line - 1) + block.text, page.name, "exec"), namespace)  # noqa: S102
    assert blocks(page), "a page that has nothing to run any more"


# -- what they link to ------------------------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    """What its headings are called in addresses."""
    outside = re.sub(r"^```[\s\S]*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=where)
def test_relative_links_exist(page):
    """As files, which is how they are read where the code is; the site is looked through by `mkdocs build --strict`."""
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md" and not anchor.startswith("skelrep."):  # those are made from docstrings
            assert anchor in _anchors(target), link


def _results(name: str) -> dict[tuple[str, str], str]:
    """The results of a bundled encoder's config by data set with protocol, and metric."""
    config = json.loads((CARD.parents[1] / name / "config.json").read_text(encoding="utf-8"))
    return {
        (f"{result['dataset']}, {result['protocol']}", result["metric"]): f"{result['value']}"
        + (f" ± {result['sd']}" if "sd" in result else "")
        for result in config["training"]["results"]
    }


def test_results_in_the_readme_are_those_of_the_cards():
    """Except the baselines, which `python -m tests.benchmarks.accuracy` prints."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| data set |")[2].partition("\n\n")[0]
    columns = {3: ("i2md-small", "1-NN accuracy (%)"), 5: ("i2md-small", "linear probe accuracy (%)")}
    columns[4] = "i2md-small-open", "1-NN accuracy (%)"
    named = set()
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.replace("*", "").strip("| ").split(" | ")]
        named.add(cells[0])
        for column, (name, metric) in columns.items():
            expected = _results(name).get((cells[0], metric), "–")
            assert cells[column] == (expected.partition(" ±")[0] if name.endswith("open") else expected), line
    assert named == {dataset for dataset, _ in _results("i2md-small")}


@pytest.mark.parametrize("name", ["i2md-small", "i2md-small-open", "i2md-stream"])
def test_cards_are_made_from_their_configs(name):
    assert (CARD.parents[1] / name / "README.md").read_text(encoding="utf-8") == model_card(load_pretrained(name))


def test_docstrings_use_the_section_name_examples():
    """Of "Example:" it makes a quotation instead of code."""
    for file in (ROOT / "skelrep").rglob("*.py"):
        assert not re.search(r"^ +Example:$", file.read_text(encoding="utf-8"), re.MULTILINE), file


# -- the site ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_site_builds_and_fetches_nothing(tmp_path):
    for module in ("material", "mkdocstrings_handlers.python"):
        pytest.importorskip(module, reason="needs mkdocs-material and mkdocstrings: pip install '.[docs]'")
    if not (ROOT / "mkdocs.yml").exists():
        pytest.skip("needs mkdocs.yml, which is in the repository")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    pages = sorted((tmp_path / "site").glob("**/*.html"))
    assert len(pages) >= len(DOCUMENTS) - 1  # all but the README
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?://[^\" >]*)", text)
        loaded += re.findall(
            r"<link\b(?=[^>]*\brel=\"?(?:stylesheet|preconnect|icon))[^>]*\bhref=\"?(https?:[^\" >]*)", text
        )
        assert not loaded, page
    assert "Results" in (tmp_path / "site" / "model-card" / "index.html").read_text(encoding="utf-8")
