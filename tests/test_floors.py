"""The oldest versions that pyproject.toml allows have no known vulnerability that skelrep's promises depend on.

CI asks pip-audit where its database can be reached; this list holds without a network. Numbers and versions were
compared on 2026-11-29 with the CVE records and the advisory database of PyPI; where the two differ, the later version
stands here.

Known and of no concern, because skelrep does not use what they are about: CVE-2026-4538 of torch (`.pt2` files),
CVE-2026-25087 of Arrow (IPC files in C++), CVE-2026-92287 of pyarrow (encrypted Parquet), CVE-2025-51480,
CVE-2026-27489, CVE-2026-34446 and CVE-2026-34447 of onnx (reading models, and weights in files of their own),
CVE-2026-107697 of FFmpeg (playlists, which the reader of videos does not allow), CVE-2026-112906 of filelock 4.1.0 to
4.2.0 (locks on file systems without locks).
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
        ((2, 6, 0), "CVE-2025-32434: torch.load with weights_only=True runs code"),
        ((2, 10, 0), "CVE-2026-24747: torch.load with weights_only=True corrupts memory"),
    ],
    "pyarrow": [((14, 0, 1), "CVE-2023-47248: reading a file runs code")],
    "numpy": [
        ((1, 22, 0), "CVE-2021-34141: an incomplete comparison of strings; CVE-2021-41496: a buffer overflow in f2py"),
        ((1, 22, 2), "CVE-2021-41495: a null pointer when memory is exhausted"),
    ],
    "scikit-learn": [((1, 5, 0), "CVE-2024-5206: a vectorizer keeps words of its training data")],
    "tqdm": [((4, 66, 3), "CVE-2024-34062: arguments of its command line are executed")],
    # The record names 1.16.1 as the last affected version, and no first version without it.
    "onnx": [((1, 16, 2), "CVE-2024-7776: downloaded models write outside of their folder")],
    "filelock": [
        ((3, 20, 1), "CVE-2025-68146: a lock file follows a link and truncates its target"),
        ((3, 20, 3), "CVE-2026-22701: the same of the locks that it uses where the file system has none"),
    ],
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
            assert (*floor, 0, 0)[:3] >= fixed, f"{package}>={'.'.join(map(str, floor))} allows {what}"


def test_every_package_that_is_needed_has_a_floor():
    text = PROJECT.read_text(encoding="utf-8")
    needed = text[text.index("\ndependencies = [") : text.index("\ndynamic")]
    names = re.findall(r'^\s*"([\w-]+)', needed, re.MULTILINE)
    assert names and set(names) <= floors().keys()
