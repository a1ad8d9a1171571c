"""Encoders loaded by this process, each once."""

from __future__ import annotations

import threading

from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.options import EncoderOptions

_encoders: dict[tuple[str, EncoderOptions, str], Encoder] = {}
_encoders_lock = threading.Lock()


def cached_encoder(source: str, options: EncoderOptions, device: str | None = None) -> Encoder:
    """The encoder for these arguments; each process loads it once.

    Raises:
        ModelError: See :meth:`Encoder.load`.
    """
    key = (source, options, device or "")
    with _encoders_lock:
        if key not in _encoders:
            _encoders[key] = Encoder.load(source, options, device=device)
        return _encoders[key]
