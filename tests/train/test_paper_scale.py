"""The data sets of the paper at their true size: official splits, and `prepare` on some of their files."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path, PurePath

import filelock
import numpy as np
import pytest

from skelrep.cli import main
from skelrep.io import ntu, read
from skelrep.io.registry import collected
from skelrep.train import prepare as module
from skelrep.train.prepare import prepare
from tests import paper_scale
from tests.corpus_data import another_process
from tests.paper_scale import ntu_names, pku_names, skeleton_file, write_ntu, write_pku

#: Numbers of clips that papers state, after the lists of incomplete samples.
OFFICIAL = {
    False: {"ntu60": 56578, "xsub_train": 40091, "xsub_val": 16487, "xview_train": 37646, "xview_val": 18932},
    True: {"xsub_train": 63026, "xsub_val": 50919, "xset_train": 54468, "xset_val": 59477},
}


@pytest.mark.parametrize(("extended", "files", "incomplete"), [(False, 56880, 302), (True, 114480, 535)])
def test_official_splits_have_their_sizes(extended, files, incomplete):
    names = ntu_names(extended)
    assert len(names) == len(set(names)) == files and names == sorted(names)
    complete = [name for name in names if name not in ntu.incomplete()]
    assert len(names) - len(complete) == incomplete
    columns = ntu.columns_of(complete)
    assert {split: int(columns[split].sum()) for split in OFFICIAL[extended]} == OFFICIAL[extended]


def test_recordings_of_pku_have_their_numbers():
    cameras = [name[-1] for name in pku_names()]
    assert len(cameras) == 1076 and cameras.count("L") == 359  # 717 and 359 in the cross-view split


def test_made_up_files_are_read_as_the_real_format(tmp_path):
    for persons in (1, 2):
        path = tmp_path / f"S001C001P001R001A00{persons}.skeleton"
        path.write_text(skeleton_file(5, persons))
        bodies = ntu.read_bodies(path)
        assert bodies.shape[0] == persons and bodies.shape[2:] == (25, 3) and not np.isnan(bodies).any()
        assert 0.5 < np.ptp(bodies[0, :, :, 1]) < 2.5 and bodies[..., 2].min() > 2  # metres, in front of the camera


@pytest.fixture(scope="module")
def some(tmp_path_factory) -> Path:
    """Every 701st name of NTU-120, and three of the incomplete samples."""
    folder = tmp_path_factory.mktemp("ntu") / "nturgb+d_skeletons"
    names = sorted({*ntu_names(True)[::701], *sorted(ntu.incomplete())[::200]})
    write_ntu(folder, names, distinct=20)
    assert len({file.stat().st_ino for file in folder.iterdir()}) == 20
    return folder


def arrays(corpus: Path) -> dict[str, np.ndarray]:
    with np.load(corpus / "tracks.npz", allow_pickle=False) as tracks:
        return {key: tracks[key] for key in tracks.files} | {"rows": np.load(corpus / "rows.npy")}


def assert_same(one: Path, other: Path) -> None:
    first, second = arrays(one), arrays(other)
    assert first.keys() == second.keys()
    for key, array in first.items():
        np.testing.assert_array_equal(array, second[key], err_msg=key)
    about, more = (json.loads((corpus / "corpus.json").read_text()) for corpus in (one, other))
    for source, expected in zip([about, *about["sources"]], [more, *more["sources"]]):  # parts are summed one by one
        assert source.pop("hours") == pytest.approx(expected.pop("hours"))
    assert about == more


@pytest.mark.parametrize("splits", [("ntu60", "xsub_train"), ("xset_val",)])
def test_prepare_keeps_the_members_of_all_splits(splits, some, tmp_path, monkeypatch):
    read_files = []
    monkeypatch.setattr(ntu, "read_bodies", lambda path, own=ntu.read_bodies: read_files.append(path.stem) or own(path))
    with pytest.warns(UserWarning, match="3 on the benchmark's list"):
        prepare([some], tmp_path / "corpus", splits=splits)
    names = [file.stem for file in sorted(some.iterdir()) if file.stem not in ntu.incomplete()]
    columns = ntu.columns_of(names)
    members = np.logical_and.reduce([columns[split] for split in splits])
    expected = [name for name, member in zip(names, members) if member]
    assert 0 < len(expected) < len(names)
    found = arrays(tmp_path / "corpus")
    assert found["ids"].tolist() == expected == read_files  # no other file was read
    poses = read([some / f"{name}.skeleton" for name in expected])
    assert found["labels"].tolist() == np.asarray(poses.labels).tolist()
    assert found["length"].sum() == sum(clip.shape[0] * clip.shape[1] for clip in poses.clips)


def test_pku(tmp_path):
    names = pku_names()[:9]
    write_pku(tmp_path / "pku", names, distinct=2, frames=400, intervals=2 * paper_scale.PKU_RECORDINGS + 3)
    about = prepare([tmp_path / "pku"], tmp_path / "corpus", splits=["xsub_train"])
    found = arrays(tmp_path / "corpus")
    training = [name for name in names if name[:4] != "0002"]
    assert sorted(set(found["info_recording"])) == training
    assert about["sources"][0]["clips"] == len(found["ids"]) == 2 * len(training)


# -- stops ------------------------------------------------------------------------------------------------------------


def small_parts(folder: str, output: str, workers: int, slow: float = 0.0) -> None:
    """A run in a separate process, in parts of few files."""
    module.PART_FILES, module.FEW_BYTES = 9, 0
    prepare([folder], output, splits=["xsub_train"], workers=workers, on_part=lambda _: time.sleep(slow))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_resumes_with_the_same_result(workers, some, tmp_path):
    with pytest.warns(UserWarning):
        prepare([some], tmp_path / "whole", splits=["xsub_train"])
    output, kills, moments = tmp_path / "corpus", 0, random.Random(0)
    parts = tmp_path / ".corpus.unfinished"
    made: dict[str, int] = {}
    while not output.exists():
        process = another_process(small_parts, str(some), str(output), workers, 0.05)
        process.start()
        before = len(list(parts.glob("part-*.npz")))
        if kills < 3:
            while process.is_alive() and len(list(parts.glob("part-*.npz"))) <= before:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert process.exitcode in (0, -signal.SIGKILL)
        if not output.exists():
            time.sleep(0.5 * (workers > 1))  # for workers to end with their parent
            now = {part.name: part.stat().st_mtime_ns for part in parts.glob("part-*.npz")}
            assert made.items() <= now.items()  # no finished part is made again
            made = now
    assert kills >= 2
    assert_same(tmp_path / "whole", output)
    assert not parts.exists()


def test_only_what_changed_is_read_again(some, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_FILES", 30)
    inputs = tmp_path / "inputs"
    write_ntu(inputs, [file.stem for file in sorted(some.iterdir())[:90]], distinct=20)
    (inputs / "S032C003P106R002A120.skeleton").write_text("1\n1\n")  # ends early

    def parts() -> dict[str, int]:
        return {part.name: part.stat().st_mtime_ns for part in (tmp_path / ".corpus.unfinished").glob("part-*.npz")}

    with pytest.raises(ValueError, match=r"S032C003P106R002A120.skeleton, line 3"):
        prepare([inputs], tmp_path / "corpus")
    first = parts()
    assert len(first) == 2 and not (tmp_path / "corpus").exists()
    with pytest.raises(ValueError, match="line 3"):  # other options need other parts
        prepare([inputs], tmp_path / "corpus", skeleton="common-15")
    assert len(parts()) == 4 and first.items() <= parts().items()
    (inputs / "S032C003P106R002A120.skeleton").write_text(skeleton_file(1, 1))
    calls = []
    with (
        filelock.FileLock(tmp_path / ".corpus.unfinished" / ".lock"),
        pytest.raises(ValueError, match="another process"),
    ):
        prepare([inputs], tmp_path / "corpus")
    monkeypatch.setattr(ntu, "read_bodies", lambda path, own=ntu.read_bodies: calls.append(path.stem) or own(path))
    prepare([inputs], tmp_path / "corpus")
    assert len(calls) == 29 and "S032C003P106R002A120" in calls  # the third part
    assert not (tmp_path / ".corpus.unfinished").exists()
    monkeypatch.undo()
    prepare([inputs], tmp_path / "whole")
    assert_same(tmp_path / "whole", tmp_path / "corpus")


def test_unreadable_files_are_skipped_and_progress_is_told(some, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "PART_FILES", 30)
    inputs = tmp_path / "inputs"
    write_ntu(inputs, [file.stem for file in sorted(some.iterdir())[:50]], distinct=4)
    (inputs / "S001C001P001R001A009.skeleton").write_text("1\n1\n")
    told = []
    with pytest.warns(UserWarning, match=r"1 skipped: .*S001C001P001R001A009"):
        prepare([inputs], tmp_path / "corpus", reading={"on_error": "skip"}, on_part=told.append)
    assert [(each.parts, each.of, each.files, each.skipped) for each in told] == [(1, 2, 30, 1), (2, 2, 50, 1)]
    assert told[-1].fraction == 1 and told[-1].clips == len(arrays(tmp_path / "corpus")["ids"]) == 49
    arguments = [
        "prepare",
        str(inputs),
        "-o",
        str(tmp_path / "other"),
        "--on-error",
        "skip",
        "--json",
        "--workers",
        "1",
    ]
    assert main(arguments) == 3
    assert list(json.loads(capsys.readouterr().out)["skipped"])[0].endswith("S001C001P001R001A009.skeleton")
    assert_same(tmp_path / "corpus", tmp_path / "other")


def test_the_work_of_listing_files_grows_with_their_number(monkeypatch):
    """Counted in hashes of paths, of which a set of all files for every file would need the square."""
    hashes, own = [], PurePath.__hash__
    monkeypatch.setattr(PurePath, "__hash__", lambda path: hashes.append(path) or own(path))
    found = []
    for count in (100, 400):
        files = [Path(f"{name}.skeleton") for name in ntu_names()[:count]]
        hashes.clear()
        [(reader, mine)] = collected(files)
        assert reader.name == "ntu" and mine == files
        found.append(len(hashes))
    assert found[1] <= 5 * found[0]
