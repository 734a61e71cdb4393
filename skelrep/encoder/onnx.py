"""Encoders as ONNX files, for runtimes without PyTorch.

The graph is written here node by node rather than traced. PyTorch's exporters differ from version to version in what
they can trace; of those in 2.13 the older one stops at `diff` and `unfold`, and the newer one at a convolution over the
persons who are there, whose number it cannot know beforehand. What is written is compared with the encoder before a
file appears, so that the two cannot drift apart unseen.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from skelrep.encoder.convolution import SMALLEST, TemporalConvolution
from skelrep.encoder.encoder import Encoder
from skelrep.encoder.recurrent import RecurrentConfig, RecurrentStack
from skelrep.files import replacing
from skelrep.messages import optional
from skelrep.version import __version__

OPSET, IR_VERSION = 17, 8  # of 2022; nothing newer is needed
TOLERANCE = 1e-4  # of a row's length; 1e-7 is usual
MOST_BYTES = 2**31 - 2**20  # what protobuf allows a file, less the graph itself


def export_onnx(encoder: Encoder, path: str | os.PathLike) -> float:
    """Writes an encoder as one ONNX file.

    The graph takes `joints`, float32 (clips, M, T, V, 3), what `encoder.prepare` returns: preprocessing is no part of
    it. It derives bones and motion itself, leaves out persons who are absent (all zeros), and gives `embedding`,
    float32 (clips, D): all streams, fused as the config says. The number of clips is free. In the file's metadata are
    `config.json`, which says all of the preprocessing, `source` (the encoder's name and commit) and `skelrep` (the
    version).

    Args:
        encoder: Of either backbone; on any device, and it stays there.
        path: OUT.onnx; replaced if it exists.

    Returns:
        The largest difference from PyTorch that was found, as a share of a row's length.

    Raises:
        ModuleNotFoundError: without onnx or onnxruntime (the extra `onnx`).
        ValueError: if the path ends otherwise, if the weights are more than an ONNX file holds, or if the file gives
            other numbers than the encoder; nothing is written then.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"an ONNX file is called OUT.onnx, got {str(path)!r}")
    size = sum(4 * parameter.numel() for parameter in encoder.parameters())
    if size > MOST_BYTES:
        raise ValueError(f"the encoder has {size / 1e9:.1f} GB of weights, more than the 2 GB that one ONNX file holds")
    onnx, runtime = optional("onnx", "onnx"), optional("onnxruntime", "onnx")
    encoder = copy.deepcopy(encoder).cpu().float().eval()
    with replacing(path) as file:
        content = _model(encoder, onnx).SerializeToString()
        difference = _difference(encoder, content, runtime)
        if not difference < TOLERANCE:  # NaN is not
            raise ValueError(
                f"the ONNX graph differs from the encoder by {difference:.1e} of a row's length, more than "
                f"{TOLERANCE:.0e}: not written; please report it with config.json"
            )
        file.write(content)
    return difference


def _model(encoder: Encoder, onnx: Any) -> Any:
    """The model; that it is well-formed is checked, not what it computes."""
    config = encoder.config
    persons, frames, joints = config.preprocess.persons, config.preprocess.frames, len(config.skeleton)
    float32 = onnx.TensorProto.FLOAT
    shape = ["clips", persons, frames, joints, 3]
    axes = "clips, persons (an absent one is all zeros), frames, joints, axes x, y and z; prepared as config.json says"
    graph = _Graph(onnx)
    present, rows = _joints(graph, encoder)
    features = []
    for name in config.modalities:
        network: Any = encoder.streams[name]
        view = _modality(graph, name, rows, config.skeleton.parents, frames)
        if isinstance(network, RecurrentStack):
            features.append(_recurrent(graph, network, view, persons * joints * 3))
        else:
            features.append(_convolution(graph, network, view, present, persons))
    _fuse(graph, features, config.fusion)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "skelrep",
            [onnx.helper.make_tensor_value_info("joints", float32, shape, axes)],
            [onnx.helper.make_tensor_value_info("embedding", float32, ["clips", encoder.dim], "one row a clip")],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="skelrep",
        producer_version=__version__,
    )
    source = "@".join(filter(None, encoder.source))
    text = json.dumps(config.to_dict(), ensure_ascii=False, allow_nan=False)
    onnx.helper.set_model_props(model, {"config.json": text, "source": source, "skelrep": __version__})
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants in the order in which they are asked for; values are known by their names."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; an input that is no name is a constant. Returns the name of its output, or of several."""
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

    def norm(self, module: nn.BatchNorm1d, x: str) -> str:
        """BatchNorm over axis 1; runtimes put it into the product beside it."""
        parts = (module.weight, module.bias, module.running_mean, module.running_var)
        return self("BatchNormalization", x, *parts, epsilon=module.eps)


