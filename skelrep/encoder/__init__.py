"""The encoder: its config, its backbones, embedding of batches, streaming and ONNX."""

from __future__ import annotations

from skelrep.encoder.encoder import BACKBONES as BACKBONES
from skelrep.encoder.encoder import Encoder as Encoder
from skelrep.encoder.encoder import EncoderConfig as EncoderConfig
from skelrep.encoder.encoder import Source as Source
from skelrep.encoder.streaming import EmbeddingStream as EmbeddingStream
