"""Embedding of a live stream, frame by frame, with a causal encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import normalise
from skelrep.causal import LivePreparation
from skelrep.encoder.backbone import CausalNetwork
from skelrep.encoder.device import threads_for
from skelrep.encoder.inference import check_precision, chosen_streams
from skelrep.encoder.modalities import find_modality, modality
from skelrep.missing import absent_as_nan
from skelrep.skeletons import Skeleton, mapping

if TYPE_CHECKING:
    from skelrep.encoder.encoder import Encoder


class EmbeddingStream:
    """Embeds a live stream: each call takes a frame and returns the embedding so far, at constant cost per frame.

    This is exact for an encoder of a constant frame rate (`rate` in its preprocessing), such as i2md-stream: after t
    frames, the embedding equals that of a clip of these t frames. Frames are resampled to the rate of the encoder, so
    the embedding may stay the same for some of them.

    It also works for the encoders of the paper's recipes, without the steps that need future frames: there is no
    resampling or cropping, so the frame rate should be about that of the encoder's training clips, and a joint that is
    not seen keeps its last position.

        stream = encoder.stream(skeleton="ntu-25", fps=30)
        for frame in camera:            # (M, V, 3) or (V, 3)
            embedding = stream.step(frame)
    """

    def __init__(
        self,
        encoder: Encoder,
        skeleton: Skeleton,
        streams: str | Sequence[str] | None = None,
        precision: str = "float32",
        fps: float | None = None,
    ) -> None:
        """Starts a stream without frames.

        Args:
            encoder: The encoder; its current weights are used.
            skeleton: The skeleton of the frames.
            streams: Some of the encoder's streams; by default all.
            precision: Precision of the matrix products, as in `embed`. The time per frame is the time to read all
                weights; bfloat16 halves their size, int8 quarters it.
            fps: Frames per second of the stream; only an encoder of a constant frame rate needs it.

        Raises:
            ValueError: if the encoder's backbone is not causal (embed windows instead), if its normalisation needs the
                whole clip, if the skeleton cannot be mapped, or if fps is missing.
        """
        preprocess = encoder.config.preprocess
        names = chosen_streams(encoder, streams)
        causal = all(encoder.network(name).causal for name in names)
        one_input = preprocess.persons == 1 or getattr(encoder.config.backbone, "persons", "together") == "together"
        first_frame = preprocess.align == "first" and preprocess.scale is None and one_input
        if not causal or not (first_frame or preprocess.rate is not None):
            raise ValueError(
                "this encoder needs whole clips and cannot be streamed; embed the last seconds repeatedly with "
                "embed(frames, encoder), or embed a recording with window= and stride=, or use the encoder i2md-stream"
            )
        if whole := [name for name in names if find_modality(name).lookahead is None]:
            raise ValueError(
                f"the modality {whole[0]!r} cannot be streamed: its entry in MODALITIES has no lookahead, so a frame "
                "may depend on any other; pass other streams=, or embed windows"
            )
        check_precision(precision)
        self.networks: dict[str, CausalNetwork] = encoder.packed(names, precision)
        self.encoder, self.device = encoder, encoder.device
        self.skeleton = skeleton
        self.preparation: LivePreparation | _FirstFrame
        if preprocess.rate is None:
            self.preparation = _FirstFrame(encoder, skeleton)
        elif fps is None or not 0 < fps < float("inf"):
            raise ValueError(
                f"this encoder takes {preprocess.rate:g} frames per second; give those of the stream with fps=, a "
                f"finite number above 0, got {fps}"
            )
        else:
            self.preparation = LivePreparation(skeleton, encoder.skeleton, preprocess, fps, self.device)
        self.inputs: dict[int, _Input] = {}  # by person; 0 if all persons are one input
        self.row: np.ndarray | None = None
        # Only an encoder of a constant frame rate takes two-dimensional frames; then all frames must be.
        self.channels: int | None = None if preprocess.rate is not None else 3

    @torch.inference_mode()
    def step(self, frame: Any) -> np.ndarray | None:
        """Adds one frame and returns the embedding so far.

        Args:
            frame: (M, V, 3) or (V, 3); NaN for a joint that was not seen, which then keeps its last position. For an
                encoder of a constant frame rate, all frames may have two coordinates instead of three.

        Returns:
            (D,) float32, the embedding so far; None until somebody has been seen.

        Raises:
            ValueError: for a frame of another shape.
        """
        with threads_for(1, self.device):
            return self._embedded(frame)

    def _embedded(self, frame: Any) -> np.ndarray | None:
        pose = np.array(frame, dtype=np.float32)
        pose = pose[None] if pose.ndim == 2 else pose
        persons = self.encoder.config.preprocess.persons
        channels = self.channels or (pose.shape[2] if pose.ndim == 3 and pose.shape[2] == 2 else 3)
        if pose.shape[1:] != (len(self.skeleton), channels) or not 1 <= len(pose) <= persons or np.isinf(pose).any():
            raise ValueError(
                f"a frame must be (persons, {len(self.skeleton)} joints of {self.skeleton.name!r}, {channels}) with at "
                f"most {persons} persons and no infinity, got {pose.shape}"
            )
        self.channels = channels
        due = self.preparation.step(absent_as_nan(pose))
        if not due:
            return self.row
        for prepared in due:
            for index, current in prepared.items():
                if index not in self.inputs:
                    self.inputs[index] = _Input(self.networks, self.encoder.skeleton.parents)
                self.inputs[index].advance(current[None])
        features, *others = (each.features for each in self.inputs.values())
        if others:
            weights = self.preparation.weights()[list(self.inputs)]
            shares = torch.from_numpy(weights / weights.sum()).to(self.device)[None]
            features = {
                name: shares @ torch.cat([rows, *(row[name] for row in others)]) for name, rows in features.items()
            }
        self.row = self.encoder.fuse(features)[0].cpu().numpy()
        return self.row


class _Input:
    """The networks' states after the frames so far of what they take as one input: one person, or all of them."""

    def __init__(self, networks: dict[str, CausalNetwork], parents: Sequence[int]) -> None:
        self.networks, self.parents = networks, parents
        self.states = {name: network.start(1) for name, network in networks.items()}
        self.previous: Tensor | None = None  # (1, M, W, 3)
        self.features: dict[str, Tensor] = {}

    def advance(self, current: Tensor) -> None:
        """Adds a prepared frame (1, M, W, 3)."""
        for name in self.networks:
            self.features[name] = self._advance(name, current)
        self.previous = current

    def _advance(self, name: str, current: Tensor) -> Tensor:
        network, kind = self.networks[name], find_modality(name)
        if kind.lookback:
            frames = torch.stack([current if self.previous is None else self.previous, current], dim=2)
            values = modality(name, frames, self.parents)[:, :, 1:]
            feature, self.states[name] = network.step(values, self.states[name])
            return feature
        if kind.lookahead:
            # The value of a frame is known only when the next frame arrives. So the state lags one frame behind; the
            # last frame, which has no next one, is evaluated but does not change the state.
            if self.previous is None:
                return network.step(modality(name, current[:, :, None], self.parents), self.states[name])[0]
            frames = torch.stack([self.previous, current], dim=2)
        else:
            frames = current[:, :, None]
        feature, self.states[name] = network.step(modality(name, frames, self.parents), self.states[name])
        return feature


