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
    """Embeds a live stream: give it frames, get the embedding of everything so far, at constant cost a frame.

    The causal recurrent backbone makes this exact: after t frames the embedding is that of a prepared clip of these t
    frames. Only what needs the future is left out: resampling and cropping, so feed frames at about the rate of the
    encoder's training clips; and bridging gaps towards the next sighting, so a joint that is not seen stays where it
    was seen last. Until the first frame in which somebody is seen there is nothing to turn the others by,
    and the embedding is None.

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
        """Begins a recording.

        Args:
            encoder: With weights as they are now.
            skeleton: Of the frames.
            streams: Some of the encoder's modalities; by default all.
            precision: Of the network's products, as `embed` takes it. A frame costs the time in which all weights are
                read, and bfloat16 has half the bytes, int8 a quarter.

        Raises:
            ValueError: for an encoder without a recurrent backbone (embed windows with it), for one whose normalisation
                needs the whole clip, or if the skeleton cannot be mapped.
        """
        preprocess = encoder.config.preprocess
        names = chosen_streams(encoder, streams)
        causal = all(encoder.network(name).causal for name in names)
        if not causal or preprocess.align != "first" or preprocess.scale is not None:
            raise ValueError(
                "this encoder sees whole clips, not frame by frame; embed the last seconds again and again with "
                "embed(frames, encoder), or embed a recording with window= and stride="
            )
        if whole := [name for name in names if find_modality(name).lookahead is None]:
            raise ValueError(
                f"the modality {whole[0]!r} cannot be streamed: its entry in MODALITIES has no lookahead, so a frame "
                "may depend on any other; take other streams=, or embed windows"
            )
        check_precision(precision)
        self.networks: dict[str, CausalNetwork] = encoder.packed(names, precision)
        self.encoder = encoder
        self.skeleton = skeleton
        self.matrix = torch.from_numpy(mapping(skeleton, encoder.skeleton)).to(encoder.device)
        with torch.inference_mode():
            self.states = {name: network.start(1) for name, network in self.networks.items()}
        self.first: torch.Tensor | None = None  # (M, V, 3) the first frame, by which all are turned
        self.last_seen: torch.Tensor | None = None  # (M, V, 3) for bridging joints that are not seen
        self.previous: torch.Tensor | None = None  # (1, M, W, 3) the frame before, prepared

    @torch.inference_mode()
    def step(self, frame: Any) -> np.ndarray | None:
        """One frame on.

        Args:
            frame: (M, V, 3) or (V, 3), NaN where a joint was not seen: it then stays where it was seen last.

        Returns:
            (D,) float32, the embedding so far; None until somebody was seen.

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
            # A frame's value is known when the next frame comes. So the state lags one frame behind, and the last
            # frame, which has none after it, is evaluated but not kept.
            if self.previous is None:
                return network.step(modality(name, current[:, :, None], parents), self.states[name])[0]
            frames = torch.stack([self.previous, current], dim=2)
        else:
            frames = current[:, :, None]
        feature, self.states[name] = network.step(modality(name, frames, parents), self.states[name])
        return feature
