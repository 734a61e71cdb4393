"""The package as a whole: what imports what, how fast it starts, and that the documents' commands and snippets run."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import skelrep

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skelrep"

# Each module may import only those before it.
ORDER = ["products", "skeletons", "poses", "io", "stored", "preprocess", "modalities", "recurrent", "convolution"]
ORDER += ["encoder", "onnx", "hub", "embedding", "logistic", "evaluate", "plot", "explore", "estimator", "cli"]


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports outside of functions and of TYPE_CHECKING."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("skelrep."):
            found.add(node.module.split(".")[1])
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("skelrep.")}
    return found


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_what_stands_above_it(name):
    files = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").exists() else (PACKAGE / name).glob("*.py")
    for file in files:
        later = imported(file) - set(ORDER[: ORDER.index(name)]) - ({name} if file.parent != PACKAGE else set())
        assert not later, f"{file.relative_to(ROOT)} imports {later}"


def test_the_order_names_every_module_and_nothing_outside_imports_train():
    modules = {path.stem for path in PACKAGE.glob("[!_]*.py")} | {"io"}
    assert modules == set(ORDER)
    for file in PACKAGE.glob("**/*.py"):
        if "train" not in file.relative_to(PACKAGE).parts:
            assert "skelrep.train" not in file.read_text(), file


def test_public_names_are_there_and_documented():
    for name in skelrep.__all__:
        assert getattr(skelrep, name).__doc__ or name == "SKELETONS", name
    assert set(skelrep.__all__) <= set(dir(skelrep))
    with pytest.raises(AttributeError, match="no attribute 'embedd'"):
        skelrep.embedd  # noqa: B018


def test_start_up_needs_no_torch():
    for code in ("import skelrep", "import skelrep.cli; skelrep.cli._parser().format_help()"):
        script = f"import sys; {code}; assert not {{'torch', 'numpy', 'sklearn', 'huggingface_hub'}} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", script], check=True)
    # A generous bound for busy machines, taken from the fastest of several; the figure itself is in the benchmarks.
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "skelrep", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    bare = min(_bare_python() for _ in range(5))
    assert min(times) - bare < 0.3


def _bare_python() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - start


def test_no_module_prints():
    for file in PACKAGE.glob("**/*.py"):
        if file.name != "cli.py":
            calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
            assert not [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"], file
