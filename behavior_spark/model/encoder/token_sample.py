"""Sample texts whose token ids identify how a tokenizer works.

transformers rebuilds a tokenizer from a folder's files, and two of its versions may do so
differently. So the digest of an encoder contains the sample's token ids, not the version.
"""

# ruff: noqa: E501, RUF001

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tokenizers

from behavior_spark.files import cache_folder, digest_of, read_json, write_json

# Case, accents, composed and decomposed letters, white space, controls, numbers, punctuation,
# emoji, scripts with and without spaces, compatible forms, special tokens written out.
# ruff: noqa: E501, RUF001
SAMPLE = (
    "The quick brown fox doesn't jump over 13 lazy dogs.", "THE QUICK BROWN FOX", "  two  spaces  ",
    "re-order #4711: it's $3.50, isn't it?", "naïve café façade Ångström", "nai\u0308ve cafe\u0301",
    "tab\tand\nline", "soft\u00adhyphen zero\u200bwidth nul\u0000", "unbelievableness antidisestablish",
    "http://example.org/a_b?c=d&e=%20", "snake_case camelCase", "10⁵ ½ ﬁne Ａ１ №5 ™", "😀👍🏽👩‍👩‍👧 🇺🇦 ™️",
    "[CLS] [SEP] [PAD] [UNK] [MASK] <s> </s> <pad> <unk> <mask> <|endoftext|>", "▁ _ ## Ġ",
    "Straße İstanbul ıI ŒŸ", "Привет, как дела? Ёж", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم می‌خواهم",
    "नमस्ते दुनिया क्षत्रिय", "বাংলা ভাষা", "தமிழ் மொழி", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල", "ភាសាខ្មែរ", "ພາສາລາວ",
    "สวัสดีชาวโลก น้ำ", "မြန်မာဘာသာ", "ქართული ენა", "Հայերեն", "አማርኛ", "你好世界 漢字", "こんにちは カタカナ ｶﾞ", "안녕하세요 세계",
    "Tiếng Việt rất đẹp", "x" * 150, "!?!?... -- — “quotes” «»", "a\u0301\u0323 ṩ", "\ufffd \ue000",
)  # fmt: skip


def token_ids(tokenizer: Any) -> list[list[int]]:
    """Ids of the sample's texts by a transformers tokenizer, special tokens included."""
    ids: list[list[int]] = tokenizer(list(SAMPLE), truncation=False, verbose=False)["input_ids"]
    return ids


def unknown_share_of(folder: Path, texts: Sequence[str]) -> float:
    """Share of unknown tokens among the texts' tokens, by the tokenizer in a folder.

    Loads no model.

    Raises:
        ModelError: The tokenizer cannot be loaded.
    """
    path = folder / "tokenizer.json"
    if path.exists():  # read without transformers, which takes seconds to import
        fast = tokenizers.Tokenizer.from_file(str(path))
        model = read_json(path).get("model", {})
        unknown_index = model.get("unk_id")
        unknown = (
            model.get("unk_token") if unknown_index is None else model["vocab"][unknown_index][0]
        )
        unknown_id = None if unknown is None else fast.token_to_id(str(unknown))
    else:
        from behavior_spark.model.encoder.loading import load_tokenizer

        loaded = load_tokenizer(folder)
        fast, unknown_id = copy.deepcopy(loaded.backend_tokenizer), loaded.unk_token_id
    fast.no_truncation()
    fast.no_padding()
    ids = [id_ for e in fast.encode_batch(list(texts), add_special_tokens=False) for id_ in e.ids]
    return ids.count(unknown_id) / len(ids) if ids and unknown_id is not None else 0.0


def token_ids_digest(folder: Path, files: dict[str, str]) -> str:
    """Digest of the sample's token ids by the tokenizer in a folder, 16 hex characters.

    Loading a tokenizer takes seconds, mostly to import torch. So the digest is cached on this
    machine (in ``XDG_CACHE_HOME``, else ``~/.cache``), by files and versions of the libraries.

    Args:
        folder: Folder of the model.
        files: Digests of its files, from :func:`.folder_files.file_digests`.

    Raises:
        ModelError: The tokenizer cannot be loaded.
    """
    small = {name: digest for name, digest in files.items() if not name.endswith(".safetensors")}
    versions = [version("transformers"), version("tokenizers")]
    return _cached_digest(folder, digest_of([small, versions, list(SAMPLE)]))


@lru_cache(maxsize=64)
def _cached_digest(folder: Path, key: str) -> str:
    path = cache_folder() / "token_ids" / f"{key}.json"
    with contextlib.suppress(Exception):
        cached = read_json(path)["token_ids"]
        if isinstance(cached, str):
            return cached
    from behavior_spark.model.encoder.loading import load_tokenizer

    digest = digest_of(token_ids(load_tokenizer(folder)))
    with contextlib.suppress(OSError):  # with a read-only home it is computed each time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"token_ids": digest, "about": json.dumps(["sample", len(SAMPLE)])})
    return digest
