"""CONTRIBUTING, CITATION and the configuration of tools agree with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from skelrep.version import __version__

ROOT = Path(__file__).parents[1]
yaml = pytest.importorskip("yaml", reason="needs pyyaml: pip install '.[test]'")
pytestmark = pytest.mark.skipif(not (ROOT / "CONTRIBUTING.md").exists(), reason="not in an installed package")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_are_named_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:skelrep|tests|docs|\.ci|\.github)/[\w./-]*)`", text)
    assert all((ROOT / path).exists() for path in named), [path for path in named if not (ROOT / path).exists()]
    assert named or name == "SECURITY.md"


def test_the_citation_has_the_version_and_the_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__ and citation["license"] == "Apache-2.0"


def test_configuration_files_are_valid_yaml():
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) >= 5
    for file in files:
        assert yaml.safe_load(file.read_text(encoding="utf-8")), file


def test_the_matrix_begins_where_the_package_does():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    pythons = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={pythons[0]}"' in text
    claimed = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", text))
    assert claimed <= set(pythons)


def test_the_oldest_dependencies_are_pinned():
    lines = subprocess.run([sys.executable, ROOT / ".ci" / "oldest.py"], capture_output=True, text=True, check=True)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pins = dict(line.split("==") for line in lines.stdout.split())
    assert {"torch", "numpy", "scikit-learn"} <= set(pins)
    assert all(f'"{name}>={version}' in text for name, version in pins.items())
