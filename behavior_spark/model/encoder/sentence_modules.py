"""Read the settings of a sentence-transformers folder: pooling, modules, prompts. Loads no model.

``modules.json`` lists the modules after the transformer: a pooling, then optional dense layers and
a normalisation; other files contain prompts and the maximum length. If they were ignored, vectors
would differ from those of the encoder's author. Format:
https://sbert.net/docs/sentence_transformer and its library, version 6. A module or option that is
not supported raises an error that names it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json

MODULES, PROMPTS = "modules.json", "config_sentence_transformers.json"
_READING = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# Names in older folders, in the order in which several poolings are concatenated.
_OLD_NAMES = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
_STEPS = ("Dense", "LayerNorm", "Normalize", "Dropout")


@dataclass(frozen=True)
class Step:
    """A module after the pooling.

    Attributes:
        kind: ``Dense``, ``LayerNorm``, ``Normalize`` or ``Dropout``.
        path: Its folder, relative to the model's.
    """

    kind: str
    path: str


@dataclass(frozen=True)
class SentenceModules:
    """How the author of an encoder turns a text into a vector.

    Attributes:
        pooling: One of ``POOLINGS``, or several joined by ``+``.
        steps: Modules after the pooling, in order, without a normalisation at the end.
        subfolders: Folders of modules, relative to the model's.
        max_length: Number of tokens read of a text; None if the folder gives none.
        lower_case: Whether texts are lowercased first.
        prompts: Prompts, which are put before a text, by name; one may be empty.
        default_prompt: Name of the prompt that is put before each text, if any.
        pools_prompt: Whether the prompt's tokens are pooled too.
        from_author: Whether the values are from the folder; False if they are defaults.
    """

    pooling: str = "mean"
    steps: tuple[Step, ...] = ()
    subfolders: tuple[str, ...] = ()
    max_length: int | None = None
    lower_case: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    pools_prompt: bool = True
    from_author: bool = False


def read_sentence_modules(folder: Path) -> SentenceModules:
    """The modules of a folder; the defaults for a folder without ``modules.json``.

    Raises:
        ModelError: A module, a pooling or an option is not supported.
    """
    _check_inside_no_other(folder)
    if not (folder / MODULES).exists():
        return SentenceModules()
    modules = _modules(folder)
    pooling, pools_prompt = _pooling(folder / modules[1].path)
    steps = [step for step in modules[2:] if step.kind != "Dropout"]
    for step in steps:
        _check_step(folder / step.path, step.kind)
    if steps and steps[-1].kind == "Normalize":
        steps.pop()  # the encoder's own option
    max_length, lower_case = _reading(folder)
    prompts, default = _prompts(folder)
    return SentenceModules(
        pooling, tuple(steps), tuple(step.path for step in modules[1:] if step.path), max_length,
        lower_case, prompts, default, pools_prompt, from_author=True,
    )  # fmt: skip


def sidecar_files(folder: Path) -> list[str]:
    """Files and folders of sentence-transformers to copy when the weights are saved again.

    Paths are relative to the folder.
    """
    if not (folder / MODULES).exists():
        return []
    names = [MODULES, PROMPTS, *_READING, *read_sentence_modules(folder).subfolders]
    return [name for name in names if (folder / name).exists()]


def _modules(folder: Path) -> list[Step]:
    try:
        content = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        modules = [
            (str(entry["type"]), str(entry["path"]), entry.get("kwargs")) for entry in content
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"cannot read {folder / MODULES}", found=type(error).__name__) from error
    for name, inside, arguments in modules:
        path = PurePosixPath(inside)
        if not name.startswith("sentence_transformers.") or arguments:
            raise _refused(folder, "a module with code or arguments of its own", name)
        if path.is_absolute() or ".." in path.parts:
            raise _refused(folder, "a module outside the folder", name)
    steps = [Step(name.rpartition(".")[2], inside) for name, inside, _ in modules]
    kinds = [step.kind for step in steps]
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - set(_STEPS):
        supported = ["Transformer", "Pooling", *_STEPS]
        unsupported = next((kind for kind in kinds if kind not in supported), ", ".join(kinds))
        raise _refused(folder, "modules that cannot be read here", unsupported)
    if steps[0].path:
        raise _refused(folder, "a transformer in a folder of its own", steps[0].path)
    return steps


def _pooling(folder: Path) -> tuple[str, bool]:
    config = read_json(folder / "config.json")
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for name, mode in _OLD_NAMES.items() if config.get(name)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    unsupported = [name for name, value in config.items()
           if name.startswith("pooling_mode_") and value and name not in _OLD_NAMES]  # fmt: skip
    unsupported += [str(mode) for mode in modes if mode not in POOLINGS]
    if unsupported or not modes:
        raise _refused(
            folder, "a pooling that is not known", unsupported[0] if unsupported else "none"
        )
    return "+".join(modes), bool(config.get("include_prompt", True))


def _check_step(folder: Path, kind: str) -> None:
    """Check that a module reads the pooled vector, and that its weights are safetensors."""
    path = folder / "config.json"
    config = read_json(path) if path.exists() else {}
    for name in ("module_input_name", "module_output_name"):
        if config.get(name) not in (None, "sentence_embedding"):
            raise _refused(folder, f"a {kind} module of other vectors", str(config[name]))
    if kind != "Normalize" and not (folder / "model.safetensors").exists():
        pickled = (folder / "pytorch_model.bin").exists()
        raise ModelError(
            f"the {kind} module in {folder} has no safetensors weights",
            found="pytorch_model.bin (pickled weights are not loaded)" if pickled else None,
            fix="save the model again with sentence-transformers' save_pretrained",
        )


def _reading(folder: Path) -> tuple[int | None, bool]:
    """Maximum number of tokens of a text (None if not given), and whether it is lowercased."""
    path = next((folder / name for name in _READING if (folder / name).exists()), None)
    config = {} if path is None else read_json(path)
    allowed: dict[str, Any] = {
        "transformer_task": ("feature-extraction",), "module_output_name": ("token_embeddings",),
        "modality_config": ({"text": _PLAIN_TEXT},), "unpad_inputs": (True, False),
    }  # fmt: skip
    for name, value in config.items():
        if name in ("max_seq_length", "do_lower_case") or not value:
            continue
        if value not in allowed.get(name, ()):
            raise _refused(folder, f"an option of its transformer ({name})", str(value)[:100])
    length = config.get("max_seq_length")
    return (length if isinstance(length, int) and length > 0 else None), bool(
        config.get("do_lower_case")
    )


_PLAIN_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}


def _prompts(folder: Path) -> tuple[dict[str, str], str | None]:
    path = folder / PROMPTS
    config = read_json(path) if path.exists() else {}
    kind = config.get("model_type") or "SentenceTransformer"
    if kind != "SentenceTransformer":
        raise _refused(folder, "no model of one vector a text", str(kind))
    if config.get("truncate_dim"):
        raise _refused(folder, "vectors cut to fewer numbers (truncate_dim)",
                       str(config["truncate_dim"]))  # fmt: skip
    prompts = {str(name): str(words or "") for name, words in (config.get("prompts") or {}).items()}
    default = config.get("default_prompt_name")
    if default and default not in prompts:
        raise _refused(folder, "a default prompt that is not there", str(default))
    return prompts, (str(default) if default in prompts else None)


def _check_inside_no_other(folder: Path) -> None:
    """Refuse the subfolder with the transformer of an older sentence-transformers model.

    Its pooling and other modules are in the folder above.
    """
    if not (folder / MODULES).exists() and (folder.parent / MODULES).exists():
        try:
            modules = json.loads((folder.parent / MODULES).read_text(encoding="utf-8"))
            paths = [str(entry["path"]) for entry in modules]
        except (OSError, ValueError, TypeError, KeyError):
            return
        if folder.name in paths:
            raise _refused(folder.parent, "a transformer in a folder of its own", folder.name)


def _refused(folder: Path, what: str, found: str) -> ModelError:
    return ModelError(
        f"the sentence-transformers model in {folder} has {what}",
        found=found,
        fix="use another encoder, or save this one again with sentence-transformers 5 or later as "
        "Transformer, Pooling and Dense, LayerNorm or Normalize",
    )