def _joints(graph: _Graph, encoder: Encoder) -> tuple[str, str]:
    """Which of all persons are present, (N x M,), and the poses that the streams see: (rows, T, V, 3) or (N, M, ...).

    Convolutions see a row for each person who is there, and so absent ones cost nothing.
    """
    present = graph("ReduceMax", graph("Abs", "joints"), axes=[2, 3, 4], keepdims=0)
    present = graph("Reshape", graph("Greater", present, 0.0), [-1])
    if isinstance(encoder.config.backbone, RecurrentConfig):
        return present, "joints"
    preprocess = encoder.config.preprocess
    everybody = graph("Reshape", "joints", [-1, preprocess.frames, len(encoder.skeleton), 3])
    return present, graph("Compress", everybody, present, axis=0)


def _modality(graph: _Graph, name: str, joints: str, parents: tuple[int, ...], frames: int) -> str:
    """`skelrep.encoder.modalities.modality` of (..., T, V, 3)."""
    if name == "bone":
        return graph("Sub", joints, _gather(graph, joints, parents, axis=-2))
    if name == "motion":
        following = [*range(1, frames), frames - 1]
        return graph("Sub", _gather(graph, joints, following, axis=-3), joints)
    return joints


def _gather(graph: _Graph, values: str, indices: Any, axis: int) -> str:
    return graph("Gather", values, list(indices), axis=axis)


