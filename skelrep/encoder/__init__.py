"""The encoder: its config, its backbones, embedding of batches, streaming and ONNX."""

from __future__ import annotations

from skelrep.encoder.config import BACKBONES as BACKBONES
from skelrep.encoder.config import EncoderConfig as EncoderConfig
from skelrep.encoder.encoder import Encoder as Encoder
from skelrep.encoder.encoder import Source as Source
from skelrep.encoder.modalities import MODALITIES as MODALITIES
from skelrep.encoder.modalities import Modality as Modality
from skelrep.encoder.streaming import EmbeddingStream as EmbeddingStream
