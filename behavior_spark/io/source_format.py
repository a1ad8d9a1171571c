"""How a user's files are written: their format, and a CSV's separator and encoding."""

from __future__ import annotations

import codecs
import gzip
import re
import shlex
from pathlib import Path

from behavior_spark.config import Source
from behavior_spark.errors import InputError

_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "json",
            ".ndjson": "json", ".parquet": "parquet"}  # fmt: skip
_LOOKED_AT = 65_536  # bytes
_MARKS = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))
_CJK = re.compile(r"[\u3400-\u9fff]")


def guess_source(place: str) -> Source:
    """Path or table; the format by ending or by a Delta log inside the folder.

    Of a CSV the first file's beginning says the separator and the encoding.

    Raises:
        InputError: A CSV is in an encoding that Spark does not read.
    """
    path = Path(place)
    if not path.exists() and re.fullmatch(r"\w+(\.\w+){1,2}", place):
        return Source(table=place, columns={})
    inside = _first_file(path)
    ending = next((s for s in reversed(inside.suffixes) if s in _FORMATS), "")
    kind = "delta" if (path / "_delta_log").is_dir() else _FORMATS.get(ending, "parquet")
    options = csv_options(inside) if kind == "csv" and inside.is_file() else {}
    return Source.model_validate({"path": place, "format": kind, "options": options, "columns": {}})


def csv_options(file: Path) -> dict[str, str]:
    """``sep`` and ``encoding`` where they are not a comma and UTF-8, by the file's beginning.

    Raises:
        InputError: The encoding is one that Spark does not read.
    """
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
        start = opened.read(_LOOKED_AT)
    try:
        encoding = _encoding(start)
    except UnicodeError as error:
        raise InputError(
            f"{file}: the text is not UTF-8",
            found=f"it reads as {error}, which Spark does not read",
            fix=f"iconv -f {error} -t UTF-8 {shlex.quote(str(file))} > {file.stem}.utf8.csv",
        ) from None
    lines = start.decode(encoding or "utf-8", errors="replace").splitlines()
    header = lines[0] if lines else ""
    counts = {mark: header.count(mark) for mark in (",", ";", "\t", "|")}
    separator = max(counts, key=lambda mark: counts[mark])
    options = {"sep": separator} if separator != "," and counts[separator] else {}
    return options | ({"encoding": encoding} if encoding else {})


def _encoding(start: bytes) -> str:
    """Empty for UTF-8; else an encoding that Spark reads: UTF-16 by its mark, or Western.

    Raises:
        UnicodeError: The bytes read as Chinese in GB18030, which Spark does not read.
    """
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    whole_lines = start[: start.rfind(b"\n") + 1] or start
    try:
        whole_lines.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return ""
    if _is_chinese(whole_lines):
        raise UnicodeError("GB18030")
    return "ISO-8859-1"


def _is_chinese(text: bytes) -> bool:
    """Whether bytes that are no UTF-8 are letters of GB18030, two bytes each."""
    try:
        read = text.decode("gb18030")
    except UnicodeDecodeError:
        return False
    wide = [letter for letter in read if not letter.isascii()]
    letters = len(_CJK.findall("".join(wide))) > 0.8 * len(wide)
    return letters and len(re.findall(rb"[\x80-\xff]{2}", text)) >= 0.9 * len(wide)


def _first_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = (p for p in sorted(path.rglob("*.*")) if any(s in _FORMATS for s in p.suffixes))
    return next((p for p in files if not p.name.startswith((".", "_"))), path)
