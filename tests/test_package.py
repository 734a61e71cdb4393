"""The package as a whole: its imports, its public names, and that it starts without heavy libraries."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skelrep

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skelrep"
ARCHITECTURE = ROOT / "docs" / "architecture.md"

# Each room may import only those before it; cli alone imports train.
ORDER = [
    "version",
    "files",
    "messages",
    "memory_budget",
    "npy",
    "parquet",
    "checkpoints",
    "json_text",
    "splits",
    "matmul",
    "joint_names",
    "skeleton_tables",
    "skeletons",
]
ORDER += ["missing", "skeleton_guess", "fractions", "channels", "layouts", "persons", "tracking", "poses"]
ORDER += ["completion", "cleaning", "io", "preprocess_config", "alignment", "preprocess", "causal", "checks"]
ORDER += ["encoder", "hub", "embedding", "corpus", "evaluate", "libraries", "recordings"]
ORDER += ["plot", "sklearn", "train", "cli"]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules of the package that a file imports, and whether when it is loaded: type checkers' imports are neither."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    when_loaded = {id(node) for node in tree.body}
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "skelrep":
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if node.module == "skelrep" or is_module(name) else node.module for name in inner]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "skelrep"]
        else:
            continue
        for name in names:
            yield name, id(node) in when_loaded


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or a package, rather than something in one."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def room(path: Path) -> str:
    """The module or package right below `skelrep` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_is_in_the_import_order():
    found = {room(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert found == set(ORDER)


@pytest.mark.skipif(not ARCHITECTURE.exists(), reason="not in an installed package")
def test_the_architecture_page_lists_the_modules_in_this_order():
    table = ARCHITECTURE.read_text(encoding="utf-8").partition("| module |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [name.strip("/") for cell in cells for name in re.findall(r"`([\w/]+)`", cell)] == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_modules_above_it(name):
    files = [path for path in PACKAGE.rglob("*.py") if room(path) == name and path.name != "__main__.py"]
    above = {*ORDER[: ORDER.index(name) + 1]}
    for file in files:
        found = {module.split(".")[1] for module, _ in imports(file) if module != "skelrep"}
        assert found <= above, f"{file.relative_to(ROOT)} imports {found - above}"
        if name != "cli":
            assert name == "train" or "train" not in found, file


def test_no_circle_of_imports_within_the_package():
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        graph[module] = {name for name, _ in imports(path)} - {module}
    # `skelrep` loads its public names on first use, and a package loads its own modules: neither is an edge upwards.
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, f"circle: {' -> '.join([*path, module])}"
        if module in state or module not in graph:
            return
        state[module] = 1
        for below in sorted(graph[module]):
            visit(below, (*path, module))
        state[module] = 2

    for module in sorted(set(graph) - {"skelrep"}):
        visit(module, ())


def test_public_names_are_there_and_documented():
    for name in skelrep.__all__:
        assert getattr(skelrep, name).__doc__ or name == "SKELETONS", name
    assert set(skelrep.__all__) <= set(dir(skelrep))
    with pytest.raises(AttributeError, match="no attribute 'embedd'"):
        skelrep.embedd  # noqa: B018


def test_start_up_needs_no_torch():
    for code in ("import skelrep", "from skelrep.cli import parser; parser().format_help()"):
        script = f"import sys; {code}; assert not {{'torch', 'numpy', 'sklearn', 'huggingface_hub'}} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", script], check=True)


def test_no_module_prints():
    for file in PACKAGE.glob("**/*.py"):
        if room(file) != "cli":
            calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
            assert not [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"], file
