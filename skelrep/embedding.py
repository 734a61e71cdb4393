"""Embeddings of clips, of windows over long recordings, and of a live stream of frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from skelrep.encoder import Encoder
from skelrep.encoder.encoder import as_device
from skelrep.encoder.modalities import modality
from skelrep.encoder.recurrent import RecurrentStack
from skelrep.hub import load_pretrained
from skelrep.io import read
from skelrep.layouts import missing_as_nan
from skelrep.matmul import PRECISIONS
from skelrep.messages import nearest
from skelrep.poses import as_poses
from skelrep.preprocess import normalise
from skelrep.skeletons import Skeleton, mapping

logger = logging.getLogger(__name__)

# Clips a batch by kind of device: on a CPU larger ones leave the cache, on a GPU smaller ones leave it idle.
BATCH_SIZES = {"cpu": 64, "cuda": 1024}


def embed(
    poses: Any,
    model: Encoder | str | os.PathLike = "i2md-small",
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    layout: str | None = None,
    fps: float | None = None,
    streams: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "float32",
    normalize: bool = False,
    window: float | None = None,
    stride: float | None = None,
    show_progress: bool | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """One vector for every clip.

    Args:
        poses: `Poses`, a file or folder that `skelrep.read` knows, an array (T, V, C), (M, T, V, C) or
            (N, M, T, V, C), or a list of clips of different lengths. NaN marks joints that were not seen. Axes are
            right-handed, in any orientation, for a mirrored room swaps left and right; images are as usual, with y up
            or down. Metres, or any unit for an encoder that scales, as the one in the box does.
        model: An `Encoder`, or what `load_pretrained` takes.
        skeleton: What the joints of an array are: a `Skeleton`, a known name, or V joint names.
        layout: The axes of an array in another order, for example "NCTVM".
        fps: Frames a second; only `window` needs it.
        streams: Some of the encoder's modalities, for example "joint"; by default all.
        batch_size: Clips at once; by default 64 on a CPU and 1024 on a GPU. The result does not depend on it beyond
            rounding (1e-5; int8 has one scale for all rows of a product, so there as far as int8 itself changes it).
        device: Where to compute; by default where the model is. The model is moved back afterwards.
        precision: Of the network's products. "bfloat16" is about twice as fast where the hardware has it and changes
            an embedding by a cosine of 1e-5 to 1e-4; "int8", for CPUs, up to five times as fast for large encoders, and
            the cosine is 1e-4 to 1e-3, for single clips 1e-2. What is returned is always float32.
        normalize: Scale every row to length 1.
        window: Seconds; cuts every clip into windows, one row each (see `Poses.windows`, which tells their times).
        stride: Seconds between the starts of windows; by default `window`.
        show_progress: A bar on stderr; by default only in a terminal or notebook, and only for work of over a second.
        out: A float32 array or memory map (N, D) to write into, for more rows than memory holds.

    Returns:
        (N, D) float32, one row a clip, in the order of the input; `out` if that was given.

    Raises:
        ValueError: if an input does not fit (the message says what was expected), a clip shows nobody (it is named),
            the skeleton cannot be mapped, or `out` has another shape.
        OSError: if a file or the model cannot be read.
    """
    encoder = model if isinstance(model, Encoder) else load_pretrained(model)
    if isinstance(poses, (str, os.PathLike)):
        poses = read(poses, layout=layout, skeleton=skeleton, fps=fps)
    else:
        poses = as_poses(poses, skeleton=skeleton, layout=layout, fps=fps)
    if window is not None:
        poses = poses.windows(window, stride)
    elif stride is not None:
        raise ValueError("stride needs window: the seconds that one row covers")

    _check_precision(precision)
    names = _streams(encoder, streams)
    home = encoder.device
    place = home if device is None else as_device(device)
    if batch_size is None:
        batch_size = BATCH_SIZES.get(place.type, 64)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")

    training = encoder.training
    encoder.eval().to(place)
    try:
        done = 0
        with (
            torch.inference_mode(),
            tqdm(
                total=len(poses),
                desc="embed",
                unit="clip",
                delay=1,
                disable=None if show_progress is None else not show_progress,
            ) as bar,
        ):
            while done < len(poses):
                try:
                    prepared = encoder.prepare(poses[done : done + batch_size])
                    rows = encoder.fuse(encoder.features(prepared, names, precision)).float()
                except torch.cuda.OutOfMemoryError:
                    if batch_size == 1:
                        raise
                    batch_size //= 2
                    logger.info("out of GPU memory: going on with batches of %d", batch_size)
                    continue
                if normalize:
                    rows = torch.nn.functional.normalize(rows, dim=1)
                if out is None:
                    out = np.empty((len(poses), rows.shape[1]), dtype=np.float32)
                if done == 0:
                    _check_out(out, (len(poses), rows.shape[1]))
                out[done : done + len(rows)] = rows.cpu().numpy()
                done += len(rows)
                bar.update(len(rows))
    finally:
        encoder.to(home).train(training)
    assert out is not None  # there is at least one clip: as_poses and read refuse none
    return out


def _streams(encoder: Encoder, streams: str | Sequence[str] | None) -> tuple[str, ...]:
    known = encoder.config.modalities
    if streams is None:
        return known
    wanted = (streams,) if isinstance(streams, str) else tuple(streams)
    unknown = [name for name in wanted if name not in known]
    if not wanted or len(set(wanted)) < len(wanted) or unknown:
        hint = nearest(unknown[0], known) if unknown else ""
        raise ValueError(
            f"streams must be some of this encoder's {', '.join(known)}; got {', '.join(wanted) or 'none'}{hint}"
        )
    return wanted


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}{nearest(precision, PRECISIONS)}"
        )


def _check_out(out: np.ndarray, shape: tuple[int, int]) -> None:
    if out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out must be a float32 array of shape {shape}, got {out.dtype} {out.shape}")


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
        names = _streams(encoder, streams)
        causal = all(isinstance(encoder.streams[name], RecurrentStack) for name in names)
        if not causal or preprocess.align != "first" or preprocess.scale is not None:
            raise ValueError(
                "this encoder sees whole clips, not frame by frame; embed the last seconds again and again with "
                "embed(frames, encoder), or embed a recording with window= and stride="
            )
        _check_precision(precision)
        self.networks = encoder.packed(names, precision)
        self.encoder = encoder
        self.skeleton = skeleton
        self.matrix = torch.from_numpy(mapping(skeleton, encoder.skeleton)).to(encoder.device)
        with torch.inference_mode():
            self.states = {name: network.start(1) for name, network in self.networks.items()}
        self.first: torch.Tensor | None = None  # (M, V, 3) the first frame, by which all are turned
        self.last_seen: torch.Tensor | None = None  # (M, V, 3) for bridging joints that are not seen
        self.previous: torch.Tensor | None = None  # (1, M, W, 3) the frame before, prepared, for motion

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
        seen = torch.from_numpy(missing_as_nan(pose)).to(self.encoder.device)
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
        network, state = self.networks[name], self.states[name]
        if name == "motion":
            # A frame's motion is known when the next frame comes. So the state waits one frame behind, and the last
            # frame, whose motion is zero by definition, is only looked at.
            still = torch.zeros_like(current)
            if self.previous is None:
                return network.step(still[:, :, None], state)[0]
            view = torch.stack([current - self.previous, still], dim=2)
        else:
            view = modality(name, current[:, :, None], self.encoder.skeleton.parents)
        feature, self.states[name] = network.step(view, state)
        return feature
