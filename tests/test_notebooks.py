"""The notebooks equal the scripts of the same name, and run completely in a kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.example_checks import CHECKS, EXAMPLES

nbformat = pytest.importorskip("nbformat", reason="notebooks are read by nbformat: pip install '.[test]'")

NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
REPEAT = "jupytext --to ipynb --set-kernel python3 --update examples/{0}.py"


def notebook(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def cells(book):
    return [(cell.cell_type, cell.source) for cell in book.cells]


def test_the_first_two_examples_are_notebooks():
    assert NOTEBOOKS == ["knn_and_linear_probe", "quickstart"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_equal_those_of_the_script(name):
    jupytext = pytest.importorskip("jupytext", reason="jupytext reads the scripts: pip install '.[test]'")
    script = jupytext.read(EXAMPLES / f"{name}.py")
    assert cells(notebook(name)) == cells(script), f"they differ; repeat {REPEAT.format(name)}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_without_outputs(name):
    book = notebook(name)
    nbformat.validate(book)
    assert book.metadata.keys() <= {"kernelspec", "jupytext"}
    assert book.metadata.kernelspec.name == "python3"
    for cell in book.cells:
        assert cell.metadata.keys() <= {"lines_to_next_cell"}  # by which jupytext finds back to the script
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_in_a_kernel(name, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks: pip install '.[test]'")
    pytest.importorskip("ipykernel", reason="ipykernel is the kernel: pip install '.[test]'")
    pytest.importorskip("matplotlib")
    for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # pictures go into the notebook
    book = notebook(name)
    before = set(EXAMPLES.iterdir())
    nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}
    ).execute()
    assert {path.name for path in set(EXAMPLES.iterdir()) - before} <= {"__pycache__"}
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    for output in outputs:  # tqdm asks for ipywidgets, which are an extra
        assert output.get("name") != "stderr" or "TqdmWarning" in output.text
    CHECKS[name](text)
    shown = [output for output in outputs if "image/png" in output.get("data", ())]
    drawn = re.findall(r"^drawn: (.+)$", text, re.MULTILINE)
    assert len(shown) == len(drawn) > 0, "each picture is seen in the notebook, too"
    assert all(Path(file).exists() for file in drawn)