class _FirstFrame:
    """Preparation by the orientation of the first frame, as in the paper's recipes, without resampling and cropping."""

    def __init__(self, encoder: Encoder, skeleton: Skeleton) -> None:
        self.config, self.target = encoder.config.preprocess, encoder.skeleton
        self.matrix = torch.from_numpy(mapping(skeleton, encoder.skeleton)).to(encoder.device)
        self.first: Tensor | None = None  # (M, V, 3) the first frame, which defines the orientation
        self.last_seen: Tensor | None = None  # (M, V, 3) the last position of every joint

    def step(self, pose: np.ndarray) -> list[dict[int, Tensor]]:
        """Adds a frame (M, V, 3); returns it prepared, (M, W, 3), under the index 0, once somebody has been seen."""
        seen = torch.from_numpy(pose).to(self.matrix.device)
        seen = torch.cat([seen, seen.new_full((self.config.persons - len(seen), *seen.shape[1:]), torch.nan)])
        if self.last_seen is not None:
            seen = torch.where(seen.isnan().any(dim=-1, keepdim=True), self.last_seen, seen)
        if seen.isnan().all():
            return []
        self.last_seen = seen
        if self.first is None:
            self.first = seen
        visible = [i for i in range(len(seen)) if not self.first[i].isnan().all()]
        leaders = torch.full((len(seen),), visible[0]) if not self.config.per_person else None
        prepared = normalise(seen[:, None], self.matrix, self.target, self.config, first=self.first, leaders=leaders)
        return [{0: prepared[:, 0]}]

    def weights(self) -> np.ndarray:
        """All persons are one input."""
        return np.ones(1, np.float32)
