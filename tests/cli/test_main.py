"""The command line as a whole: help, exit codes, and errors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from skelrep.cli import main
from skelrep.cli.main import COMMANDS, command_parser


def test_every_command_has_examples_that_it_understands(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    whole = capsys.readouterr().out
    assert all(f"{code} " in whole.partition("exit codes:")[2] for code in (0, 1, 2, 3, 130, 143))
    for command in COMMANDS:
        name, lines = command.name, command.examples
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        text = capsys.readouterr().out
        assert f"skelrep {lines[0]}" in whole
        for line in lines:
            assert f"\n  skelrep {line}\n" in text
            first, *rest = shlex.split(line.partition(" < ")[0], comments=True)
            assert first == name
            command_parser(command).parse_args(rest)  # exits if it does not understand


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "required: COMMAND"),
        ("--vrsion", "--version"),
        ("--quiet embed x", "--quiet"),
        ("knn", "required: train"),
        ("knn train.npz", "--splits TRAIN TEST"),
        ("knn train.npz --nothing", "--nothing"),
        ("knn train.npz test.npz --leave-one-out", "--leave-one-out"),
        ("knn train.npz test.npz --metric cosin", "did you mean 'cosine'"),
        ("knn train.npz test.npz -k 0", "-k"),
        ("embed clips.npz --precison int8", "did you mean '--precision'"),
        ("embed --precison int8 clips.npz", "did you mean '--precision'"),
        ("embed --min_score=1 clips.npz", "did you mean '--min-score'"),
        ("embed clips.npz --precision bfloat", "did you mean 'bfloat16'"),
        ("embed clips.npz --window a", "--window"),
        ("embed clip.npy --skeleton kinect20", "did you mean 'kinect-20'"),
        ("embed train.npz --format parket", "did you mean 'parquet'"),
        ("embed train.npz --layout TVX", "--layout"),
        ("embed train.npz --on-error go", "--on-error"),
        ("prepare train.npz -o corpus --to comon-15", "did you mean 'common-15'"),
        ("embed clips.npz --window -2", "--window"),
        ("embed clips.npz --stride 1", "--window"),
        ("embed clips.npz --fps nan", "--fps"),
        ("embed clips.npz --batch-size 0", "--batch-size"),
        ("embed clips.npz --json -o -", "stdout"),
        ("explore clips.npz -o x.html --map pcaa", "did you mean 'pca'"),
        ("plot clips.npz -o x.gif --view inf", "--view"),
        ("protocols m clips.npz --splits a b --fractions 5", "--fractions"),
        ("protocols m clips.npz --splits a b --which kn", "did you mean 'knn'"),
        ("pretrain i2md_smal --data x -o y", "did you mean 'i2md_small'"),
        ("pretrain i2md_small --data x -o y --threads 0", "--threads"),
        ("pretrain i2md_small --dta x -o y", "did you mean '--data'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(capsys, command, message):
    assert exit_code(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err


def exit_code(words: list[str]) -> int:
    """Of the process: argparse exits by itself."""
    try:
        return main(words)
    except SystemExit as stopped:
        return stopped.code


def test_options_may_be_shortened_and_end_at_two_dashes(files, model, capsys):
    assert main(["embed", "--prec", "float32", "-m", model, "-q", "--", "train.npz"]) == 0
    assert main(["embed", "-m", model, "-q", "--", "--precison"]) == 1  # a file that does not exist
    assert "--precison" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("embedd", "embed"), ("serach", "search"), ("export_onnx", "export-onnx"), ("Probe", "probe"), ("zzz", None)],
)
def test_a_mistyped_command_suggests_the_nearest(typed, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([typed, "clips.npz"])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and f"there is no command {typed!r}" in captured.err
    assert (f"; did you mean {meant!r}?" in captured.err) if meant else ("did you mean" not in captured.err)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("embed nowhere.npz", "nowhere.npz"),
        ("embed train.npz -m i2md-smal", "i2md-small"),
        ("embed clip.npy", "'kinect-20'"),
        ("embed train.npz -o out.txt", "-o takes a .npy, .npz or .parquet file"),
        ("embed train.npz -o nowhere/out.npz", "does not exist"),
        ("embed train.npz --device tpu", "there is no device 'tpu'"),
        ("embed train.npz --streams bones", "streams must be some of"),
        ("knn clip.npy clip.npy --skeleton kinect-20", "contains no labels"),
        ("embed train.npz --streams bones", "did you mean 'bone'"),
        ("knn train.npz test.npz -k 100", "100"),
        ("probe train.npz test.npz --groups actor", "no info column 'actor'"),
        ("probe train.npz test.npz --groups subjects", "did you mean 'subject'"),
        ("plot train.npz -o clip.gif --clip x", "no clip 'x': give an id or a position from 0 to 11"),
        ("info nowhere.npz", "nowhere.npz"),
        ("convert-cmd clip.npy out", "clip.npy"),
    ],
)
def test_errors_are_one_sentence_and_exit_1(files, model, capsys, command, message):
    arguments = command.split()
    if "-m" not in arguments and arguments[0] in ("embed", "knn", "probe"):
        arguments += ["-m", model]
    before = set(files.rglob("*"))
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert set(files.rglob("*")) == before  # nothing half-written


def test_interruption_exits_130(files, monkeypatch):
    monkeypatch.setattr("skelrep.io.read", _raises(KeyboardInterrupt()))
    assert main(["info", "train.npz"]) == 130


@pytest.mark.parametrize("error", [TypeError("bug"), KeyError("bug"), AssertionError("bug"), AttributeError("bug")])
def test_a_programming_error_is_a_traceback(files, monkeypatch, error):
    monkeypatch.setattr("skelrep.io.read", _raises(error))
    with pytest.raises(type(error), match="bug"):
        main(["info", "train.npz"])


def _raises(error: BaseException):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.skipif(os.name != "posix", reason="POSIX file types")
@pytest.mark.parametrize("command", ["info {0}", "embed {0} -o x.npy", "convert {0} x.npz", "explore {0} -o x.html"])
def test_a_pipe_is_refused_at_once(files, command, capsys):
    os.mkfifo("a.json")
    assert main(command.format("a.json").split()) == 1
    assert "a.json: it is a pipe" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="POSIX file types")
@pytest.mark.parametrize(
    "command", ["explore train.npz -o {0}", "convert train.npz {0}.npz", "plot train.npz -o {0}.png"]
)
def test_outputs_never_replace_a_device(files, model, command, capsys):
    for name in ("null", "null.npz", "null.png"):
        Path(name).symlink_to("/dev/null")
    assert main([*command.format("null").split(), *(["-m", model] if "explore" in command else [])]) == 1
    assert "it is a device" in capsys.readouterr().err and not Path("/dev/null").is_file()


def test_debug_shows_the_traceback(files, capsys):
    assert main(["info", "nowhere.npz", "--debug"]) == 1
    assert "Traceback (most recent call last)" in (text := capsys.readouterr().err) and "FileNotFoundError" in text


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
def test_nothing_of_stderr_goes_to_stdout_if_stderr_is_closed(files):
    command = f"{sys.executable} -m skelrep convert train.npz copy.npz 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "" and Path("copy.npz").exists()


def test_values_of_a_repeated_option_add_up():
    from skelrep.cli.command import AddUp, Parser

    parser = Parser(examples=[])
    parser.add_argument("-k", nargs="+", type=int, action=AddUp, default=[1, 5])
    for line, expected in (("", [1, 5]), ("-k 3", [3]), ("-k 3 4 -k 9", [3, 4, 9])):
        assert parser.parse_args(line.split()).k == expected


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_every_option_with_several_values_adds_up(command):
    from skelrep.cli.command import AddUp

    several = [
        action
        for action in command_parser(command)._actions
        if action.option_strings and action.nargs == "+" and action.dest != "scale"  # which has one value per axis
    ]
    assert all(isinstance(action, AddUp) for action in several), [action.dest for action in several]
