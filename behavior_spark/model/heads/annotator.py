"""Label texts with a causal language model: choose the label whose words are most probable.

No text is generated, so the result is always one of the labels. The score of a label is the
mean log-probability of its tokens after the prompt. Label probabilities of prompts without
content are divided out (Zhao et al. 2021, "Calibrate Before Use", arXiv 2102.09690). Each of
several prompts has one vote.

A prompt is computed once: its keys and values are cached, and the tokens of all labels are
computed from them as one batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.files import digest_of
from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.folder_files import file_digests
from behavior_spark.model.encoder.model_folder import CHARACTERS_PER_TOKEN
from behavior_spark.model.encoder.options import Precision
from behavior_spark.model.heads.language_model import (
    language_model_folder,
    load_language_model,
    not_finite,
)
from behavior_spark.model.heads.prompts import Prompt

CONTENT_FREE = ("N/A", "[MASK]", "")
TOKENS_AT_ONCE = {"cpu": 4_096, "cuda": 16_384}
LOGITS_AT_ONCE = 64_000_000  # float32: 256 MB


@dataclass(frozen=True)
class AnnotatorOptions:
    """Options of an annotator; with the model's files they determine its labels.

    Attributes:
        labels: Labels, in order.
        words: For each label the words that the language model reads in its place.
        prompts: Each contains ``{text}`` and ends in ``{label}``.
        calibrate: Divide out the label probabilities of prompts without content.
        max_length: Number of tokens of a text that are read.
        precision: Number format of the forward pass, whatever the processor has.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    prompts: tuple[str, ...]
    calibrate: bool = True
    max_length: int = 512
    precision: Precision = "fp32"


def annotator_digest(source: str, options: AnnotatorOptions) -> str:
    """Digest of the model's files and the options, 16 hex characters.

    Equal digests mean equal annotations.

    Raises:
        ModelError: There is no model at ``source``, or it is in GGUF.
    """
    content = {
        "files": file_digests(language_model_folder(source)),
        "options": [options.labels, options.words, options.prompts, options.calibrate,
                    options.max_length, options.precision],
    }  # fmt: skip
    return digest_of(content)


