"""The interface of a backbone and of its config.

To add a backbone, write one file with two classes, a network and a config, and add the config to
`skelrep.encoder.BACKBONES`; `docs/extending.md` has an example. No class of this module needs to be inherited.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from skelrep.matmul import check_products

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph

MAX_SIZE = 2_000_000_000  # of any size in a config; larger numbers are a mistake or an attack


class Backbone(Protocol):
    """The network of one stream, an `nn.Module`: computes features from one modality of prepared poses.

    Attributes:
        dim: Number of dimensions of the feature.
        causal: Whether the feature of a clip can be updated frame by frame. If so, `packed` returns a `CausalNetwork`.
    """

    dim: int
    causal: bool

    def forward(
        self, poses: Annotated[Tensor, "N M T V 3"], present: Annotated[Tensor, "N M"] | None = None
    ) -> Annotated[Tensor, "N D"]:
        """Features (N, dim).

        Args:
            poses: (N, M, T, V, 3), one modality; absent persons are all zeros.
            present: (N, M), which persons are present; None means all.
        """
        ...

    def packed(self, precision: str) -> Callable[[Tensor, Tensor], Tensor]:
        """`forward` for inference with the current weights; `unpacked` is the simplest implementation.

        Args:
            precision: Precision of the matrix products; one of `skelrep.matmul.PRECISIONS`.

        Returns:
            A function of poses and present that returns (N, dim) float32.
        """
        ...

    def to_onnx(self, graph: Graph, poses: str, present: str) -> str:
        """Adds the nodes that compute `forward` in evaluation mode.

        Args:
            graph: The graph to add them to.
            poses: Name of the (N, M, T, V, 3) float32 value.
            present: Name of the (N, M) boolean value.

        Returns:
            The name of the (N, dim) value.
        """
        ...


@runtime_checkable
class PerFrame(Protocol):
    """A backbone that also computes features per frame, as `embed(per_frame=True)` needs."""

    def per_frame(
        self, poses: Annotated[Tensor, "N M T V 3"], present: Annotated[Tensor, "N M"] | None = None
    ) -> Annotated[Tensor, "N S D"]:
        """Features (N, S, D) at S equally spaced steps; step s is centred on, or ends at, frame s T / S.

        Args:
            poses: As `Backbone.forward` takes them.
            present: As `Backbone.forward` takes it.
        """
        ...


@runtime_checkable
class NormalisedInput(Protocol):
    """A backbone that normalises its input over the batch, and nothing else.

    In training, the gradient of a batch can then be accumulated over its parts exactly.

    Attributes:
        norm: The BatchNorm of the input.
    """

    norm: nn.BatchNorm1d

    def flat(self, poses: Annotated[Tensor, "N M T V 3"]) -> Annotated[Tensor, "N T F"]:
        """The rows (N, T, features) that `norm` normalises, feature by feature."""
        ...


class CausalNetwork(Protocol):
    """The return value of `Backbone.packed` of a causal backbone."""

    def __call__(
        self,
        poses: Annotated[Tensor, "N M T V 3"],
        present: Annotated[Tensor, "N M"],
        lengths: Annotated[Tensor, "N"] | None = None,
    ) -> Annotated[Tensor, "N D"]:
        """Features (N, dim) of whole clips.

        Args:
            poses: As `Backbone.forward` takes them; clips of different lengths are filled up at their ends.
            present: As `Backbone.forward` takes it.
            lengths: (N,) number of frames of each clip, if they differ.
        """
        ...

    def start(self, clips: int) -> Any:
        """The state before the first frame."""
        ...

    def step(self, poses: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Processes one frame.

        Args:
            poses: (N, M, F, V, 3): the frame, and F - 1 following ones, which affect the feature but not the state.
            state: The state after the frames so far.

        Returns:
            The feature (N, dim) after all F frames, and the state after the first of them.
        """
        ...


class BackboneConfig(Protocol):
    """A frozen dataclass with the sizes and options of a backbone; its fields are keys of config.json.

    A field may be a str, int, float or bool, a tuple of them, a dataclass, or a union of these and None.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def check(self) -> None:
        """Raises a ValueError for values that no network can be built from."""
        ...

    def build(self, joints: int, persons: int, frames: int) -> nn.Module:
        """The `Backbone` for (N, persons, frames, joints, 3) input, with random weights."""
        ...


def each_alone(
    encode: Callable[[Tensor], Tensor],
    poses: Annotated[Tensor, "N M T V 3"],
    present: Annotated[Tensor, "N M"] | None,
) -> Tensor:
    """Encodes every person alone: the mean of the present persons' features, (N, ...).

    Args:
        encode: Computes (R, ...) features of (R, T, V, 3) persons.
        poses: As `Backbone.forward` takes them.
        present: As `Backbone.forward` takes it; None avoids a synchronisation with a GPU.
    """
    if present is None:
        features = encode(poses.flatten(0, 1))
        return features if poses.shape[1] == 1 else features.unflatten(0, poses.shape[:2]).mean(dim=1)
    features = encode(poses[present])
    total = features.new_zeros(len(poses), *features.shape[1:]).index_add_(0, present.nonzero()[:, 0], features)
    return total / present.sum(dim=1).clamp(min=1).view(-1, *[1] * (features.ndim - 1))


def check_sizes(most: int = MAX_SIZE, **sizes: int) -> None:
    """Raises a ValueError if a size is below 1 or above `most`."""
    for name, size in sizes.items():
        if not 1 <= size <= most:
            raise ValueError(f"{name} must be 1 to {most:.0e}, got {size}")


def unpacked(network: Callable[..., Tensor], precision: str) -> Callable[[Tensor, Tensor], Tensor]:
    """An implementation of `Backbone.packed` that calls the network itself, under autocast for bfloat16.

    Raises:
        ValueError: for int8.
    """
    if precision == "int8":
        name = getattr(network, "__qualname__", type(network).__name__)
        raise ValueError(f"{name} does not support int8; use float32 or bfloat16")

    def run(poses: Tensor, present: Tensor, *lengths: Tensor) -> Tensor:
        products: AbstractContextManager = nullcontext()
        if precision == "bfloat16":
            if poses.device.type == "cpu":
                check_products()
            products = torch.autocast(poses.device.type, torch.bfloat16)
        with products:
            return network(poses, present, *lengths).float()

    return run
