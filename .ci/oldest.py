"""Prints the oldest version of each dependency that pyproject.toml allows, as requirements for pip."""

import re
from pathlib import Path

text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
[dependencies] = re.findall(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
for name, version in re.findall(r'"([\w-]+)>=([\w.]+)', dependencies):
    print(f"{name}=={version}")
