"""Outputs are complete or absent, whatever interrupts writing, and never replace anything that is not a file."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import skelrep
from skelrep import Poses
from skelrep.files import check_file, replacing, write_together
from tests.corpus_data import recordings

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX file types")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_while_writing_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half of the n")
        assert path.read_bytes() == b"old"
        raise error
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


def test_writing_replaces_the_old_file(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old and longer")
    old = os.umask(0o022)
    try:
        with replacing(str(path)) as file:
            file.write(b"new")
    finally:
        os.umask(old)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644  # readable by others, as any file one writes
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


def test_a_failure_to_rename_leaves_no_temporary(tmp_path):
    with pytest.raises(OSError), replacing(tmp_path / "folder") as file:  # noqa: PT011 - the kind depends on the system
        (tmp_path / "folder").mkdir()
        file.write(b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_missing_folder_is_reported_before_the_work(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot write .*out.bin: the folder .*nowhere does not exist"):
        replacing(tmp_path / "nowhere" / "out.bin").__enter__()
    with pytest.raises(IsADirectoryError, match="cannot write .*: it is a folder; give the name of a file"):
        replacing(tmp_path).__enter__()


def write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


@posix
@pytest.mark.parametrize("leads_to", ["file", "device", "nothing", "itself"])
def test_links_in_a_folder_of_skelrep_are_replaced(leads_to, tmp_path):
    """The folder may come from somebody else, and its links lead to any file of the user."""
    target = {
        "file": tmp_path / "mine.txt",
        "device": Path("/dev/null"),
        "nothing": tmp_path / "no",
        "itself": "a.json",
    }
    (tmp_path / "mine.txt").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.json").symlink_to(target[leads_to])
    write_together(tmp_path / "folder", {"a.json": b"new"})
    assert not (tmp_path / "folder" / "a.json").is_symlink()
    assert (tmp_path / "folder" / "a.json").read_bytes() == b"new"
    assert (tmp_path / "mine.txt").read_bytes() == b"mine" and not (tmp_path / "no").exists()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.json"]


@posix
def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "out.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to(tmp_path / "real" / "out.bin")
    (tmp_path / "new.bin").symlink_to(tmp_path / "real" / "new.bin")
    write(tmp_path / "link.bin", b"new")
    write(tmp_path / "new.bin", b"new")
    assert (tmp_path / "link.bin").is_symlink() and (tmp_path / "new.bin").is_symlink()
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == ["new.bin", "out.bin"]
    assert (tmp_path / "real" / "out.bin").read_bytes() == (tmp_path / "real" / "new.bin").read_bytes() == b"new"


@posix
def test_a_file_keeps_its_permissions_and_a_new_one_follows_the_umask(tmp_path):
    (tmp_path / "old.bin").touch()
    (tmp_path / "old.bin").chmod(0o640)
    write(tmp_path / "old.bin", b"new")
    assert stat.S_IMODE((tmp_path / "old.bin").stat().st_mode) == 0o640
    before = os.umask(0o077)
    try:
        write(tmp_path / "private.bin", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private.bin").stat().st_mode) == 0o600


def test_the_umask_of_the_process_is_never_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("other threads create files at the same time"))
    write(tmp_path / "out.bin", b"new")


@posix
def test_pipes_devices_and_sockets_are_refused_and_stay(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name, kind in (("pipe", "pipe"), ("null", "device")):
        with pytest.raises(OSError, match=f"{name}: it is a {kind}"):
            write(tmp_path / name, b"new")
        with pytest.raises(
            OSError, match=f"{name}: it is a {kind}"
        ):  # at once, because opening a pipe would block until there is a writer
            check_file(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and (tmp_path / "null").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]
    check_file(tmp_path)
    check_file(tmp_path / "nothing")  # which the reader reports


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path):
    (tmp_path / "out.bin").write_bytes(b"old")
    (tmp_path / "out.bin").chmod(0o444)
    with pytest.raises(PermissionError):
        write(tmp_path / "out.bin", b"new")
    assert (tmp_path / "out.bin").read_bytes() == b"old"


@posix
def test_the_temporary_file_of_a_killed_process_is_removed(tmp_path):
    path = tmp_path / "out.bin"
    script = "import sys, time; from skelrep.files import replacing; file = replacing(sys.argv[1]).__enter__(); "
    script += "file.write(b'half'); file.flush(); print(flush=True); time.sleep(60)"
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    write(path, b"mine")  # beside a writer that lives
    assert path.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 2
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 2
    write(path, b"new")
    assert path.read_bytes() == b"new" and [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


def test_several_threads_write_one_file(tmp_path):
    path, contents = tmp_path / "out.bin", [bytes([65 + i]) * 100_000 for i in range(8)]
    errors = []

    def work(content: bytes) -> None:
        for _ in range(20):
            try:
                write(path, content)
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert path.read_bytes() in contents and [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


def test_long_names_are_written(tmp_path):
    path = tmp_path / ("x" * 255)
    write(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@posix
@pytest.mark.parametrize("writer", ["bytes", "numpy", pytest.param("torch", marks=pytest.mark.slow)])
def test_a_full_disk_is_one_sentence_and_the_old_file_stays(writer, tmp_path):
    """The limit of a file's size stands for a disk: the system refuses in the same way."""
    script = f"""
import resource, signal, sys, numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from skelrep.files import replacing
try:
    with replacing(sys.argv[1]) as file:
        if {writer!r} == "bytes": file.write(bytes(10**6))
        elif {writer!r} == "numpy": np.savez(file, a=np.zeros(10**6))
        else:
            import torch; torch.save(dict(a=torch.zeros(10**6)), file)
except OSError as error:
    print(error.errno, error)
"""
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.stdout.startswith(str(errno.EFBIG)), done
    assert str(path) in done.stdout and "bytes are needed" in done.stdout
    assert path.read_bytes() == b"old" and [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".npz"])
def test_text_that_is_no_unicode_is_one_sentence_and_the_old_file_stays(suffix, tmp_path):
    """A file name that is not UTF-8 becomes an id with a lone surrogate."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    poses = recordings(1)
    poses = Poses(poses.clips, poses.skeleton, ["walk\udcff"], fps=30.0)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=rf"cannot write .*a\{suffix}: a name or label"):
        skelrep.write(poses, path)
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == [path.name]
