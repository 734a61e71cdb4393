"""Every guarantee of SECURITY.md names tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "SECURITY.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not in an installed package")


def guarantees() -> dict[str, str]:
    """The points of the list of guarantees, by their first words."""
    part = PAGE.read_text(encoding="utf-8").partition("## Guarantees")[2].partition("\n## ")[0]
    points = [" ".join(point.split()) for point in re.split(r"^- ", part, flags=re.MULTILINE)[1:]]
    return {re.sub(r"\W+$", "", point.split("**")[1]): point for point in points}


def functions_in(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")}


def may_fail(function: ast.FunctionDef, module: Path) -> bool:
    """Whether a test asserts something, itself or in a function of its module that it calls."""
    source = ast.parse(module.read_text(encoding="utf-8"))
    known = {node.name: node for node in source.body if isinstance(node, ast.FunctionDef)}
    called = {node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
    bodies = [function, *(known[name] for name in called & known.keys())]
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr in ("raises", "warns"))
        for body in bodies
        for node in ast.walk(body)
    )


def test_the_page_has_guarantees():
    assert len(guarantees()) >= 10


@pytest.mark.parametrize("guarantee", guarantees() if PAGE.exists() else [])
def test_a_guarantee_names_tests_that_exist(guarantee):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", guarantees()[guarantee])
    assert named, f"{guarantee!r} names no test"
    for file, name in named:
        path = ROOT / file
        assert path.is_file(), f"{guarantee!r} names {file}, which does not exist"
        functions = functions_in(path)
        assert name in functions, f"{guarantee!r} names {file}::{name}, which does not exist"
        assert may_fail(functions[name], path), f"{file}::{name} asserts nothing"
