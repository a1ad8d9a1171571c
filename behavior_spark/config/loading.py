"""Read settings: YAML files, overlays, ``--set`` and the environment."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from behavior_spark.config.settings import Settings
from behavior_spark.errors import BehaviorError, ConfigError, joined

# Value of a key with nothing after it, such as a section whose lines are all comments.
_NOTHING = object()
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")


def load_settings(
    paths: Sequence[str | Path],
    *,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge YAML files (later ones win), apply ``key.sub=value`` overrides and validate.

    Args:
        paths: YAML files; a name without a folder is also looked for among the
            configs that ship with the package. Mappings are merged key by key; an empty one
            (``audiences: {}``) takes away what an earlier file has there, as ``null`` does. A key
            with nothing after it leaves it as it is.
        overrides: ``key.sub=value`` pairs; values are read as YAML.
        environment: Variables for ``${VAR}`` and ``${VAR:-default}``; by default those of the
            process.

    Raises:
        ConfigError: A file is missing or not YAML, a key is unknown or is written twice in one
            mapping, a value is not valid, or a variable without a default is not set.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = _merge(merged, _read_yaml(path))
    for override in overrides:
        merged = _merge(merged, parse_override(override))
    expanded = _expand(merged, os.environ if environment is None else environment)
    return validate_settings(expanded)


def validate_settings(tree: Mapping[str, Any]) -> Settings:
    """Settings from a mapping.

    Raises:
        ConfigError: A key is unknown or missing, or a value is not valid.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _explain(error) from None


def find_config(name: str | Path) -> Path:
    """Path of a config: as given, or by name among those of the package.

    Raises:
        ConfigError: There is no such file.
    """
    path = Path(name)
    if path.is_file():
        return path
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        for candidate in (folder / path.name, folder / f"{path.name}.yaml"):
            if candidate.is_file() and path.parent in (Path(), Path("conf")):
                return candidate
        task_config = folder / "tasks" / path.with_suffix(".yaml").name
        if task_config.is_file() and path.parent in (Path("tasks"), Path("conf/tasks")):
            return task_config
    shipped = sorted(p.name for p in (package.parent / "conf").glob("*.yaml")) or sorted(
        p.name for p in (package / "conf").glob("*.yaml")
    )
    raise ConfigError(
        f"config file not found: {name}",
        found=f"shipped with the package: {', '.join(shipped)}" if shipped else None,
        fix="give the path of a YAML file, or write one with `behavior-spark init`",
    )


class _WrittenTwice(yaml.MarkedYAMLError):
    """A key that a mapping has twice, of which a plain reader would keep the last."""


class _Loader(yaml.SafeLoader):
    """Reads YAML where a mapping has each key once; a key with nothing after it is ``_NOTHING``."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # As it is written: what `<<` merges into a mapping is none of its own keys.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            merges = key.tag == "tag:yaml.org,2002:merge"
            value = key.value if merges else self.construct_object(key)  # yes and true are one
            if value in lines:
                raise _WrittenTwice(
                    problem=f"the key {key.value} of line {lines[value]} once more",
                    problem_mark=key.start_mark,
                )
            lines[value] = key.start_mark.line + 1
        return node

    def construct_nothing(self, node: yaml.ScalarNode) -> object:
        return None if node.value else _NOTHING


_Loader.add_constructor("tag:yaml.org,2002:null", _Loader.construct_nothing)


def _read_yaml(path: str | Path) -> dict[str, Any]:
    file = find_config(path)
    try:
        tree = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not valid YAML", found=_place(error)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8 text", fix="save it as UTF-8") from None
    if tree is None or tree is _NOTHING:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} must hold keys and values", found=type(tree).__name__)
    return tree


def _place(error: yaml.YAMLError) -> str:
    """What is wrong with YAML, and where."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
    return f"{getattr(error, 'problem', None) or 'not YAML'} at {where}"


def parse_override(override: str) -> dict[str, Any]:
    """The settings that ``key.sub=value`` overrides; the value is read as YAML.

    >>> parse_override("text.max_length=256")
    {'text': {'max_length': 256}}

    Raises:
        ConfigError: It is not ``key=value``, or its value has a key twice.
    """
    key, separator, raw = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            f"--set {override} is not key=value", fix="for example --set text.max_length=256"
        )
    try:
        value: Any = yaml.load(raw, _Loader) if raw.strip() else ""
    except _WrittenTwice as error:
        raise ConfigError(f"--set {key} is not valid YAML", found=_place(error)) from None
    except yaml.YAMLError:
        value = raw
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return dict(value)


def _merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key; lists, single values and what is to be empty are replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and value and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        elif value is not _NOTHING or key not in merged:
            merged[key] = value
    return merged


def _expand(value: Any, environment: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {k: _expand(v, environment, f"{key}.{k}".strip(".")) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, environment, f"{key}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return None if value is _NOTHING else value

    def substitute(match: re.Match[str]) -> str:
        name, has_default, default = match.group(1), match.group(2), match.group(3)
        if environment.get(name):
            return environment[name]
        if has_default is not None:
            return default
        raise ConfigError(
            f"{key}: the environment variable {name} is not set",
            fix=f"export {name}=..., or write ${{{name}:-default}}",
        )

    return _VARIABLE.sub(substitute, value)


def _explain(error: ValidationError) -> BehaviorError:
    """The error for the first faulty key, named as in the file, and in its second line the others.

    A misspelt key often makes another key missing, so misspellings come first.
    """
    problems = error.errors(include_url=False, include_input=False)
    mistakes = sorted(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    told = [_told(mistake) for mistake in mistakes]
    return joined([ConfigError(problem, fix=fix) for problem, fix in told])


def _told(problem: ErrorDetails) -> tuple[str, str | None]:
    """What is wrong, and what to do."""
    where = _dotted(problem["loc"])
    if problem["type"] == "extra_forbidden":
        allowed = _known_keys(problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(allowed)}"
        return f"unknown key {where}", hint
    if problem["type"] == "missing":
        return f"{where} is missing", _describe(problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where or 'config'}: {message}", _describe(problem["loc"])


def _dotted(location: Sequence[str | int]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.strip(".")


def _fields(location: Sequence[str | int]) -> dict[str, Any]:
    """Fields of the section at a location, by walking the models' annotations."""
    section: type[BaseModel] = Settings
    for part in location:
        if isinstance(part, int) or not _by_key(section).get(str(part)):
            continue
        nested = _nested_section(_by_key(section)[str(part)].annotation)
        if nested is not None:
            section = nested
    return _by_key(section)


def _by_key(section: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _nested_section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        nested = _nested_section(argument)
        if nested is not None:
            return nested
    return None


def _known_keys(location: Sequence[str | int]) -> list[str]:
    return sorted(_fields(location))


def _describe(location: Sequence[str | int]) -> str | None:
    field = _fields(location[:-1]).get(str(location[-1])) if location else None
    return field.description if field is not None else None
