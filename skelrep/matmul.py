"""Matrix products on a CPU by oneDNN: `Product` with constant weights in three precisions, and `product` of any two.

oneDNN is faster than the library behind `torch.mm`: twice as fast in float32 on AMD processors, for which that library
is not optimised, and faster still with weights that are packed in the order in which they are read. int8 is available
in no other way. PyTorch's interface to oneDNN is private, so its results are first compared with a plain product; if
the interface is missing or the numbers differ, the plain product is used. With the environment variable
`SKELREP_PLAIN_MATMUL=1`, set before skelrep is imported, all products are plain.

oneDNN divides its work among the number of threads that OpenMP announces. If OpenMP starts fewer (`OMP_DYNAMIC`,
`OMP_THREAD_LIMIT`), parts of the result are never computed, without an error; this is true for PyTorch's own bfloat16
products as well. Products are therefore compared again for every number of threads and every setting of OpenMP.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import warnings
from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor

PRECISIONS = ("float32", "bfloat16", "int8")

logger = logging.getLogger(__name__)

# Largest difference from the plain product, relative to the size of each output: several times the observed rounding
# errors (1e-5, 2e-2, 0.24), and far below the effect of a wrong order of the weights.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "int8": 0.5}


# Up to so many rows, and weights of this size, a plain float32 product is faster: a call of oneDNN takes 20 us by
# itself, a row times 96 x 405 weights 5 us.
_FEW_ROWS, _SMALL_WEIGHT = 4, 2**17


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


_PLAIN = os.environ.get("SKELREP_PLAIN_MATMUL", "0") not in ("", "0")
# Where OpenMP cannot be asked: it reads its variables once, when it is loaded; changing them later has no effect.
_DYNAMIC_THREADS = os.environ.get("OMP_DYNAMIC", "").strip().lower() not in ("", "0", "false", "no", "off")
_THREAD_LIMIT = _number(os.environ.get("OMP_THREAD_LIMIT", ""))


class _Settings(NamedTuple):
    """How many threads PyTorch asks for, and whether OpenMP may start fewer."""

    threads: int
    dynamic: bool  # whether OpenMP may start fewer as it sees fit
    limit: int  # the largest number that it starts

    @property
    def fewer(self) -> bool:
        return self.threads > 1 and (self.dynamic or self.limit < self.threads)


@functools.cache
def _openmp() -> tuple[Callable[[], int], Callable[[], int]] | None:
    """`omp_get_dynamic` and `omp_get_thread_limit` of the OpenMP that PyTorch has loaded, where they can be found."""
    try:
        loaded = ctypes.CDLL(None)  # what is visible everywhere in this process
        return loaded.omp_get_dynamic, loaded.omp_get_thread_limit
    except (AttributeError, OSError, TypeError):  # another OpenMP, or Windows
        return None


def _settings() -> _Settings:
    """The settings of this moment; a program may change them at any time."""
    threads = torch.get_num_threads()
    if (found := _openmp()) is not None:
        return _Settings(threads, bool(found[0]()), found[1]())
    return _Settings(threads, _DYNAMIC_THREADS, _THREAD_LIMIT or threads)


class Product:
    """x Wᵀ + b with constant weights, or relu(x Wᵀ + b)."""

    def __init__(self, weight: Tensor, bias: Tensor, precision: str = "float32", *, relu: bool = False) -> None:
        """Packs the weights.

        Args:
            weight: (out, in) float32; packed on a CPU only.
            bias: (out,).
            precision: "float32"; "bfloat16": factors and result are rounded to 8 bits, sums are not; "int8": weights
                have one scale per output, rows one scale per call.
            relu: Whether negative results become zero.

        Raises:
            ValueError: for int8 on a device that is not a CPU, or if the weights are so large that products overflow.
            OSError: if no product is correct on this machine.
        """
        self._weight, self._bias = weight.detach().contiguous(), bias.detach().contiguous()
        self._precision, self._relu = precision, relu
        self._small = precision == "float32" and weight.numel() <= _SMALL_WEIGHT
        self._plain = _plain(self._weight, self._bias, "float32", relu)
        self.packed = False  # whether oneDNN's packed product is used
        self._made: dict[Callable, Callable[[Tensor], Tensor]] = {}  # by the functions that make them
        self._correct: dict[_Settings, Callable[[Tensor], Tensor]] = {}
        device = weight.device.type
        if device == "cpu":
            self._run = self._with(_settings())
        elif precision == "int8":
            raise ValueError(f"int8 products are for CPUs; on {device} use float32 or bfloat16")
        else:
            self._run = _plain(self._weight, self._bias, precision, relu)

    def __call__(self, rows: Tensor) -> Tensor:
        """(..., in) rows to (..., out); bfloat16 if that is the precision, else float32."""
        if self._small and rows.numel() <= _FEW_ROWS * rows.shape[-1]:
            return self._plain(rows)
        return (self._with(_settings()) if rows.device.type == "cpu" else self._run)(rows)

    def of_array(self, rows: Annotated[np.ndarray, "R D"]) -> Annotated[np.ndarray, "R W"]:
        """The product of (R, in) float32 rows of numpy, on the device of the weights: (R, out) float32."""
        return self(torch.from_numpy(rows).to(self._weight.device)).float().cpu().numpy()

    def _with(self, settings: _Settings) -> Callable[[Tensor], Tensor]:
        """The product that is used with these settings."""
        if settings not in self._correct:
            self._correct[settings] = self._checked(settings)
        return self._correct[settings]

    def _checked(self, settings: _Settings) -> Callable[[Tensor], Tensor]:
        """The first of several products that is correct with these settings."""
        right = _right(settings)
        candidates: list[Callable[..., Callable[[Tensor], Tensor]]] = [_plain if right.bfloat16 else _rounded]
        if not _PLAIN and (right.onednn or self._precision == "int8"):
            candidates.insert(0, _packed)
        generator = torch.Generator().manual_seed(0)
        probe = torch.rand(8, self._weight.shape[1], generator=generator) * 2 - 1
        # numpy does not use PyTorch's threads.
        expected = torch.from_numpy(probe.numpy() @ self._weight.float().numpy().T + self._bias.float().numpy())
        expected = expected.relu_() if self._relu else expected
        # Rounding errors grow with an output's own weights, which differ by orders of magnitude where a BatchNorm is
        # folded into them, whatever remains of the output after its bias is added and negative values become zero.
        scale = self._weight.float().norm(dim=1) * probe.square().mean().sqrt() + self._bias.float().abs()
        scale = scale.clamp(min=1e-6 * float(scale.max()) + 1e-12)
        if not (scale.isfinite().all() and expected.isfinite().all()):  # no embedding would be finite
            largest = float(max(self._weight.abs().max(), self._bias.abs().max()))
            raise ValueError(f"weights of up to {largest:.1e} are too large for products in float32")
        for candidate in candidates:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # PyTorch announces that its int8 products will move
                    if candidate not in self._made:
                        self._made[candidate] = candidate(self._weight, self._bias, self._precision, self._relu)
                    run = self._made[candidate]
                    difference = ((run(probe).float() - expected).abs() / scale).max()
            except (AttributeError, RuntimeError, TypeError) as error:
                logger.info("no packed %s products here (%s): plain ones instead", self._precision, error)
                continue
            # PyTorch may be set to round float32 factors; parts that were never computed differ by far more.
            if difference <= max(_TOLERANCE[self._precision], _TOLERANCE["bfloat16"] * (candidate is not _packed)):
                self.packed = candidate is _packed
                return run
            logger.warning("%s products differ by %.1e here: plain ones instead", self._precision, float(difference))
        raise _no_right_product(settings.threads)


def product(rows: Annotated[Tensor, "... M D"], others: Annotated[Tensor, "... N D"]) -> Annotated[Tensor, "... M N"]:
    """(..., M, D) times the transpose of (..., N, D), with any strides: (..., M, N)."""
    if rows.device.type != "cpu" or torch.compiler.is_compiling() or not rows.numel() or not others.numel():
        return rows @ others.mT
    if torch.is_grad_enabled() and (rows.requires_grad or others.requires_grad):
        return rows @ others.mT
    right = _right(_settings())
    if rows.dtype == others.dtype == torch.bfloat16 and not right.bfloat16:
        return (rows.float() @ others.mT.float()).bfloat16()
    if rows.dtype != torch.float32 or others.dtype != torch.float32 or right.direct is None:
        return rows @ others.mT
    if others.ndim > 2:
        return torch.stack([product(*pair) for pair in zip(rows, others, strict=True)])
    return right.direct(_dense(rows), _dense(others), None, "none", [], "")


def check_products() -> None:
    """Raises an OSError if PyTorch's own bfloat16 products on the CPU are wrong with its number of threads.

    Inference and `product` avoid them; training under autocast cannot.
    """
    settings = _settings()
    if not _right(settings).bfloat16:
        raise _no_right_product(settings.threads)


def _dense(matrix: Tensor) -> Tensor:
    """The matrix without gaps between rows or columns, which make oneDNN up to a thousand times slower."""
    if matrix.is_contiguous() or matrix.mT.is_contiguous():
        return matrix
    return matrix.contiguous() if matrix.stride(-1) == 1 else matrix.mT.contiguous().mT


class _Right(NamedTuple):
    """Which products are correct with a given number of threads."""

    onednn: bool  # products by oneDNN
    bfloat16: bool  # PyTorch's own bfloat16 products, which use oneDNN if the processor supports bfloat16
    direct: Callable[..., Tensor] | None  # oneDNN's float32 product of two matrices, if it exists and is correct


@functools.cache
def _right(settings: _Settings) -> _Right:
    """Compares products with numpy's; the settings must be those of this moment."""
    threads = settings.threads
    if settings.fewer:
        # The number of threads that OpenMP starts may change from call to call, so a comparison would prove nothing.
        logger.warning(
            "OMP_DYNAMIC or OMP_THREAD_LIMIT lets OpenMP start fewer than PyTorch's %d threads, with which oneDNN's "
            "products are wrong: slower ones instead; unset both, or set OMP_NUM_THREADS=1",
            threads,
        )
        _check_float32(threads)
        return _Right(False, False, None)
    _check_float32(threads)
    rows, others, expected = _case(threads)
    got = (rows.bfloat16() @ others.bfloat16().mT).float()
    bfloat16 = _difference(got, expected) <= _TOLERANCE["bfloat16"]
    direct = None if _PLAIN or not bfloat16 else _direct(threads)
    return _Right(bfloat16, bfloat16, direct)


