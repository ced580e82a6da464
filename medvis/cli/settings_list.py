"""The settings of a task, each with its kind of value, bounds, default and meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medvis.settings import TaskConfig

_BOUNDS = {"exclusiveMinimum": "> {:g}", "minimum": "≥ {:g}", "exclusiveMaximum": "< {:g}", "maximum": "≤ {:g}"}
_ITEMS = {"minItems": "at least {}", "maxItems": "at most {}"}
_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "yes or no", "null": "null"}
_FREE = {"stages", "train", "card"}  # checked elsewhere: by the stages, the training, the export
MISSING = "required"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: as `--set` and the YAML have it, with dots; ``[]`` for each item of a list.
        kind: what it may hold, with its bounds.
        default: as JSON; ``required`` where there is none.
        value: what the task sets, as JSON; empty where that is the default, or an item of a list.
        meaning: in one sentence or more.
    """

    key: str
    kind: str
    default: str
    value: str
    meaning: str

    @property
    def row(self) -> tuple[str, ...]:
        """Its cells, in the order of the attributes."""
        return tuple(asdict(self).values())


def settings_of(config: TaskConfig) -> list[Setting]:
    """All settings of a task: of itself, of its stages in their order, and of its training.

    Raises:
        SettingsError: a stage that is not installed.
    """
    from medvis import plugins
    from medvis.learn.training.recipe import Recipe

    whole = TaskConfig.model_json_schema()
    whole["properties"] = {key: part for key, part in whole["properties"].items() if key not in {*_FREE, "base"}}
    sections = [("", whole, config.model_dump(mode="json"))]
    for name, values in config.stages.items():
        sections.append((f"stages.{name}", plugins.load("medvis.stages", name).Settings.model_json_schema(), values))
    sections.append(("train", Recipe.model_json_schema(), config.train))
    return [setting for prefix, schema, values in sections for setting in _Walk(schema).fields(schema, prefix, values)]


class _Walk:
    """Through a JSON Schema, whose models say what their fields mean."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._models = root.get("$defs", {})

    def fields(self, model: Mapping[str, Any], prefix: str, values: object) -> Iterator[Setting]:
        """The settings of a model, and of those within it."""
        meanings = _attributes(model.get("description", ""))
        for name, part in model.get("properties", {}).items():
            key = f"{prefix}.{name}" if prefix else name
            value = values.get(name) if isinstance(values, Mapping) else None
            inner, each = self._model_in(part)
            if inner is None or each:
                meaning = part.get("description") or meanings.get(name, "")
                yield self._setting(key, part, name in model.get("required", ()), value, meaning)
            if inner is not None:
                yield from self.fields(inner, key + each, None if each else value)

    def _setting(self, key: str, part: Mapping[str, Any], required: bool, value: object, meaning: str) -> Setting:
        default = MISSING if required else _json(part.get("default"))
        told = "" if value is None or _json(value) == default else _json(value)
        return Setting(key, self._kind(part), default, told, meaning)

    def _model_in(self, part: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
        """The model that a field holds, and ``[]`` or ``.NAME`` where it holds several of them."""
        for option in [part, *part.get("anyOf", ())]:
            for inner, each in (
                (option, ""),
                (option.get("items"), "[]"),
                (option.get("additionalProperties"), ".NAME"),
            ):
                model = self._resolved(inner) if isinstance(inner, Mapping) else {}
                if "properties" in model:
                    return model, each
        return None, ""

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._models[part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part

    def _kind(self, part: Mapping[str, Any]) -> str:
        part = self._resolved(part)
        if "anyOf" in part:
            return " or ".join(dict.fromkeys(self._kind(option) for option in part["anyOf"]))
        if "const" in part or "enum" in part:
            return " or ".join(_json(value) for value in part.get("enum", [part.get("const")]))
        if "prefixItems" in part:
            return f"[{', '.join(self._kind(item) for item in part['prefixItems'])}]"
        if part.get("type") == "array":
            return f"list of {self._kind(part.get('items', {}))}{_bounds(part, _ITEMS)}"
        if part.get("type") == "object":
            inner = part.get("additionalProperties")
            return f"names with {self._kind(inner)}" if isinstance(inner, Mapping) else "settings"
        return _KINDS.get(part.get("type", ""), "anything") + _bounds(part, _BOUNDS)


def _bounds(part: Mapping[str, Any], words: Mapping[str, str]) -> str:
    told = [text.format(part[key]) for key, text in words.items() if key in part]
    return f" {', '.join(told)}" if told else ""


def _json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _attributes(docstring: str) -> dict[str, str]:
    """Name → meaning, of the section ``Attributes:`` of a model's docstring."""
    _, _, section = docstring.partition("Attributes:\n")
    entries = re.split(r"^ {4}(?=\w+(?:, \w+)*: )", section.split("\n\n")[0], flags=re.MULTILINE)
    pairs = [entry.split(": ", 1) for entry in entries if ": " in entry]
    plain = [(names, " ".join(text.replace("``", "").replace("`", "'").split())) for names, text in pairs]
    return {name.strip(): text for names, text in plain for name in names.split(",")}