def _convolution(graph: _Graph, network: TemporalConvolution, view: str, present: str, persons: int) -> str:
    """`TemporalConvolution.forward`: (R, T, V, 3) of all who are present to (N, dim)."""
    width, kernel, stride = network.entry.out_features, network.kernel, network.stride
    x = graph("Reshape", view, [0, 0, network.norm.num_features])
    x = graph("Transpose", x, perm=[0, 2, 1])  # (R, 3V, T)
    weight = network.entry.weight.unflatten(1, (kernel, -1)).transpose(1, 2)
    ends = [kernel // 2] * 2
    x = graph("Conv", graph.norm(network.norm, x), weight, network.entry.bias, strides=[stride], pads=ends)
    for block in network.blocks:
        parts: Any = block
        y = graph("Conv", x, parts.time.weight[..., 0], group=width, pads=ends)
        y = graph.norm(parts.time_norm, y)
        y = graph("Relu", graph("Conv", y, parts.expand.weight[..., None], parts.expand.bias))
        x = graph("Add", x, graph.norm(parts.norm, graph("Conv", y, parts.reduce.weight[..., None])))
    averages = graph("Transpose", graph("MatMul", x, network.windows.T), perm=[0, 2, 1])  # (R, spans, width)
    averages = graph("Reshape", averages, [0, len(network.windows) * width])
    x = graph("Concat", averages, _spread(graph, x, network.spread), axis=1) if network.spread else averages
    # Back to a row for each person, zero for the absent ones, for the sum over persons.
    there = graph("Transpose", graph("NonZero", present), perm=[1, 0])  # (R, 1)
    size = graph("Concat", graph("Shape", present), [network.dim], axis=0)
    x = graph("ScatterND", graph("Expand", 0.0, size), there, x)
    x = graph("ReduceSum", graph("Reshape", x, [-1, persons, network.dim]), [1], keepdims=0)
    count = graph("Reshape", graph("Cast", present, to=graph.onnx.TensorProto.FLOAT), [-1, persons])
    return graph("Div", x, graph("Max", graph("ReduceSum", count, [1], keepdims=1), 1.0))


def _spread(graph: _Graph, x: str, weight: float) -> str:
    """The weighted standard deviation over time of (R, width, T)."""
    deviation = graph("Sub", x, graph("ReduceMean", x, axes=[2], keepdims=1))
    variance = graph("ReduceMean", graph("Mul", deviation, deviation), axes=[2], keepdims=0)
    return graph("Mul", graph("Sqrt", graph("Add", variance, SMALLEST)), weight)


def _recurrent(graph: _Graph, network: RecurrentStack, view: str, features: int) -> str:
    """`RecurrentStack.forward`: (N, M, T, V, 3) to (N, dim)."""
    x = graph("Transpose", view, perm=[0, 3, 4, 1, 2])  # (N, V, 3, M, T): the person index is the fastest of the pose
    x = graph.norm(network.norm, graph("Reshape", x, [0, features, -1]))
    x = graph("Transpose", x, perm=[2, 0, 1])  # (T, N, features)
    last = ""
    for layer in network.layers:
        grus: Any = layer
        pairs = [_gru(graph, gru, x) for gru in grus]
        x = graph("Squeeze", graph("Concat", *(every for every, _ in pairs), axis=-1), [1])  # (T, N, dim)
        last = graph("Squeeze", graph("Concat", *(end for _, end in pairs), axis=-1), [0])  # (N, dim)
    return last


def _gru(graph: _Graph, gru: Any, x: str) -> list[str]:
    """One forward GRU over (T, N, inputs): all its states (T, 1, N, hidden), and the last (1, N, hidden)."""

    def ordered(rows: torch.Tensor) -> torch.Tensor:  # PyTorch has the gates as r, z, n; ONNX as z, r, n
        r, z, n = rows.chunk(3)
        return torch.cat([z, r, n])

    inputs, states = ordered(gru.weight_ih_l0)[None], ordered(gru.weight_hh_l0)[None]
    bias = torch.cat([ordered(gru.bias_ih_l0), ordered(gru.bias_hh_l0)])[None]
    options = {"hidden_size": gru.hidden_size, "linear_before_reset": 1}
    return graph("GRU", x, inputs, states, bias, outputs=2, **options)


def _fuse(graph: _Graph, features: list[str], fusion: str) -> None:
    """`Encoder.fuse`, under the name of the output."""
    if fusion == "mean":
        fused = graph("Mean", *features)
    else:
        # Lengths as torch.nn.functional.normalize takes them, with its smallest one.
        lengths = [graph("Max", graph("ReduceL2", feature, axes=[1], keepdims=1), 1e-12) for feature in features]
        fused = graph("Concat", *(graph("Div", *pair) for pair in zip(features, lengths)), axis=1)
    graph.nodes.append(graph.onnx.helper.make_node("Identity", [fused], ["embedding"]))


def _difference(encoder: Encoder, content: bytes, runtime: Any) -> float:
    """How far the file's rows are from the encoder's at most, in lengths of a row, over clips of all kinds."""
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    preprocess = encoder.config.preprocess
    generator = torch.Generator().manual_seed(0)
    worst = []
    for clips in (1, 2, 5):
        shape = (clips, preprocess.persons, preprocess.frames, len(encoder.skeleton), 3)
        steps = torch.randn(shape, generator=generator) / preprocess.frames**0.5
        joints = steps.cumsum(dim=2)  # a random walk is near to motion
        joints[::2, 1:] = 0  # alone
        joints[1::4, :1] *= preprocess.persons == 1  # only the others
        [found] = session.run(["embedding"], {"joints": joints.numpy()})
        with torch.inference_mode():
            expected = encoder.fuse(encoder(joints))
        gap = (torch.from_numpy(found) - expected).abs().amax(dim=1)
        worst.append((gap / torch.linalg.vector_norm(expected, dim=1)).max())
    return float(torch.stack(worst).max())  # unlike Python's, it keeps NaN
