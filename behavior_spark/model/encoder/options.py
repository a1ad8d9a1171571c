"""How texts become vectors, as a config asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.sentence_modules import POOLINGS

# Number of tokens read of a text if neither the config nor the encoder's folder gives one.
DEFAULT_LENGTH = 128
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class EncoderOptions:
    """How a text becomes a vector; part of the encoder's digest.

    Options that are not given are read from the encoder's folder if sentence-transformers wrote
    it; see :func:`.model_folder.effective_options`.

    Attributes:
        pooling: ``auto``: the folder's, else ``mean``; ``mean`` over the tokens of the text, the
            first (``cls``) token, ``lasttoken``, ``max``, ``mean_sqrt_len_tokens``,
            ``weightedmean``; or several with ``+`` between, joined.
        normalize: Divide each vector by its L2 norm.
        max_length: Tokens in one forward pass of a text; capped at the model's positions. None:
            the folder's, else 128.
        precision: Number format of the forward pass; vectors are float32 in either case.
        long_texts: A text of more tokens is cut (``truncate``), or read in pieces whose
            vectors are averaged, weighted by their tokens (``pool``).
        prompt: Words put before each text. None: the folder's default prompt, if it has one.
        prompt_name: One of the folder's prompts, in place of ``prompt``.
        normal_form: Unicode form in which texts were cleaned.

    Raises:
        ModelError: A value is not allowed.
    """

    pooling: str = "auto"
    normalize: bool = True
    max_length: int | None = None
    precision: Precision = "fp32"
    long_texts: Literal["truncate", "pool"] = "truncate"
    prompt: str | None = None
    prompt_name: str | None = None
    normal_form: Literal["NFC", "NFKC"] = "NFC"

    def __post_init__(self) -> None:
        for name, values, allowed in (
            ("pooling", self.pooling.split("+"), POOLINGS),
            ("precision", [self.precision], ("fp32", "bf16")),
            ("long_texts", [self.long_texts], ("truncate", "pool")),
            ("normal_form", [self.normal_form], ("NFC", "NFKC")),
        ):
            if set(values) - set(allowed) and values != ["auto"]:
                value = "+".join(values)
                raise ModelError(
                    f"encoder option {name} is not known", found=value, fix=f"one of {allowed}"
                )
        if self.max_length is not None and self.max_length < 3:
            raise ModelError(
                "encoder option max_length is too small",
                found=str(self.max_length),
                fix="give at least 3 tokens; 128 is usual",
            )

    @property
    def length(self) -> int:
        """Tokens in one forward pass of a text, at most."""
        return DEFAULT_LENGTH if self.max_length is None else self.max_length


def checked_precision(value: str) -> Precision:
    """A recorded precision as the type ``Precision``.

    Raises:
        ModelError: The value is neither ``fp32`` nor ``bf16``.
    """
    for precision in get_args(Precision):
        if value == precision:
            return cast(Precision, precision)
    raise ModelError("a recorded precision is not known", found=value, fix="fp32 or bf16")
