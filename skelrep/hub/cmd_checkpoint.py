"""Import of training checkpoints of the public CMD code."""

from __future__ import annotations

import os
import re
from pathlib import Path

from torch import Tensor

from skelrep.checkpoints import load_checkpoint
from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.hub.load import assemble
from skelrep.hub.publish import save_pretrained
from skelrep.preprocess_config import CMD_LINE
from skelrep.skeletons import SKELETONS

_CMD_STREAMS = {"joint": "encoder_q", "bone": "encoder_q_bone", "motion": "encoder_q_motion"}


def convert_cmd(checkpoint: str | os.PathLike, folder: str | os.PathLike | None = None) -> Encoder:
    """Imports a training checkpoint in the format of the public CMD code (ECCV 2022, arXiv 2208.12448).

    Its query encoders, one to three of them, become the streams. Projection heads, key encoders, queues and the
    optimiser are needed only in training and are left out. The CMD code runs a "bidirectional" GRU frame by frame, so
    the `*_reverse` weights go to the second forward GRU. Streams are fused by their mean, as with `view="all"` in the
    CMD code; a single stream, such as the joint stream of its kNN protocol, is exactly CMD's feature.

    Args:
        checkpoint: The file, such as `checkpoint_0450.pth.tar`; only tensors and plain containers are unpickled.
        folder: Where to save the encoder with `save_pretrained`; None: not saved.

    Returns:
        The encoder, on the CPU.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not such a checkpoint, or a tensor is missing, unknown, of another shape or not finite.
    """
    checkpoint = Path(checkpoint).expanduser()
    try:
        stored = load_checkpoint(checkpoint)
    except ValueError as error:
        raise ValueError(
            f"{checkpoint} is not a plain PyTorch checkpoint: {error}; save its state_dict alone"
        ) from error
    state = stored.get("state_dict") if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise ValueError(f"{checkpoint} is not a CMD checkpoint: it has no state_dict of named tensors")
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.")  # of DistributedDataParallel
        if re.match(r"encoder_k(_motion|_bone)?\.|queue|encoder_q(_motion|_bone)?\.fc\.", name):
            continue
        name = name.replace(".encoder.input_norm.", ".input_norm.")  # both spellings exist
        if name in tensors:
            raise ValueError(f"{checkpoint} contains {name} twice, with and without a prefix")
        tensors[name] = tensor
    present = tuple(name for name in _CMD_STREAMS if any(key.startswith(_CMD_STREAMS[name] + ".") for key in tensors))
    recurrent = next((tensors.get(f"{_CMD_STREAMS[name]}.encoder.gru.weight_hh_l0") for name in present), None)
    if recurrent is None or recurrent.ndim != 2:
        raise ValueError(
            f"{checkpoint} is not a CMD checkpoint: it has no encoder_q...encoder.gru.weight_hh_l0 (3H x H)"
        )
    layers = {match[1] for name in tensors if (match := re.search(r"\.gru\.weight_ih_l(\d+)$", name))}
    config = EncoderConfig(
        skeleton=SKELETONS["ntu-25"],
        modalities=present,
        preprocess=CMD_LINE,
        backbone=RecurrentConfig(hidden=recurrent.shape[1], layers=max(len(layers), 1)),
        fusion="mean",
        training={
            "recipe": f"CMD (ECCV 2022, arXiv 2208.12448), imported from the training checkpoint {checkpoint.name}.",
            **({"hyper_parameters": {"epoch": stored["epoch"]}} if isinstance(stored.get("epoch"), int) else {}),
        },
    )
    encoder = assemble(config, tensors, str(checkpoint), _cmd_name)
    encoder.source = Source(str(checkpoint))
    if folder is not None:
        save_pretrained(encoder, folder)
    return encoder


def _cmd_name(name: str) -> str:
    """CMD's name of a tensor: encoder_q...bias_hh_l2_reverse for streams.joint.layers.2.1.bias_hh_l0."""
    _, stream, part, *rest = name.split(".")
    if part == "norm":
        return f"{_CMD_STREAMS[stream]}.input_norm.{rest[0]}"
    layer, half, weight = rest
    return f"{_CMD_STREAMS[stream]}.encoder.gru.{weight.removesuffix('0')}{layer}{'_reverse' * int(half)}"
