"""Encoders as ONNX files, and what heads compute from their embeddings, for runtimes without PyTorch.

The graph is written node by node rather than traced, because the exporters of different PyTorch versions can trace
different operations. In version 2.13, the older exporter fails at `diff` and `unfold`. The newer one (`dynamo=True`,
which needs onnxscript) fails at the convolution over the persons who are present, whose number is unknown in advance.
It exports a convolution over all persons with a mask correctly, in 19 s, and GRUs only for a fixed number of clips.
The graph is compared with the encoder before the file is written, so the two cannot differ unnoticed.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from skelrep.encoder.inference import embed_prepared
from skelrep.encoder.modalities import find_modality
from skelrep.files import replacing
from skelrep.messages import optional
from skelrep.preprocess import Prepared
from skelrep.preprocess_config import PreprocessConfig
from skelrep.version import __version__

if TYPE_CHECKING:
    from skelrep.encoder.encoder import Encoder

OPSET, IR_VERSION = 17, 8  # from 2022; nothing newer is needed
TOLERANCE = 1e-4  # of a row's length, or of a probability; 1e-7 is usual
MAX_BYTES = 2**31 - 2**20  # what protobuf allows a file, less the graph itself


def export_onnx(encoder: Encoder, path: str | os.PathLike) -> float:
    """Writes an encoder as one ONNX file.

    The inputs of the graph are `joints`, float32 (clips, M, T, V, 3), and, if the config weights persons (`weigh` is
    not "equal", M above 1), `weights`, float32 (clips, M). `encoder.prepare_weighted` returns both, because
    preprocessing is not part of the graph. The graph computes bones and motion, ignores absent persons (all zeros), and
    returns `embedding`, float32 (clips, D): all streams, fused as specified in the config. The number of clips is not
    fixed. The metadata of the file contain `config.json` with all settings of the preprocessing, `source` (the
    encoder's name and commit) and `skelrep` (the version).

    Args:
        encoder: The encoder, on any device.
        path: The `.onnx` file; replaced if it exists.

    Returns:
        The largest difference from PyTorch that was found, as a fraction of a row's length.

    Raises:
        ModuleNotFoundError: if onnx or onnxruntime is not installed (the extra `onnx`).
        ValueError: if the path has another suffix, a modality has no ONNX form, the weights do not fit into one file,
            the encoder has a constant frame rate, or the file gives other numbers than the encoder; nothing is written
            then.
    """
    return write_graph(encoder, path, encoder.config.modalities)


class Head(Protocol):
    """A further part of a graph, which computes outputs from the embeddings."""

    metadata: dict[str, str]  # for the file

    def to_onnx(self, graph: Graph, embedding: str) -> None:
        """Adds the nodes and the outputs, given the name of the (N, D) embeddings."""
        ...

    def difference(self, found: Sequence[np.ndarray], rows: np.ndarray) -> float:
        """The largest difference of its outputs from those that PyTorch's embeddings (N, D) give."""
        ...


def write_graph(encoder: Encoder, path: str | os.PathLike, streams: Sequence[str], head: Head | None = None) -> float:
    """`export_onnx` of some of the streams, with what a head computes from the embedding.

    Args:
        encoder: As `export_onnx`.
        path: As `export_onnx`.
        streams: Names of modalities, in their order in the embedding.
        head: The part whose outputs come before `embedding`, or None.

    Returns:
        The largest difference that was found: that of the embedding, or of the head's outputs.

    Raises:
        ModuleNotFoundError: as `export_onnx`.
        ValueError: as `export_onnx`.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"the suffix of an ONNX file must be .onnx, got {str(path)!r}")
    size = sum(4 * parameter.numel() for parameter in encoder.parameters())
    if size > MAX_BYTES:
        raise ValueError(
            f"the encoder has {size / 1e9:.1f} GB of weights, more than the 2 GB that fit into one ONNX file"
        )
    if encoder.config.preprocess.rate is not None:
        raise ValueError(
            "this encoder takes clips of any length at a constant frame rate, which the ONNX export does not support; "
            "use encoder.stream() or embed()"
        )
    onnx, runtime = optional("onnx", "onnx"), optional("onnxruntime", "onnx")
    encoder = copy.deepcopy(encoder).cpu().float().eval()
    with replacing(path) as file:
        graph = Graph(onnx)
        embedding = _embedding(encoder, graph, streams)
        if head is not None:
            head.to_onnx(graph, embedding)
        sizes = [encoder.network(name).dim for name in streams]
        dim = sum(sizes) if encoder.config.fusion == "concatenate" else sizes[0]
        graph.output("embedding", embedding, [dim], "one row per clip")
        metadata = {
            "config.json": json.dumps(encoder.config.to_dict(), ensure_ascii=False, allow_nan=False),
            "source": "@".join(filter(None, encoder.source)),
            "skelrep": __version__,
        }
        content = graph.model(metadata | ({} if head is None else head.metadata)).SerializeToString()
        difference = _difference(encoder, streams, head, content, runtime)
        if not difference < TOLERANCE:  # NaN is not
            raise ValueError(
                f"the ONNX graph differs from the {'encoder' if head is None else 'classifier'} by {difference:.1e}, "
                f"more than {TOLERANCE:.0e}: not written; please report it with config.json"
            )
        file.write(content)
    return difference


def _embedding(encoder: Encoder, graph: Graph, streams: Sequence[str]) -> str:
    """Adds the inputs and the encoder; returns the name of the embeddings (N, D)."""
    config = encoder.config
    persons, frames, joints = config.preprocess.persons, config.preprocess.frames, len(config.skeleton)
    axes = "clips, persons (all zeros if absent), frames, joints, axes x, y and z; prepared as in config.json"
    joints_of_clips = graph.input("joints", [persons, frames, joints, 3], axes)
    if weighted := _weighted(config.preprocess):
        about = "weight of each person in the clip's embedding, 0 if absent; from prepare_weighted"
        graph.input("weights", [persons], about)
        joints_of_clips = graph("Reshape", joints_of_clips, [-1, 1, frames, joints, 3])  # every person is a clip
    extent = graph("ReduceMax", graph("Abs", joints_of_clips), axes=[2, 3, 4], keepdims=0)
    present = graph("Greater", extent, 0.0)  # (N, M)
    features = []
    for name in streams:
        to_onnx = find_modality(name).to_onnx
        if to_onnx is None:
            raise ValueError(f"the modality {name!r} has no ONNX form: give its entry in MODALITIES a to_onnx")
        poses = to_onnx(graph, joints_of_clips, config.skeleton.parents, frames)
        feature = encoder.network(name).to_onnx(graph, poses, present)
        features.append(_over_persons(graph, feature, encoder.network(name).dim, persons) if weighted else feature)
    return _fused(graph, features, config.fusion)


class Graph:
    """An ONNX graph that is written node by node; every value has a name.

    graph("Add", x, 1.0) adds a node and returns the name of its output.
    """

    FLOAT = 1  # TensorProto.FLOAT, for "Cast"

    def __init__(self, onnx: Any) -> None:
        """An empty graph; `onnx` is the module."""
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, shape: Sequence[int], about: str) -> str:
        """Adds an input, float32 (clips, *shape), and returns its name."""
        self.inputs.append(self._described(name, shape, about, self.onnx.TensorProto.FLOAT))
        return name

    def output(self, name: str, value: str, shape: Sequence[int], about: str, kind: str = "FLOAT") -> None:
        """Makes a value (clips, *shape) an output; `kind` is its type in ONNX's `TensorProto`."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self._described(name, shape, about, getattr(self.onnx.TensorProto, kind)))

    def model(self, metadata: dict[str, str]) -> Any:
        """The model, checked to be well-formed; its results are not checked here."""
        helper = self.onnx.helper
        model = helper.make_model(
            helper.make_graph(self.nodes, "skelrep", self.inputs, self.outputs, self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="skelrep",
            producer_version=__version__,
        )
        helper.set_model_props(model, metadata)
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def _described(self, name: str, shape: Sequence[int], about: str, kind: int) -> Any:
        return self.onnx.helper.make_tensor_value_info(name, kind, ["clips", *shape], about)

    def __call__(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node of one of ONNX's operators (opset 17).

        Args:
            operator: Its name.
            *inputs: Names of values; a number, list or tensor becomes a constant.
            outputs: The number of outputs.
            **attributes: The operator's attributes.

        Returns:
            The name of the output, or a list of names if there are several.
        """
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        made = [f"{operator}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(operator, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any) -> str:
        """A tensor of float32, or of int64."""
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        value = np.asarray(value)
        value = np.ascontiguousarray(value, dtype=np.int64 if value.dtype.kind in "iu" else np.float32)
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def linear(self, module: nn.Linear, x: str) -> str:
        """A linear layer over the last axis."""
        product = self("MatMul", x, module.weight.detach().T)
        return product if module.bias is None else self("Add", product, module.bias)

    def norm(self, module: nn.BatchNorm1d, x: str) -> str:
        """BatchNorm over axis 1; runtimes fold it into the adjacent product."""
        parts = (module.weight, module.bias, module.running_mean, module.running_var)
        return self("BatchNormalization", x, *parts, epsilon=module.eps)


def _weighted(config: PreprocessConfig) -> bool:
    """Whether the graph has the input `weights`; the weight of a single person has no effect."""
    return config.weigh != "equal" and config.persons > 1


def _over_persons(graph: Graph, feature: str, dim: int, persons: int) -> str:
    """Weighted means (N, dim) over persons of features (N M, dim), by the input `weights`; zero without persons."""
    total = graph("Max", graph("ReduceSum", "weights", [1], keepdims=1), 1e-12)
    fractions = graph("Reshape", graph("Div", "weights", total), [-1, persons, 1])
    of_clips = graph("Reshape", feature, [-1, persons, dim])
    return graph("ReduceSum", graph("Mul", of_clips, fractions), [1], keepdims=0)


def _fused(graph: Graph, features: list[str], fusion: str) -> str:
    """`Encoder.fuse`."""
    if fusion == "mean":
        return graph("Mean", *features)
    # The lengths of torch.nn.functional.normalize, with its smallest length.
    lengths = [graph("Max", graph("ReduceL2", feature, axes=[1], keepdims=1), 1e-12) for feature in features]
    return graph("Concat", *(graph("Div", *pair) for pair in zip(features, lengths)), axis=1)


def _difference(encoder: Encoder, streams: Sequence[str], head: Head | None, content: bytes, runtime: Any) -> float:
    """The largest difference between rows of the file and of the encoder, in lengths of a row, for various clips."""
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    preprocess = encoder.config.preprocess
    generator = torch.Generator().manual_seed(0)

    def features(poses: torch.Tensor) -> dict[str, torch.Tensor]:
        every = encoder(poses)
        return {name: every[name] for name in streams}

    worst = []
    for clips in (1, 2, 5):
        shape = (clips, preprocess.persons, preprocess.frames, len(encoder.skeleton), 3)
        steps = torch.randn(shape, generator=generator) / preprocess.frames**0.5
        joints = steps.cumsum(dim=2)  # a random walk is near to motion
        joints[::2, 1:] = 0  # alone
        joints[1::4, :1] *= preprocess.persons == 1  # only the others
        weights = joints.flatten(2).any(dim=2).float()
        if _weighted(preprocess):
            weights = weights * torch.rand(weights.shape, generator=generator).clamp(min=0.01)
        values = {"joints": joints.numpy(), "weights": weights.numpy()}
        *others, found = session.run(None, {taken.name: values[taken.name] for taken in session.get_inputs()})
        with torch.inference_mode():
            expected = embed_prepared(encoder, Prepared(joints, weights), features)
        gap = (torch.from_numpy(found) - expected).abs().amax(dim=1)
        worst.append((gap / torch.linalg.vector_norm(expected, dim=1)).max())
        if head is not None:
            worst.append(torch.tensor(head.difference(others, expected.numpy())))
    return float(torch.stack(worst).max())  # unlike Python's, it keeps NaN
