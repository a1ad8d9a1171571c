"""When texts that cannot be embedded say something about the model, and not about the texts."""

from __future__ import annotations

from behavior_spark.errors import ModelError

# Errors of the model, where those of a text say nothing about it.
FAILURES = ("model_error", "out_of_memory")
# Of so many texts the share that fails says something about the model.
FEWEST_TO_JUDGE = 20
# Of so many texts, if all fail.
FEWEST_OF_ALL = 5
# Largest share of failures, unless the settings give another (``text.max_failed_share``).
MOST_FAILED = 0.5


def refuse_failures(
    failed: int, texts: int, *, limit: float, cause: str | None, kept: str = "of this part"
) -> None:
    """Stop where more of the texts than the limit could not be embedded.

    Args:
        failed: Texts at which the model failed.
        texts: Texts that the model read.
        limit: Largest share of them that may fail.
        cause: Of one of the failures.
        kept: Of what nothing was stored, for the message.

    Raises:
        ModelError: That is so, of 20 texts or more.
    """
    if texts >= FEWEST_TO_JUDGE and failed > limit * texts:
        raise _too_many(failed, texts, limit, cause, kept)


def refuse_all_failed(
    failed: int, texts: int, *, limit: float, cause: str | None, kept: str = "of this part"
) -> None:
    """As :func:`refuse_failures`, and stop where all of five texts or more failed.

    For the texts of a whole run: a task may have a few of many.
    """
    refuse_failures(failed, texts, limit=limit, cause=cause, kept=kept)
    if texts >= FEWEST_OF_ALL and failed == texts and limit < 1:
        raise _too_many(failed, texts, limit, cause, kept)


def _too_many(failed: int, texts: int, limit: float, cause: str | None, kept: str) -> ModelError:
    return ModelError(
        f"{failed:,} of {texts:,} texts could not be embedded (text.max_failed_share: {limit})",
        found=cause,
        fix="check the encoder's weights and the worker's memory (text.token_budget); nothing "
        f"{kept} was stored",
    )
