"""The section ``service``: texts that customer service answers, and where each of them goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.section import Section, checked_names
from behavior_spark.config.sources import Source
from behavior_spark.config.targets import Target
from behavior_spark.names import normal_name

USUAL_PRECISION = 0.95
_ANSWER_COLUMNS = {"need", "answer", "approved", "language", "answer_id", "question"}


class ServiceQueue(Section):
    """A queue: a team, and what it takes."""

    needs: list[str] = Field(
        default_factory=list, description="labels of the head `need` that this queue takes"
    )
    where: str | None = Field(
        None,
        description="SQL condition on a row of service_queue (need, mood, urgency, value, risk, "
        "language, kind); without needs it alone decides",
    )

    @field_validator("needs")
    @classmethod
    def _labels(cls, value: list[str]) -> list[str]:
        return [normal_name(label) for label in value]

    @model_validator(mode="after")
    def _takes_something(self) -> ServiceQueue:
        if not self.needs and self.where is None:
            raise ValueError("give needs, where, or both")
        return self


class Answers(Source):
    """A table of yours with answers that the team has approved."""

    columns: dict[str, str] = Field(
        description="need (a label, or an array of labels that it fits), answer (the text); where "
        "you have them: approved (a condition), language (ISO 639-1), answer_id, and question (a "
        "text that it answers, compared instead of the answer) -> SQL expression over your columns"
    )

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        if missing := {"need", "answer"} - set(value):
            raise ValueError(f"map {' and '.join(sorted(missing))}")
        if unknown := sorted(set(value) - _ANSWER_COLUMNS):
            raise ValueError(f"no column {unknown[0]}; known: {', '.join(sorted(_ANSWER_COLUMNS))}")
        return value


class Service(Section):
    """Which texts come in, what they need, how urgent they are, and who answers them."""

    texts: str = Field(
        "true", description="SQL condition on a text that comes in, such as kind = 'chat'"
    )
    days: int = Field(1, ge=1, le=366, description="days before as_of in which texts arrived")
    leave_out: dict[str, list[str]] = Field(
        default_factory=dict,
        description="head -> its labels that nobody answers, such as spam: [spam]; counted",
    )
    need: str = Field("intent", description="head whose labels are the needs")
    precision: float | None = Field(
        None,
        ge=0.5,
        lt=1,
        description="share of needs that must be right: the least confidence is chosen by held-out "
        "labelled texts; 0.95 unless least_confidence is given",
    )
    least_confidence: float | None = Field(
        None, ge=0, le=1, description="least probability of a need, instead of precision"
    )
    mood: str | None = Field("emotion", description="head of the mood; null: none")
    angry: list[str] = Field(
        default=["anger", "angry"], description="moods that are urgent: labels of the head `mood`"
    )
    mood_confidence: float = Field(0.5, ge=0, le=1, description="least probability of a mood")
    urgent: list[str] = Field(default_factory=list, description="needs that are urgent")
    risk: str | None = Field(
        None, description="target of kind does or does_not, such as cancelling: its probability"
    )
    risk_deciles: int = Field(
        1, ge=1, le=9, description="first deciles of the risk's users, whose texts are urgent"
    )
    value: str | None = Field(
        None, description="what the customer is worth: a column of user_features, or a target of "
        "kind amount"
    )  # fmt: skip
    queues: dict[str, ServiceQueue] = Field(
        default_factory=dict, description="queues by name; the first that takes a text has it"
    )
    default_queue: str = Field("general", description="queue of texts that no other takes")
    angry_queue: str | None = Field(
        None, description="queue of angry texts without a need; none: the default queue"
    )
    language_queue: str | None = Field(
        None, description="queue of texts in other languages; none: the default queue"
    )
    languages: list[str] = Field(
        default_factory=list,
        description="languages (ISO 639-1) that the encoder and the team know; the first is "
        "assumed where a text is too short to tell; none: languages are not looked at",
    )
    language_confidence: float = Field(
        0.5, ge=0, le=1, description="least probability of a language; below it is not known"
    )
    answers: Answers | None = Field(None, description="your table of approved answers")
    least_similarity: float = Field(
        0.3, ge=-1, le=1, description="least cosine of a text and an answer that is suggested"
    )
    least_margin: float = Field(
        0.01, ge=0, le=1, description="answers that are nearer to each other are equally near"
    )
    similar_cases: int = Field(3, ge=0, le=50, description="similar past texts to name")
    case_days: int = Field(90, ge=1, description="days before those in which past texts arrived")
    most_cases: int = Field(
        50_000, ge=1, description="past texts to compare with, at most; of more, some by hash"
    )
    least_case_similarity: float = Field(
        0.6, ge=-1, le=1, description="least cosine of a text and a similar past one"
    )
    at_most: int = Field(
        10_000, ge=1, description="texts of a queue a night, at most; what is left out is counted"
    )

    @field_validator("angry", "urgent")
    @classmethod
    def _labels(cls, value: list[str]) -> list[str]:
        return [normal_name(label) for label in value]

    @field_validator("leave_out")
    @classmethod
    def _labels_of_heads(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return {head: [normal_name(label) for label in labels] for head, labels in value.items()}

    @field_validator("queues")
    @classmethod
    def _queue_names(cls, value: dict[str, ServiceQueue]) -> dict[str, ServiceQueue]:
        return checked_names(value, "queue")

    @model_validator(mode="after")
    def _consistent(self) -> Service:
        if self.precision is not None and self.least_confidence is not None:
            raise ValueError("give either precision or least_confidence")
        return self

    @property
    def wanted_precision(self) -> float | None:
        """The precision by which the least confidence is chosen; None where that is given."""
        return None if self.least_confidence is not None else self.precision or USUAL_PRECISION

    @property
    def queue_names(self) -> list[str]:
        """All queues, the default one last."""
        others = (self.angry_queue, self.language_queue, self.default_queue)
        return list(dict.fromkeys([*self.queues, *(name for name in others if name)]))


def check_service(
    service: Service, *, heads: Collection[str], targets: Mapping[str, Target], texts: bool
) -> None:
    """Check that the section fits heads and targets.

    Args:
        service: The section.
        heads: Names under ``text.heads``.
        targets: Targets by name.
        texts: Whether there are texts.

    Raises:
        ValueError: It does not; the message names the key.
    """
    if not texts:
        raise ValueError("service: nothing comes in without sources.texts")
    known = ", ".join(heads) or "none"
    if service.need not in heads:
        raise ValueError(f"service.need: no head {service.need!r} under text.heads; known: {known}")
    if service.mood not in (None, "emotion", *heads):
        raise ValueError(f"service.mood: no head {service.mood!r} under text.heads; known: {known}")
    for head in service.leave_out:
        if head not in heads:
            raise ValueError(f"service.leave_out: no head {head!r} under text.heads; known: "
                             f"{known}")  # fmt: skip
    if service.risk is not None:
        target = targets.get(service.risk)
        if target is None:
            raise ValueError(f"service.risk: no target {service.risk!r}; known: "
                             f"{', '.join(targets) or 'none'}")  # fmt: skip
        if target.kind in ("amount", "count"):
            raise ValueError(f"service.risk: {service.risk} is of kind {target.kind}, which "
                             "predicts no probability")  # fmt: skip
