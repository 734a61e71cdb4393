"""A transformer backbone and a modality, as another package would add them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from skelrep.encoder import Modality
from skelrep.encoder.backbone import check_sizes, unpacked

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph

ACTIVATIONS = {"relu": (torch.relu, "Relu"), "tanh": (torch.tanh, "Tanh")}


@dataclass(frozen=True)
class TransformerConfig:
    width: int = 16
    layers: int = 2
    dropout: float = 0.2
    activation: Literal["relu", "tanh"] = "tanh"
    pooling: str | int | None = None  # a frame, "mean", or None for the last frame

    def check(self) -> None:
        check_sizes(width=self.width, layers=self.layers)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    def build(self, joints: int, persons: int, frames: int) -> Transformer:
        return Transformer(joints, frames, self)


class Transformer(nn.Module):
    causal = False

    def __init__(self, joints: int, frames: int, config: TransformerConfig) -> None:
        super().__init__()
        self.dim, self.frames, self.config = config.width, frames, config
        self.entry = nn.Linear(3 * joints, config.width)
        self.positions = nn.Parameter(torch.randn(frames, config.width) / 10)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))

    def forward(self, poses: Tensor, present: Tensor | None = None) -> Tensor:
        x = self.entry(poses.flatten(3)) + self.positions  # (N, M, T, width)
        for layer in self.layers:
            x = layer(x)
        x = x.mean(dim=2) if self.config.pooling == "mean" else x[:, :, self._frame()]
        weights = torch.ones(x.shape[:2], device=x.device) if present is None else present.to(x.dtype)
        return (x * weights[:, :, None]).sum(dim=1) / weights.sum(dim=1, keepdim=True).clamp(min=1)

    def _frame(self) -> int:
        return self.config.pooling if isinstance(self.config.pooling, int) else self.frames - 1

    def packed(self, precision: str):
        return unpacked(self, precision)

    def to_onnx(self, graph: Graph, poses: str, present: str) -> str:
        x = graph.linear(self.entry, graph("Reshape", poses, [0, 0, 0, self.entry.in_features]))
        x = graph("Add", x, self.positions)
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            x = layer.to_onnx(graph, x)
        if self.config.pooling == "mean":
            x = graph("ReduceMean", x, axes=[2], keepdims=0)
        else:
            x = graph("Squeeze", graph("Gather", x, [self._frame()], axis=2), [2])
        weights = graph("Unsqueeze", graph("Cast", present, to=graph.FLOAT), [2])
        total = graph("ReduceSum", graph("Mul", x, weights), [1], keepdims=0)
        return graph("Div", total, graph("Max", graph("ReduceSum", weights, [1], keepdims=0), 1.0))


class _Layer(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.function, self.operator = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.norm(x)).chunk(3, dim=-1)
        attention = self.dropout(torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, dim=-1))
        return x + self.out(self.function(attention @ value))

    def to_onnx(self, graph: Graph, x: str) -> str:
        y = graph("LayerNormalization", x, self.norm.weight, self.norm.bias, epsilon=self.norm.eps)
        query, key, value = graph("Split", graph.linear(self.query_key_value, y), outputs=3, axis=-1)
        scores = graph("MatMul", query, graph("Transpose", key, perm=[0, 1, 3, 2]))
        attention = graph("Softmax", graph("Div", scores, self.out.in_features**0.5), axis=-1)
        y = graph(self.operator, graph("MatMul", attention, value))
        return graph("Add", x, graph.linear(self.out, y))


def _velocity(joints: Tensor, parents) -> Tensor:
    return torch.diff(joints, dim=-3, prepend=joints[..., :1, :, :])


def _velocity_to_onnx(graph: Graph, joints: str, parents, frames: int) -> str:
    return graph("Sub", joints, graph("Gather", joints, [0, *range(frames - 1)], axis=-3))


VELOCITY = Modality(_velocity, _velocity_to_onnx)
