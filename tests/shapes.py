"""Shapes that annotations promise, checked at every call while tests run.

The package writes `Annotated[Tensor, "N M T V 3"]`, which means nothing to Python. `install` makes every function of it
check its arguments and result: a number is that size, a name is one size throughout a call, `...` is any sizes.
"""

from __future__ import annotations

import functools
import importlib.machinery
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, get_args


def check(where: str, spec: str, value: Any, sizes: dict[str, int]) -> None:
    """Asserts that a tensor or array has a shape; None is not checked. New names are added to `sizes`."""
    if value is None:
        return
    names, shape = spec.split(), tuple(value.shape)
    if names[0] == "...":
        names = names[1:]
        assert len(shape) >= len(names), f"{where} has the shape {shape}, not ({spec})"
        shape = shape[len(shape) - len(names) :]
    expected = [int(name) if name.isdecimal() else sizes.setdefault(name, size) for name, size in zip(names, shape)]
    assert len(names) == len(shape) and expected == list(shape), (
        f"{where} has {tuple(value.shape)}, not ({spec}): {sizes}"
    )


def _spec(annotation: str, names: dict[str, Any]) -> str:
    """The shape in `Annotated[Tensor, "..."]`, also in a union with None."""
    found = eval(annotation, names)  # noqa: S307 - source text of the package
    for part in (found, *get_args(found)):
        if hasattr(part, "__metadata__"):
            return part.__metadata__[0]
    raise TypeError(f"no shape in {annotation}")


def checked(function: Callable) -> Callable:
    """The same function with its shapes checked."""
    names = function.__globals__
    specs = {name: _spec(text, names) for name, text in function.__annotations__.items() if "Annotated[" in text}
    signature = inspect.signature(function)
    result = specs.pop("return", None)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        import torch

        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        given, sizes = signature.bind(*args, **kwargs).arguments, {}
        for name, spec in specs.items():
            check(f"{function.__qualname__}: {name}", spec, given.get(name), sizes)
        found = function(*args, **kwargs)
        if result is not None:
            check(f"{function.__qualname__}: the result", result, found, sizes)
        return found

    return run


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for holder in (module, *(value for value in vars(module).values() if inspect.isclass(value))):
            for name, value in list(vars(holder).items()):
                if (
                    not inspect.isfunction(value)
                    or value.__module__ != module.__name__
                    or hasattr(value, "__wrapped__")
                ):
                    continue
                if any("Annotated[" in str(annotation) for annotation in value.__annotations__.values()):
                    setattr(holder, name, checked(value))


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith("skelrep."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Checks all modules of the package that are imported from now on."""
    sys.meta_path.insert(0, _Finder)
