"""Errors that name options instead of parameters, and text that is safe to print."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from skelrep.cli import main
from skelrep.cli.errors import as_options, sentence
from skelrep.cli.main import COMMANDS, command_parser
from skelrep.evaluate import knn
from skelrep.matmul import PRECISIONS
from skelrep.messages import nearest, printable
from skelrep.plot.explore import MAPS
from skelrep.train.protocols import PROTOCOLS
from skelrep.train.recipes import RECIPES

OPTIONS = {"fps": "--fps", "k": "-k", "skeleton": "--skeleton", "scale": "--scale", "min_score": "--min-score"}
OPTIONS |= {"leave_one_out": "--leave-one-out"}


@pytest.mark.parametrize(
    ("python", "typed"),
    [
        ("the poses have no fps; pass fps=", "the poses have no fps; pass --fps"),
        ("pass fps=30, or", "pass --fps 30, or"),
        ("pass fps=29.97.", "pass --fps 29.97."),
        ("fps must be a positive number, got -1", "--fps must be a positive number, got -1"),
        ("a.npz: fps must be above 0", "a.npz: --fps must be above 0"),
        ("k=0 must be a whole number", "-k 0 must be a whole number"),
        ("pass scale=(1920, 1080), in 3-D", "pass --scale 1920 1080, in 3-D"),
        ('pass skeleton="coco-17"', "pass --skeleton coco-17"),
        ("pass skeleton='my joints'", "pass --skeleton 'my joints'"),
        ('skeleton=["Hips", "Knee"] or', "--skeleton Hips,Knee or"),
        ("it needs leave_one_out=True", "it needs --leave-one-out"),
        ("no scores, so min_score=0.3 cannot be met", "no scores, so --min-score 0.3 cannot be met"),
        ("data/fps=30/x.npy is empty", "data/fps=30/x.npy is empty"),
        ("window= is for recordings", "window= is for recordings"),  # no option of this command
        ("the fps is missing", "the fps is missing"),
    ],
)
def test_parameters_are_named_as_options(python, typed):
    assert as_options(python, OPTIONS) == typed


def test_an_error_names_the_option_that_mends_it(files, model, capsys):
    np.save("clip.npy", np.zeros((9, 20, 3)))
    assert main(["embed", "clip.npy", "-m", model]) == 1
    assert "--skeleton" in (text := capsys.readouterr().err) and "skeleton=" not in text


def test_messages_are_bounded():
    text = sentence(ValueError("no joint " + ", ".join(f"joint_{i}" for i in range(9999)) + " fits"), {})
    assert len(text) < 2100 and text.startswith("no joint joint_0") and text.endswith("joint_9998 fits")
    assert sentence(ValueError("two\n lines"), {}) == "two lines"
    assert sentence(ValueError(), {}) == "ValueError"
    assert sentence(OSError(errno.EACCES, "Permission denied", "a\x1b.npz"), {}) == r"a\x1b.npz: Permission denied"


def test_control_characters_are_shown_and_letters_kept():
    assert printable("\x1b[2J\r\x07\x9b\u202e\udcff\x7f") == r"\x1b[2J\r\x07\x9b\u202e\udcff\x7f"
    assert printable("naïve\t日本 Ж 👩\u200d🚀 می\u200cخواهم\n") == "naïve\t日本 Ж 👩\u200d🚀 می\u200cخواهم\n"


@pytest.mark.parametrize(
    "command", ["info {0}", "info {0} --json", "embed {0}", "convert {0} out.xyz", "info {0} --fps -1"]
)
def test_no_control_character_of_a_file_reaches_the_terminal(files, capsys, command):
    name = "evil\x1b]0;owned\x07.csv"
    (files / name).write_text("frame,hi\x1b[31mp_x,hi\x1b[31mp_y,kn\x07ee_x,kn\x07ee_y\n0,1,2,3,4\n1,2,3,4,5\n")
    try:
        main(command.format(name).split())
    except SystemExit as stopped:
        assert stopped.code == 2
    captured = capsys.readouterr()
    assert captured.out + captured.err
    assert (captured.out + captured.err).replace("\n", "").isprintable()


def test_suggestions_only_for_similar_names():
    assert "quaternion" not in nearest("position", ["quaternion"])
    assert nearest("fp16", PRECISIONS) == nearest(".md", [".c3d", ".npz"]) == ""
    assert "'bfloat16'" in nearest("bfloat", PRECISIONS)


def test_choices_are_those_of_the_library():
    def choices(command: str, option: str) -> tuple:
        [found] = [c for c in COMMANDS if c.name == command]
        [action] = [action for action in command_parser(found)._actions if action.dest == option]
        return tuple(action.choices or ())

    assert choices("knn", "metric") == knn.METRICS and choices("knn", "weights") == knn.VOTES
    assert choices("embed", "precision") == tuple(PRECISIONS)
    assert choices("explore", "map") == tuple(MAPS)
    assert choices("protocols", "which") == tuple(PROTOCOLS)
    assert choices("pretrain", "recipe") == tuple(RECIPES)
