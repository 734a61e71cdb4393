"""Parts of messages: how to install a missing package."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from skelrep.messages import install, optional

LINES = [
    "numpy>=1",
    'pyarrow>=14; extra == "parquet"',
    "onnxruntime>=1.17; extra == 'onnx'",
    "onnx>=1.15; extra == 'onnx'",
]


@pytest.mark.parametrize(
    ("module", "extra", "said"),
    [
        ("pyarrow.parquet", "parquet", 'pyarrow: pip install "pyarrow>=14"'),
        ("onnx", "onnx", 'onnx: pip install "onnx>=1.15"'),
        ("onnxruntime", "onnx", 'onnxruntime: pip install "onnxruntime>=1.17"'),
        ("pose_format", "pose", 'pose-format: pip install "pose-format"'),
    ],
)
def test_missing_packages_are_named_with_the_version_of_the_extra(module, extra, said, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: LINES)
    assert install(module, extra) == said


def test_a_checkout_that_is_not_installed_names_the_package(monkeypatch):
    def absent(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    for module in ("pyarrow", "pyarrow.parquet"):  # it is loaded already where other tests have read a table
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match='pip install "pyarrow"'):
        optional("pyarrow.parquet", "parquet")
