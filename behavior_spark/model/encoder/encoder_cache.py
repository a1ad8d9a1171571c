"""Encoders loaded by this process, each once."""

from __future__ import annotations

import threading

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.encoder.options import EncoderOptions

_encoders: dict[tuple[str, EncoderOptions, str], Encoder] = {}
_encoders_lock = threading.Lock()


def cached_encoder(
    source: str, options: EncoderOptions, device: str | None = None, *, digest: str | None = None
) -> Encoder:
    """The encoder for these arguments; a process loads it once, and again if its files changed.

    Args:
        source: As for :meth:`Encoder.load`.
        options: As for :meth:`Encoder.load`.
        device: As for :meth:`Encoder.load`.
        digest: The encoder's digest. If it is given, no file is looked at while the encoder that
            is loaded has it, so that a worker may ask for each batch.

    Raises:
        ModelError: See :meth:`Encoder.load`; or the files do not have that digest.
    """
    key = (source, options, device or "")
    with _encoders_lock:
        encoder = _encoders.get(key)
        if encoder is None or encoder.digest != (digest or backbone_digest(source, options)):
            _encoders.pop(key, None)  # two of them may not fit in memory
            encoder = _encoders[key] = Encoder.load(source, options, device=device)
    if digest not in (None, encoder.digest):
        raise ModelError(
            "this process's encoder is not the one the driver named",
            found=f"{encoder.digest}, wanted {digest}",
            fix="put the same encoder on a path that all workers share; replace its files between "
            "runs only",
        )
    return encoder
