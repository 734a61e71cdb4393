"""The encoder: preprocessing, a backbone for each modality, and fusion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from skelrep.causal import Stepped, most_steps, prepare_causal
from skelrep.cleaning import warn_of_first_frames
from skelrep.encoder.backbone import Backbone, PerFrame, unpacked
from skelrep.encoder.config import EncoderConfig
from skelrep.encoder.inference import PersonEmbeddings, embed_batches, embed_persons
from skelrep.encoder.modalities import modality
from skelrep.encoder.streaming import EmbeddingStream
from skelrep.missing import Zeros
from skelrep.poses import Poses, as_poses
from skelrep.preprocess import Prepared, kept_frames, prepare_weighted
from skelrep.preprocess_config import PreprocessConfig
from skelrep.skeletons import Skeleton, resolve

MAX_PARAMETERS = 2_000_000_000  # 30 times CMD's three streams; a config that needs more is a mistake or an attack
MAX_INPUTS = 10_000_000  # numbers per clip, a thousand times CMD's 9600; a batch of 64 still fits into memory


class Source(NamedTuple):
    """Where an encoder's weights came from."""

    name: str  # bundled name, folder or Hub id
    commit: str | None = None  # of the Hub repository


class Encoder(nn.Module):
    """Computes embeddings of clips.

    `skelrep.load_pretrained` returns a trained encoder; `Encoder(config)` has random weights. An encoder is in
    evaluation mode until `train()` is called.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Builds the network that a config describes, with random weights.

        Raises:
            ValueError: if its sizes are too large or do not fit each other.
        """
        super().__init__()
        self.config = config
        self.source = Source("untrained")
        if (size := _count(config)) > MAX_PARAMETERS:
            raise ValueError(f"the config asks for {size:.1e} parameters, more than {MAX_PARAMETERS:.0e}: refused")
        if (size := 3 * len(config.skeleton) * config.preprocess.frames * config.preprocess.persons) > MAX_INPUTS:
            raise ValueError(f"the config asks for {size:.1e} numbers a clip, more than {MAX_INPUTS:.0e}: refused")
        self.streams = nn.ModuleDict({name: _build(config) for name in config.modalities})
        if config.preprocess.rate is not None and not all(self.network(name).causal for name in config.modalities):
            raise ValueError(f"rate={config.preprocess.rate:g} needs a causal backbone, which {config.kind} is not")
        self.eval()

    def forward(self, poses: Annotated[Tensor, "N M T V 3"]) -> dict[str, Tensor]:
        """Features of prepared clips, computed by the modules themselves, with gradients and the caller's autocast.

        Args:
            poses: (N, M, T, V, 3), as `prepare` returns them, with the encoder's M, T and V.

        Returns:
            For each modality a tensor (N, dim of the stream).
        """
        present, parents = persons_present(poses), self.config.skeleton.parents
        return {name: network(modality(name, poses, parents), present) for name, network in self.streams.items()}

    def features(
        self,
        poses: Annotated[Tensor, "N M T V 3"],
        streams: Sequence[str],
        precision: str = "float32",
        lengths: Annotated[Tensor, "N"] | None = None,
    ) -> dict[str, Tensor]:
        """`forward` for inference, without gradients, for some of the streams.

        Args:
            poses: As `forward` takes them.
            streams: Names of modalities.
            precision: Precision of the matrix products; one of `skelrep.matmul.PRECISIONS`. On a CPU, weights are
                packed, and the packed copy is kept until a weight changes; it takes as much memory as the weights.
            lengths: Number of frames of each clip, if they differ; only for causal networks.

        Raises:
            ValueError: for int8 on a device that is not a CPU.
        """
        present, parents = persons_present(poses), self.config.skeleton.parents
        if precision == "int8" or poses.device.type == "cpu":
            networks = self.packed(streams, precision)
        else:
            networks = {name: unpacked(self.streams[name], precision) for name in streams}
        inputs = {name: (modality(name, poses, parents), present) for name in streams}
        return {name: networks[name](*inputs[name], *([] if lengths is None else [lengths])) for name in streams}

    def per_frame(
        self, poses: Annotated[Tensor, "N M T V 3"], streams: Sequence[str], precision: str = "float32"
    ) -> dict[str, Tensor]:
        """Features per frame, for inference: for each stream (N, S, D), at S equal steps of the T prepared frames.

        Args:
            poses: As `forward` takes them.
            streams: Names of modalities.
            precision: "float32" or "bfloat16".

        Raises:
            ValueError: if the backbone has no features per frame, or for int8.
        """
        present, parents = persons_present(poses), self.config.skeleton.parents
        features = {}
        for name in streams:
            network = self.network(name)
            if not isinstance(network, PerFrame):
                raise ValueError(f"a {self.config.kind} backbone has no features per frame; embed windows instead")
            features[name] = unpacked(network.per_frame, precision)(modality(name, poses, parents), present)
        return features

    def frame_positions(self, poses: Poses, steps: int) -> np.ndarray:
        """The frames that the rows of `embed(..., per_frame=True)` belong to.

        Args:
            poses: The N clips that were embedded.
            steps: S, rows per clip: the second axis of the embeddings.

        Returns:
            (N, S) float64 positions in frames of each clip. They are not whole numbers, because clips are resampled to
            the encoder's frames; divide them by `poses.fps` for seconds. With a constant frame rate, the rows after the
            end of a clip belong to its last frame.
        """
        config = self.config.preprocess
        first, kept = np.array([kept_frames(clip, config) for clip in poses.clips]).T[:, :, None]
        if config.rate is not None:
            position = np.arange(steps) * frames_per_second(poses.fps, config.rate) / config.rate
            return np.minimum(first + position, [[clip.shape[1] - 1] for clip in poses.clips])
        resampled = np.arange(steps) * config.frames // steps
        return first + np.clip((resampled + 0.5) * kept / config.frames - 0.5, 0, kept - 1)

    def most_steps(self, poses: Poses) -> int | None:
        """The number of rows per clip of `embed(..., per_frame=True)` if the frame rate is constant, else None."""
        config = self.config.preprocess
        if config.rate is None:
            return None
        return most_steps(poses.clips, config, frames_per_second(poses.fps, config.rate))

    def network(self, name: str) -> Backbone:
        """The network of a stream."""
        return cast(Backbone, self.streams[name])

    def packed(self, streams: Sequence[str], precision: str) -> dict[str, Any]:
        """Packed networks of some of the streams, with the current weights; see `Backbone.packed`."""
        kept = self.__dict__.setdefault("_packed_streams", {})
        for name in streams:
            weights = [*self.streams[name].parameters(), *self.streams[name].buffers()]
            # A tensor created in inference mode has no version, so a change of it could not be noticed.
            state = None if any(w.is_inference() for w in weights) else [(w.data_ptr(), w._version) for w in weights]
            if state is None or kept.get((name, precision), (None,))[0] != state:
                kept[name, precision] = state, self.network(name).packed(precision)
        return {name: kept[name, precision][1] for name in streams}

    def __getstate__(self) -> dict[str, Any]:
        """The state to copy and to pickle, without packed weights and without the state of running `embed` calls."""
        left_out = "_packed_streams", "_embedding", "_before"
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def prepare(self, poses: Poses, device: torch.device | str | None = None) -> Annotated[Tensor, "N M T V 3"]:
        """Preprocesses raw poses as the config says: (N, M, T, V, 3), the input of `forward`.

        Raises:
            ValueError: for an encoder of a constant frame rate; if the skeleton cannot be mapped, or if no person in a
                clip has two of the encoder's joints.
        """
        if self.config.preprocess.rate is not None:
            raise ValueError(
                "this encoder takes clips of any length at a constant frame rate, but fine-tuning needs inputs of a "
                "fixed size; use embed(), or another encoder"
            )
        return self.prepare_weighted(poses, device).poses

    def prepare_weighted(
        self, poses: Poses, device: torch.device | str | None = None, config: PreprocessConfig | None = None
    ) -> Prepared:
        """`prepare`, with the weights of persons; `config` replaces the encoder's own preprocessing."""
        config, device = config or self.config.preprocess, device or self.device
        if config.rate is not None:
            stepped = self.prepare_stepped(poses, device, config)
            return Prepared(stepped.poses, stepped.weights[..., -1])
        prepared = prepare_weighted(poses.clips, poses.skeleton, self.config.skeleton, config, device)
        check_seen(prepared.poses, poses)
        return prepared

    def prepare_stepped(
        self, poses: Poses, device: torch.device | str | None = None, config: PreprocessConfig | None = None
    ) -> Stepped:
        """`prepare_weighted` for an encoder of a constant frame rate.

        Raises:
            ValueError: as `prepare`, and for poses without fps.
        """
        config, device = config or self.config.preprocess, device or self.device
        assert config.rate is not None
        fps = frames_per_second(poses.fps, config.rate)
        stepped = prepare_causal(poses.clips, poses.skeleton, self.config.skeleton, config, fps, device)
        check_seen(stepped.poses, poses)
        return stepped

    def fuse(self, features: dict[str, Tensor]) -> Tensor:
        """Fuses the streams' features (..., dim) into one vector (..., D), as the config's `fusion` says."""
        parts = list(features.values())
        if self.config.fusion == "mean":
            return torch.stack(parts).mean(dim=0)
        return torch.cat([nn.functional.normalize(part, dim=-1) for part in parts], dim=-1)

    def embed(
        self,
        poses: Any,
        *,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        layout: str | None = None,
        fps: float | None = None,
        zeros: Zeros | None = None,
        scale: float | Sequence[float] | None = None,
        channels: str | None = None,
        window: float | None = None,
        stride: float | None = None,
        **options: Any,
    ) -> np.ndarray:
        """`skelrep.embed` for poses in memory; arguments, result and errors are the same."""
        poses = as_poses(poses, skeleton=skeleton, layout=layout, fps=fps, zeros=zeros, scale=scale, channels=channels)
        warn_of_first_frames(poses)
        if window is not None:
            poses = poses.windows(window, stride)
        elif stride is not None:
            raise ValueError("stride= needs window=, the length of a window in seconds")
        return embed_batches(self, poses, **options)

    def embed_persons(
        self,
        poses: Any,
        *,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        layout: str | None = None,
        fps: float | None = None,
        zeros: Zeros | None = None,
        scale: float | Sequence[float] | None = None,
        channels: str | None = None,
        **options: Any,
    ) -> PersonEmbeddings:
        """`skelrep.embedding.embed_persons` for poses in memory; arguments, result and errors are the same."""
        return embed_persons(
            self,
            as_poses(poses, skeleton=skeleton, layout=layout, fps=fps, zeros=zeros, scale=scale, channels=channels),
            **options,
        )

    def stream(self, skeleton: Skeleton | str | Sequence[str] | None = None, **options: Any) -> EmbeddingStream:
        """Frame-by-frame embedding; see `skelrep.encoder.EmbeddingStream`."""
        return EmbeddingStream(self, resolve(skeleton or self.config.skeleton), **options)

    @property
    def skeleton(self) -> Skeleton:
        """The encoder's own skeleton."""
        return self.config.skeleton

    @property
    def dim(self) -> int:
        """D, the number of dimensions of an embedding of all streams."""
        sizes = [self.network(name).dim for name in self.config.modalities]
        return sum(sizes) if self.config.fusion == "concatenate" else sizes[0]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def fingerprint(self) -> str:
        """SHA-256 of the weights and of everything in the config that decides an embedding, 64 hexadecimal digits.

        Encoders of one fingerprint give the same embeddings, wherever they were loaded from. Notes about the training
        and the device are not part of it.

        Examples:
            >>> load_pretrained("i2md-small").fingerprint() == load_pretrained("i2md-small").fingerprint()
            True
        """
        digest = hashlib.sha256(json.dumps(self.config.numerical(), sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        """Name, commit, backbone, streams, input and size on one line."""
        size = sum(parameter.numel() for parameter in self.parameters())
        commit = f"@{self.source.commit[:8]}" if self.source.commit else ""
        return (
            f"Encoder({self.source.name}{commit}: {self.config.kind}, {'+'.join(self.config.modalities)}, "
            f"{self.skeleton.name} x {self.config.preprocess.timing} -> {self.dim}, "
            f"{size / 1e6:.2f} M parameters, {self.device})"
        )


def frames_per_second(fps: float | None, rate: float) -> float:
    """The frame rate of the input of an encoder of a constant rate; raises a ValueError if it is not known."""
    if fps is None:
        raise ValueError(
            f"this encoder takes {rate:g} frames per second, but that of the poses is not known; give it with fps="
        )
    return fps


def check_seen(prepared: Annotated[Tensor, "N M T V 3"], poses: Poses) -> None:
    """Raises a ValueError with the ids of the clips in which nobody is seen."""
    seen = persons_present(prepared).any(dim=1).tolist()
    if empty := [name for name, found in zip(poses.ids, seen) if not found]:
        raise ValueError(
            f"nobody is seen in {len(empty)} of {len(poses)} clips: {', '.join(empty[:5])}"
            f"{', ...' if len(empty) > 5 else ''}; remove these clips"
        )


def persons_present(prepared: Annotated[Tensor, "N M T V 3"]) -> Annotated[Tensor, "N M"]:
    """Which persons of (N, M, T, V, 3) prepared clips are present, (N, M); an absent person is all zeros."""
    if prepared.device.type == "cpu" and not torch.compiler.is_compiling():
        present = prepared[:, :, 0].flatten(2).abs().amax(dim=2) > 0
        if present.all():  # as nearly always
            return present
    return prepared.flatten(2).abs().amax(dim=2) > 0


def _build(config: EncoderConfig) -> nn.Module:
    """The network of one stream."""
    preprocess = config.preprocess
    return config.backbone.build(len(config.skeleton), preprocess.persons, preprocess.frames)


def _count(config: EncoderConfig) -> int:
    """The number of weights, counted without allocating memory."""
    try:
        with torch.device("meta"):
            network = _build(config)
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes whose product exceeds torch's integers
        raise ValueError(f"no network can be built from {config.backbone}: {error}") from error
    tensors = [*network.parameters(), *network.buffers()]
    return len(config.modalities) * sum(tensor.numel() for tensor in tensors)
