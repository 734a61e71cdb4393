"""Matrix products on a CPU by oneDNN: `Product` with constant weights, in three precisions, and `product` of any two.

oneDNN multiplies faster than the library behind `torch.mm`: float32 twice as fast on AMD's processors, for which that
library has no code of its own; and where weights stand in the order in which the processor reads them, faster yet;
int8 has no other way. torch's door to it is private, so what comes through it is compared with the plain product
first, and is the plain one where the door is gone or the numbers differ.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

PRECISIONS = ("float32", "bfloat16", "int8")

logger = logging.getLogger(__name__)

# Largest difference to the plain product, relative to its root mean square: several times what rounding was seen to
# do (1e-5, 2e-2, 0.24), and far below what a wrong order of the weights does.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "int8": 0.5}


class Product:
    """Rows times the transpose of a weight, plus a bias, and if wanted the positive part: relu(x Wᵀ + b)."""

    def __init__(self, weight: Tensor, bias: Tensor, precision: str = "float32", *, relu: bool = False) -> None:
        """Packs.

        Args:
            weight: (out, in) float32; packed on a CPU only.
            bias: (out,).
            precision: "float32"; "bfloat16": both factors and the result are rounded to it (8 bits), sums are not;
                "int8": the weight has one scale for each output, the rows one scale for each call.
            relu: Whether the negative part of the result is cut off.

        Raises:
            ValueError: for int8 on another device than a CPU.
        """
        weight, bias = weight.detach().contiguous(), bias.detach().contiguous()
        self._plain = _plain(weight, bias, precision, relu)
        self._run = self._plain
        if weight.device.type != "cpu":
            if precision == "int8":
                raise ValueError(f"int8 products are for CPUs; on {weight.device.type} take float32 or bfloat16")
            return
        generator = torch.Generator().manual_seed(0)
        probe = torch.rand(8, weight.shape[1], generator=generator) * 2 - 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # int8 comes from a part of torch that is about to move
                packed = _packed(weight, bias, precision, relu)
                got = packed(probe).float()
        except (AttributeError, RuntimeError, TypeError) as error:
            logger.info("no packed %s products here (%s): plain ones instead", precision, error)
            return
        expected = torch.nn.functional.linear(probe, weight, bias)
        expected = expected.relu_() if relu else expected
        difference = (got - expected).abs().max() / expected.square().mean().sqrt().clamp(min=1e-12)
        if difference <= _TOLERANCE[precision]:
            self._run = packed
        else:
            logger.warning("packed %s products differ by %.1e here: plain ones instead", precision, float(difference))

    def __call__(self, rows: Tensor) -> Tensor:
        """(..., in) rows to (..., out); bfloat16 where that is the precision, else float32."""
        return self._run(rows)

    @property
    def packed(self) -> bool:
        """Whether it is more than the plain product."""
        return self._run is not self._plain


def product(rows: Tensor, others: Tensor) -> Tensor:
    """(..., M, D) times the transpose of (..., N, D), strided as they may be: (..., M, N)."""
    fits = rows.dtype == others.dtype == torch.float32 and rows.device.type == "cpu" and rows.numel() and others.numel()
    learns = torch.is_grad_enabled() and (rows.requires_grad or others.requires_grad)
    if not fits or learns or torch.compiler.is_compiling() or (direct := _direct()) is None:
        return rows @ others.mT
    if others.ndim > 2:
        return torch.stack([product(*pair) for pair in zip(rows, others, strict=True)])
    return direct(_dense(rows), _dense(others), None, "none", [], "")


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps between rows or columns, with which oneDNN takes up to a thousand times as long."""
    if matrix.is_contiguous() or matrix.mT.is_contiguous():
        return matrix
    return matrix.contiguous() if matrix.stride(-1) == 1 else matrix.mT.contiguous().mT


@functools.cache
def _direct() -> Callable[..., Tensor] | None:
    """The float32 product of plain matrices by oneDNN, if it is there and right."""
    rows, others = torch.rand(2, 24, 40, generator=torch.Generator().manual_seed(0)) - 0.5
    pairs = (rows, others), (rows.mT, others.mT)
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        difference = max((operator(a, b, None, "none", [], "") - a @ b.mT).abs().max().item() for a, b in pairs)
    except (AttributeError, RuntimeError, TypeError) as error:
        logger.info("no float32 products by oneDNN here (%s): plain ones instead", error)
        return None
    if difference <= _TOLERANCE["float32"]:
        return operator
    logger.warning("float32 products by oneDNN differ by %.1e here: plain ones instead", difference)
    return None


def _plain(weight: Tensor, bias: Tensor, precision: str, relu: bool) -> Callable[[Tensor], Tensor]:
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    weight, bias = weight.to(kind), bias.to(kind)

    def run(rows: Tensor) -> Tensor:
        out = torch.nn.functional.linear(rows.to(kind), weight, bias)
        return out.relu_() if relu else out

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
