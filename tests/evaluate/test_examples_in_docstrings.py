"""The examples in the docstrings of the evaluations give the results that they show."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["knn", "linear", "retrieval", "scores"])
def test_docstring_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"skelrep.evaluate.{name}"))
    assert tried > 0 and failed == 0