class Annotator:
    """A loaded language model with its prompts and labels.

    Attributes:
        digest: See :func:`annotator_digest`.
        options: Labels, words, prompts and limits.
    """

    def __init__(
        self, model: Any, tokenizer: Any, options: AnnotatorOptions, *, digest: str
    ) -> None:
        self.options, self.digest = options, digest
        self._model, self._tokenizer = model, tokenizer
        self._accepts = set(inspect.signature(model.forward).parameters)
        self._prompts = [Prompt.parse(text, options.words) for text in options.prompts]
        self._label_ids = [
            [self._continuation(prompt, words) for words in options.words]
            for prompt in self._prompts
        ]
        self._refuse_equal_labels()
        self._max_length = self._longest_text()
        self._priors: list[Floats] | None = None

    @classmethod
    def load(
        cls, source: str, options: AnnotatorOptions, *, device: str | None = None
    ) -> Annotator:
        """Load the model at ``source``, in the options' precision.

        Raises:
            ModelError: As for ``load_language_model``; or the model's context is too short for
                the prompts.
        """
        folder = language_model_folder(source)
        digest = annotator_digest(source, options)
        model, tokenizer = load_language_model(folder, device, options.precision)
        return cls(model, tokenizer, options, digest=digest)

    def votes(self, texts: Sequence[str]) -> Floats:
        """Probabilities of the labels by each prompt, float32 [n, prompts, labels].

        Raises:
            ModelError: A score of a text is not finite.
        """
        if not len(texts):
            return np.empty((0, len(self._prompts), len(self.options.labels)), dtype=np.float32)
        scores_by_prompt = [self._scores(number, texts) for number in range(len(self._prompts))]
        if self.options.calibrate:
            if self._priors is None:
                self._priors = [
                    _log_softmax(self._scores(number, CONTENT_FREE)).mean(axis=0)
                    for number in range(len(self._prompts))
                ]
            scores_by_prompt = [
                scores - prior for scores, prior in zip(scores_by_prompt, self._priors, strict=True)
            ]
        return np.exp(np.stack([_log_softmax(scores) for scores in scores_by_prompt], axis=1))

    def _scores(self, number: int, texts: Sequence[str]) -> Floats:
        """Mean log-probability of each label's tokens after a prompt, float32 [n, labels]."""
        prompt, labels = self._prompts[number], self._label_ids[number]
        encoded = self._tokenizer([prompt.fill(self._cut(text)) for text in texts])["input_ids"]
        ids: list[list[int]] = [self._opened(token_ids) for token_ids in encoded]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        scores = np.empty((len(ids), len(labels)), dtype=np.float32)
        with torch.inference_mode():
            for rows in self._batches(order, ids, labels):
                scores[rows] = self._batch_scores([ids[row] for row in rows], labels)
        if not np.isfinite(scores).all():
            raise not_finite(self._model.config.model_type)
        return scores

    def _batches(
        self, order: list[int], ids: list[list[int]], labels: list[list[int]]
    ) -> list[list[int]]:
        """Rows of similar length, few enough for the device's memory."""
        longest_label = max(len(token_ids) for token_ids in labels)
        width = len(labels) * max(1, longest_label - 1)
        most_rows = max(1, LOGITS_AT_ONCE // (width * int(self._model.config.vocab_size)))
        most_tokens = TOKENS_AT_ONCE.get(self._model.device.type, TOKENS_AT_ONCE["cpu"])
        batches: list[list[int]] = [[]]
        for row in order:  # ascending: the last is the longest
            full = (len(batches[-1]) + 1) * len(ids[row]) > most_tokens
            if batches[-1] and (full or len(batches[-1]) >= most_rows):
                batches.append([])
            batches[-1].append(row)
        return batches

    def _batch_scores(self, ids: list[list[int]], labels: list[list[int]]) -> Floats:
        device, rows, width = self._model.device, len(ids), max(len(token_ids) for token_ids in ids)
        lengths = torch.tensor([len(token_ids) for token_ids in ids], device=device)
        # Padded on the left, so that all prompts end at the same position.
        padded = torch.tensor(
            [[0] * (width - len(token_ids)) + token_ids for token_ids in ids], device=device
        )
        mask = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        output = self._run(
            input_ids=padded, attention_mask=mask, position_ids=positions, logits_to_keep=1
        )
        first_token_scores = torch.log_softmax(output.logits[:, -1].float(), dim=-1)
        total = first_token_scores[
            :, torch.tensor([token_ids[0] for token_ids in labels], device=device)
        ]
        long_labels = [place for place, token_ids in enumerate(labels) if len(token_ids) > 1]
        if long_labels:
            continuation = self._rest(
                [labels[place] for place in long_labels], output.past_key_values, mask, lengths
            )
            total[:, long_labels] += continuation.view(rows, len(long_labels))
        counts = torch.tensor([len(token_ids) for token_ids in labels], device=device)
        mean: Floats = (total / counts).cpu().numpy()
        return mean

    def _rest(
        self, labels: list[list[int]], cache: Any, mask: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Log-probability of a label's tokens after its first one, float [rows * labels]."""
        rows, device = len(lengths), mask.device
        cache.batch_repeat_interleave(len(labels))
        steps = max(len(token_ids) for token_ids in labels) - 1
        inputs = torch.tensor(
            [token_ids[:-1] + [0] * (steps - len(token_ids) + 1) for token_ids in labels],
            device=device,
        )
        targets = torch.tensor(
            [token_ids[1:] + [-1] * (steps - len(token_ids) + 1) for token_ids in labels],
            device=device,
        )
        inputs, targets = inputs.repeat(rows, 1), targets.repeat(rows, 1)
        prompt_mask = mask.repeat_interleave(len(labels), dim=0)
        first_positions = lengths.repeat_interleave(len(labels))[:, None]
        output = self._run(
            input_ids=inputs,
            attention_mask=torch.cat([prompt_mask, torch.ones_like(inputs)], dim=1),
            position_ids=first_positions + torch.arange(steps, device=device),
            past_key_values=cache,
        )
        log_probabilities = torch.log_softmax(output.logits.float(), dim=-1)
        token_scores = log_probabilities.gather(2, targets.clamp(min=0)[:, :, None])[:, :, 0]
        return torch.where(targets >= 0, token_scores, torch.zeros_like(token_scores)).sum(dim=1)

    def _run(self, **inputs: Any) -> Any:
        """One forward pass, without arguments that the model does not accept.

        Some architectures compute position ids themselves and do not accept them.
        """
        accepted = self._accepts
        return self._model(
            use_cache=True, **{name: value for name, value in inputs.items() if name in accepted}
        )

    def _continuation(self, prompt: Prompt, words: str) -> list[int]:
        """Token ids of a label after the prompt; they do not depend on the text."""
        last_character = prompt.after[-1:] or "."
        prefix_ids = self._ids(last_character)
        joined_ids = self._ids(last_character + prompt.space + words)
        splits_at_seam = joined_ids[: len(prefix_ids)] == prefix_ids
        label_ids = (
            joined_ids[len(prefix_ids) :] if splits_at_seam else self._ids(prompt.space + words)
        )
        if not label_ids:
            raise ModelError(
                "the language model's tokenizer has no token for a label",
                found=f"label words {words!r}",
                fix="give other words for the label",
            )
        return label_ids

    def _refuse_equal_labels(self) -> None:
        """Labels must differ for the model: words that it does not know may all be one token."""
        for label_ids in self._label_ids:
            seen: dict[tuple[int, ...], str] = {}
            for token_ids, label in zip(label_ids, self.options.labels, strict=True):
                if (other := seen.setdefault(tuple(token_ids), label)) != label:
                    raise ModelError(
                        "two labels are the same to the language model",
                        found=f"{other!r} and {label!r} have the same tokens",
                        fix="give words that its vocabulary has, or another model",
                    )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _opened(self, ids: list[int]) -> list[int]:
        """The ids, or one start token if there are none: a label must follow a token."""
        if ids:
            return ids
        start_id = self._tokenizer.bos_token_id
        return [int(start_id if start_id is not None else self._tokenizer.eos_token_id or 0)]

    def _longest_text(self) -> int:
        """Number of tokens of a text that fit in the context with the longest prompt and label."""
        positions = getattr(self._model.config, "max_position_embeddings", None)
        if not isinstance(positions, int):
            return self.options.max_length
        prompt = max(len(self._opened(self._tokenizer(p.fill(""))["input_ids"]))
                     for p in self._prompts)  # fmt: skip
        label = max(len(token_ids) for labels in self._label_ids for token_ids in labels)
        available = (
            positions - prompt - label - 2
        )  # joining may split one token at either end of the text
        if available < 1:
            raise ModelError(
                "the language model's context is too short for the prompts",
                found=f"{positions} tokens, prompts of {prompt} and labels of {label}",
                fix="give shorter prompts, or another model",
            )
        return min(self.options.max_length, available)

    def _cut(self, text: str) -> str:
        """The start of a text: as many characters as ``max_length`` tokens stand for."""
        short = text[: self._max_length * CHARACTERS_PER_TOKEN]
        if len(short) <= self._max_length // 4:  # a character is four tokens at the most
            return short
        encoded = self._tokenizer(short, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        return short if len(offsets) <= self._max_length else short[: offsets[self._max_length][0]]


def _log_softmax(scores: Floats) -> Floats:
    top = scores.max(axis=-1, keepdims=True)
    log_probabilities: Floats = (
        scores - top - np.log(np.exp(scores - top).sum(axis=-1, keepdims=True))
    )
    return log_probabilities
