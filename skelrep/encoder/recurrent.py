"""The causal two-GRU stack: the backbone of the paper.

The public CMD code runs a "bidirectional" GRU one frame at a time, so its `*_reverse` weights also run forward in time.
Each layer is therefore two forward GRUs, and its input is the concatenation of both outputs of the layer below. In this
form a whole sequence takes one call per GRU, and an embedding can be updated frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from torch import Tensor, nn

from skelrep.encoder import moments
from skelrep.encoder.backbone import check_sizes, each_alone
from skelrep.encoder.recurrent_cpu import all_states, pays
from skelrep.encoder.recurrent_packed import PackedStack, last_of_each

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph

MAX_LAYERS = 100  # every layer takes time to build, even on the meta device


@dataclass(frozen=True)
class RecurrentConfig:
    """Sizes of a `RecurrentStack`; the defaults are CMD's.

    Attributes:
        hidden: Units of each GRU.
        layers: Of two GRUs each.
        readout: What of the last layer's states is the feature of a stream. "last": those after the last frame, 2 x
            hidden dimensions (CMD). "moments": their mean and standard deviation over the frames, 4 x hidden
            dimensions. With random weights and 2 x 96 units, 1-NN accuracy on UTD-MHAD is 20 % with the first and 82 %
            with the second.
        persons: "together": all persons of a clip are one input (CMD). "alone": each is encoded alone, and the feature
            of a clip is the mean over those who are present.
    """

    hidden: int = 1024
    layers: int = 3
    readout: Literal["last", "moments"] = field(default="last", metadata={"when_missing": "last"})
    persons: Literal["together", "alone"] = field(default="together", metadata={"when_missing": "together"})

    def check(self) -> None:
        """Raises a ValueError for values that no network can be built from."""
        check_sizes(hidden=self.hidden)
        check_sizes(MAX_LAYERS, layers=self.layers)

    def build(self, joints: int, persons: int, frames: int) -> RecurrentStack:
        """The network, with random weights; it takes any number of frames."""
        return RecurrentStack(joints, persons, self)


class RecurrentStack(nn.Module):
    """BatchNorm over the flattened pose, layers of two forward GRUs, the last frame's output or moments over time."""

    causal = True

    def __init__(self, joints: int, persons: int, config: RecurrentConfig) -> None:
        """For (N, persons, T, joints, 3) input."""
        super().__init__()
        self.alone = config.persons == "alone"
        features = joints * 3 * (1 if self.alone else persons)
        self.moments = config.readout == "moments"
        self.width = 2 * config.hidden
        self.dim = self.width * (1 + self.moments)
        self.norm = nn.BatchNorm1d(features)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                nn.GRU(features if layer == 0 else self.width, config.hidden, batch_first=True) for _ in range(2)
            )
            for layer in range(config.layers)
        )
        for parameter in self.layers.parameters():
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)  # as CMD

    def forward(
        self,
        poses: Annotated[Tensor, "N M T V 3"],
        present: Annotated[Tensor, "N M"] | None = None,
        lengths: Annotated[Tensor, "N"] | None = None,
    ) -> Annotated[Tensor, "N D"]:
        """Features of one modality; see `CausalNetwork`. Persons who are encoded together are zero when absent."""
        return self.over_persons(lambda x: self._feature(x, lengths), poses, present)

    def over_persons(self, encode: Callable[[Tensor], Tensor], poses: Tensor, present: Tensor | None) -> Tensor:
        """Encodes all persons together or each of them alone, as the config says."""
        return each_alone(lambda x: encode(x[:, None]), poses, present) if self.alone else encode(poses)

    def _feature(self, poses: Annotated[Tensor, "N M T V 3"], lengths: Tensor | None) -> Annotated[Tensor, "N D"]:
        rows = self.rows(poses)
        if pays(rows):
            states, last = all_states(rows, list(self.pairs()))
        else:
            states = self.states(rows).transpose(0, 1)
            last = states[-1]
        if self.moments:
            return moments.of_clip(states, lengths)
        return last if lengths is None else last_of_each(states, lengths)

    def rows(self, poses: Annotated[Tensor, "N M T V 3"]) -> Annotated[Tensor, "N T F"]:
        """Poses (N, M, T, V, 3) as normalised rows (N, T, features); the person index varies fastest, as in CMD."""
        return self.norm(self.flat(poses).transpose(1, 2)).transpose(1, 2)

    def flat(self, poses: Annotated[Tensor, "N M T V 3"]) -> Annotated[Tensor, "N T F"]:
        """`rows` before the BatchNorm."""
        if self.alone:
            poses = poses.flatten(0, 1)[:, None]
        return poses.permute(0, 2, 3, 4, 1).flatten(2)

    def states(self, rows: Annotated[Tensor, "N T F"]) -> Annotated[Tensor, "N T D"]:
        """The last layer's outputs (N, T, 2 x hidden) for rows (N, T, features)."""
        for first, second in self.pairs():
            rows = torch.cat([first(rows)[0], second(rows)[0]], dim=-1)
        return rows

    def per_frame(
        self, poses: Annotated[Tensor, "N M T V 3"], present: Annotated[Tensor, "N M"] | None = None
    ) -> Annotated[Tensor, "N S D"]:
        """After every frame, `forward` of the frames so far: (N, T, dim)."""

        def encode(poses: Tensor) -> Tensor:
            states = self.states(self.rows(poses))
            return moments.so_far(states.transpose(0, 1)).transpose(0, 1) if self.moments else states

        return self.over_persons(encode, poses, present)

    def pairs(self) -> Iterator[tuple[nn.GRU, nn.GRU]]:
        """The two GRUs of each layer."""
        for layer in self.layers:
            first, second = layer.children()
            assert isinstance(first, nn.GRU) and isinstance(second, nn.GRU)
            yield first, second

    def packed(self, precision: str) -> PackedStack:
        """`forward` with the current weights, in evaluation mode; on a CPU several times as fast."""
        return PackedStack(self, precision)

    def to_onnx(self, graph: Graph, poses: str, present: str) -> str:
        """`forward` as ONNX nodes; see `Backbone.to_onnx`."""
        if self.alone:
            poses = graph("Reshape", poses, [-1, 1, 0, 0, 0])
        x = graph("Transpose", poses, perm=[0, 3, 4, 1, 2])  # (N, V, 3, M, T)
        x = graph.norm(self.norm, graph("Reshape", x, [0, self.norm.num_features, -1]))
        x, last = graph("Transpose", x, perm=[2, 0, 1]), ""  # (T, N, features)
        for pair in self.pairs():
            every, end = zip(*(_gru_to_onnx(graph, gru, x) for gru in pair))
            x = graph("Squeeze", graph("Concat", *every, axis=-1), [1])  # (T, N, dim)
            last = graph("Squeeze", graph("Concat", *end, axis=-1), [0])  # (N, dim)
        feature = moments.to_onnx(graph, x) if self.moments else last
        if not self.alone:
            return feature
        feature = graph("Reshape", feature, graph("Concat", graph("Shape", present), [self.dim], axis=0))
        weights = graph("Unsqueeze", graph("Cast", present, to=graph.FLOAT), [2])
        total = graph("ReduceSum", graph("Mul", feature, weights), [1], keepdims=0)
        return graph("Div", total, graph("Max", graph("ReduceSum", weights, [1], keepdims=0), 1.0))


def _gru_to_onnx(graph: Graph, gru: nn.GRU, x: str) -> list[str]:
    """One forward GRU over (T, N, inputs): all its states (T, 1, N, hidden), and the last one (1, N, hidden)."""

    def reordered(rows: Tensor) -> Tensor:  # the gates are in the order r, z, n in PyTorch, z, r, n in ONNX
        r, z, n = rows.chunk(3)
        return torch.cat([z, r, n])

    weight_ih, weight_hh, bias_ih, bias_hh = (reordered(part.detach()) for part in gru.parameters())
    options = {"hidden_size": gru.hidden_size, "linear_before_reset": 1}
    bias = torch.cat([bias_ih, bias_hh])
    return graph("GRU", x, weight_ih[None], weight_hh[None], bias[None], outputs=2, **options)
