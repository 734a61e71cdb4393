"""Embedding of a live stream, frame by frame, with a causal encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skelrep.alignment import normalise
from skelrep.encoder.backbone import CausalNetwork
from skelrep.encoder.inference import check_precision, chosen_streams
from skelrep.encoder.modalities import find_modality, modality
from skelrep.missing import absent_as_nan
from skelrep.skeletons import Skeleton, mapping

if TYPE_CHECKING:
    from skelrep.encoder.encoder import Encoder


class EmbeddingStream:
    """Embeds a live stream: each call takes a frame and returns the embedding so far, at constant cost per frame.

    This is exact for a causal backbone: after t frames, the embedding equals that of a prepared clip of these t frames.
    Steps that need future frames are left out. There is no resampling or cropping, so the frame rate should be about
    that of the encoder's training clips. Gaps are not interpolated, so a joint that is not seen keeps its last
    position. Before the first frame in which somebody is seen, the orientation is unknown and the embedding is None.

        stream = encoder.stream(skeleton="ntu-25")
        for frame in camera:            # (M, V, 3) or (V, 3)
            embedding = stream.step(frame)
    """

    def __init__(
        self,
        encoder: Encoder,
        skeleton: Skeleton,
        streams: str | Sequence[str] | None = None,
        precision: str = "float32",
    ) -> None:
        """Starts a stream without frames.

        Args:
            encoder: The encoder; its current weights are used.
            skeleton: The skeleton of the frames.
            streams: Some of the encoder's streams; by default all.
            precision: Precision of the matrix products, as in `embed`. The time per frame is the time to read all
                weights; bfloat16 halves their size, int8 quarters it.

        Raises:
            ValueError: if the encoder's backbone is not causal (embed windows instead), if its normalisation needs the
                whole clip, or if the skeleton cannot be mapped.
        """
        preprocess = encoder.config.preprocess
        names = chosen_streams(encoder, streams)
        causal = all(encoder.network(name).causal for name in names)
        if not causal or preprocess.align != "first" or preprocess.scale is not None:
            raise ValueError(
                "this encoder needs whole clips and cannot be streamed; embed the last seconds repeatedly with "
                "embed(frames, encoder), or embed a recording with window= and stride="
            )
        if whole := [name for name in names if find_modality(name).lookahead is None]:
            raise ValueError(
                f"the modality {whole[0]!r} cannot be streamed: its entry in MODALITIES has no lookahead, so a frame "
                "may depend on any other; pass other streams=, or embed windows"
            )
        check_precision(precision)
        self.networks: dict[str, CausalNetwork] = encoder.packed(names, precision)
        self.encoder = encoder
        self.skeleton = skeleton
        self.matrix = torch.from_numpy(mapping(skeleton, encoder.skeleton)).to(encoder.device)
        with torch.inference_mode():
            self.states = {name: network.start(1) for name, network in self.networks.items()}
        self.first: torch.Tensor | None = None  # (M, V, 3) the first frame, which defines the orientation
        self.last_seen: torch.Tensor | None = None  # (M, V, 3) the last position of every joint
        self.previous: torch.Tensor | None = None  # (1, M, W, 3) the previous frame, prepared

    @torch.inference_mode()
    def step(self, frame: Any) -> np.ndarray | None:
        """Adds one frame and returns the embedding so far.

        Args:
            frame: (M, V, 3) or (V, 3); NaN for a joint that was not seen, which then keeps its last position.

        Returns:
            (D,) float32, the embedding so far; None until somebody has been seen.

        Raises:
            ValueError: for a frame of another shape.
        """
        pose = np.array(frame, dtype=np.float32)
        pose = pose[None] if pose.ndim == 2 else pose
        persons = self.encoder.config.preprocess.persons
        if pose.shape[1:] != (len(self.skeleton), 3) or not 1 <= len(pose) <= persons or np.isinf(pose).any():
            raise ValueError(
                f"a frame must be (persons, {len(self.skeleton)} joints of {self.skeleton.name!r}, 3) with at most "
                f"{persons} persons and no infinity, got {pose.shape}"
            )
        seen = torch.from_numpy(absent_as_nan(pose)).to(self.encoder.device)
        seen = torch.cat([seen, seen.new_full((persons - len(seen), *seen.shape[1:]), torch.nan)])
        if self.last_seen is not None:
            missing = seen.isnan().any(dim=-1, keepdim=True)
            seen = torch.where(missing, self.last_seen, seen)
        if seen.isnan().all():
            return None
        self.last_seen = seen
        if self.first is None:
            self.first = seen
        config = self.encoder.config.preprocess
        visible = [i for i in range(persons) if not self.first[i].isnan().all()]
        leaders = torch.full((persons,), visible[0]) if not config.per_person else None
        prepared = normalise(
            seen[:, None], self.matrix, self.encoder.skeleton, config, first=self.first, leaders=leaders
        )
        current = prepared[None, :, 0]  # (1, M, W, 3)
        features = {name: self._advance(name, current) for name in self.networks}
        self.previous = current
        return self.encoder.fuse(features)[0].cpu().numpy()

    def _advance(self, name: str, current: torch.Tensor) -> torch.Tensor:
        network, parents = self.networks[name], self.encoder.skeleton.parents
        if find_modality(name).lookahead:
            # The value of a frame is known only when the next frame arrives. So the state lags one frame behind; the
            # last frame, which has no next one, is evaluated but does not change the state.
            if self.previous is None:
                return network.step(modality(name, current[:, :, None], parents), self.states[name])[0]
            frames = torch.stack([self.previous, current], dim=2)
        else:
            frames = current[:, :, None]
        feature, self.states[name] = network.step(modality(name, frames, parents), self.states[name])
        return feature