def _case(threads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two matrices that are large enough for every thread to take part, and their product by numpy."""
    rows = torch.rand(256 * threads, 48, generator=torch.Generator().manual_seed(0)) - 0.5
    others = torch.rand(64, 48, generator=torch.Generator().manual_seed(1)) - 0.5
    return rows, others, torch.from_numpy(rows.numpy() @ others.numpy().T)


def _difference(got: Tensor, expected: Tensor) -> float:
    """The largest difference relative to the root mean square; NaN compares as too large."""
    return float((got - expected).abs().max() / expected.square().mean().sqrt())


def _check_float32(threads: int) -> None:
    """Raises an OSError if even the plain float32 product is wrong."""
    rows, others, expected = _case(threads)
    if not _difference(torch.nn.functional.linear(rows, others), expected) <= _TOLERANCE["bfloat16"]:
        raise _no_right_product(threads)


def _no_right_product(threads: int) -> OSError:
    return OSError(
        f"PyTorch's matrix products are wrong with {threads} threads on this machine, probably because OpenMP starts "
        "fewer: unset OMP_DYNAMIC and OMP_THREAD_LIMIT, or set OMP_NUM_THREADS=1, and start again"
    )


def _direct(threads: int) -> Callable[..., Tensor] | None:
    """The float32 product of two matrices by oneDNN, if it exists and is correct."""
    rows, others, expected = _case(threads)
    pairs = (rows, others, expected), (rows.mT.contiguous().mT, others.mT.contiguous().mT, expected)
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        differences = [_difference(operator(a, b, None, "none", [], ""), c) for a, b, c in pairs]
    except (AttributeError, RuntimeError, TypeError) as error:
        logger.info("no float32 products by oneDNN here (%s): plain ones instead", error)
        return None
    if all(difference <= _TOLERANCE["float32"] for difference in differences):
        return operator
    logger.warning("float32 products by oneDNN differ by %.1e here: plain ones instead", max(differences))
    return None


def _plain(weight: Tensor, bias: Tensor, precision: str, relu: bool) -> Callable[[Tensor], Tensor]:
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    weight, bias = weight.to(kind), bias.to(kind)

    def run(rows: Tensor) -> Tensor:
        out = torch.nn.functional.linear(rows.to(kind), weight, bias)
        return out.relu_() if relu else out

    return run


def _rounded(weight: Tensor, bias: Tensor, precision: str, relu: bool) -> Callable[[Tensor], Tensor]:
    """`_plain`, but bfloat16 factors are multiplied in float32, which is slower and uses another library."""
    if precision != "bfloat16":
        return _plain(weight, bias, precision, relu)
    weight, bias = weight.bfloat16().float(), bias.bfloat16().float()

    def run(rows: Tensor) -> Tensor:
        out = torch.nn.functional.linear(rows.bfloat16().float(), weight, bias)
        return (out.relu_() if relu else out).bfloat16()

    return run


def _packed(weight: Tensor, bias: Tensor, precision: str, relu: bool) -> Callable[[Tensor], Tensor]:
    if precision == "int8":
        scales = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
        zero = torch.zeros(len(weight), dtype=torch.long)
        whole = torch.ops.quantized.linear_prepack(
            torch.quantize_per_channel(weight, scales, zero, axis=0, dtype=torch.qint8), bias
        )
        operator = torch.ops.quantized.linear_relu_dynamic if relu else torch.ops.quantized.linear_dynamic
        return lambda rows: operator(rows, whole)
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    ordered = torch.ops.mkldnn._reorder_linear_weight(weight.to(kind), None)
    bias = bias.to(kind)
    after = "relu" if relu else "none"
    return lambda rows: torch.ops.mkldnn._linear_pointwise(rows.to(kind), ordered, bias, after, [], "")
