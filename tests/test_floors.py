"""The oldest versions that pyproject.toml allows have no known vulnerability that skelrep's promises depend on.

CI asks pip-audit where its database can be reached; this list holds without a network. Looked up on 2026-11-29.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
pytestmark = pytest.mark.skipif(not PROJECT.exists(), reason="not in an installed package")

#: The first version without it, and what it is.
FIXED = {
    "torch": [
        ((2, 6), "CVE-2025-32434: torch.load with weights_only=True runs code"),
        ((2, 10), "CVE-2026-24747: torch.load with weights_only=True corrupts memory"),
    ],
    "pyarrow": [((14, 0, 1), "CVE-2023-47248: reading a file runs code")],
    "numpy": [((1, 22), "CVE-2021-34141 and CVE-2021-41496: memory errors in NumPy's C code")],
    "scikit-learn": [((1, 5), "CVE-2024-5206: a vectorizer keeps words of its training data")],
    "tqdm": [((4, 66, 3), "CVE-2024-34062: arguments of its command line are executed")],
    "onnx": [((1, 17), "CVE-2024-7776: downloaded models write outside of their folder")],
    "filelock": [((3, 20, 1), "CVE-2025-68146: a lock file follows a link and truncates its target")],
}


def floors() -> dict[str, list[tuple[int, ...]]]:
    """The lower bounds of every package in pyproject.toml: a package may stand in several extras."""
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, version in re.findall(r'"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)', PROJECT.read_text(encoding="utf-8")):
        found.setdefault(name, []).append(tuple(map(int, version.split("."))))
    return found


@pytest.mark.parametrize("package", FIXED)
def test_the_oldest_version_is_without_known_vulnerabilities(package):
    for floor in floors()[package]:
        for fixed, what in FIXED[package]:
            assert floor >= fixed, f"{package}>={'.'.join(map(str, floor))} allows {what}"


def test_every_package_that_is_needed_has_a_floor():
    text = PROJECT.read_text(encoding="utf-8")
    needed = text[text.index("\ndependencies = [") : text.index("\ndynamic")]
    names = re.findall(r'^\s*"([\w-]+)', needed, re.MULTILINE)
    assert names and set(names) <= floors().keys()
