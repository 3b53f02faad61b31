"""pydantic's list of errors as one line that helps.

``config.yaml:12: flow.capacity: input should be greater than or equal to 1024, got 5``
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sensor.config.document import Document, KeyPath
from sensor.config.models import Config
from sensor.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Values of keys like these are never shown.
_SECRET = re.compile(r"secret|token|passw|api_?key|private|authorization", re.IGNORECASE)
#: Longest value that is quoted in a message.
_QUOTED_CHARACTERS = 60


def complaint(error: ValidationError, document: Document) -> ConfigError:
    """Return the first error in `error` as a `ConfigError`, and how many more there are."""
    details = error.errors(include_url=False)
    # A mistyped key explains the missing one: it goes first.
    first = min(details, key=lambda one: one["type"] != "extra_forbidden")
    path, missing = _written_path(first, document.values)
    message = f"{document.origin(path)}: {_dotted(path + missing)}: {_sentence(first, path)}"
    others = len({str(one["loc"]) for one in details}) - 1
    if others:
        message += f" (and {others} more {'error' if others == 1 else 'errors'})"
    return ConfigError(message)


def _written_path(detail: ErrorDetails, values: object) -> tuple[KeyPath, KeyPath]:
    """Return pydantic's location as the keys that were written, and the key that was not.

    pydantic puts the names of union members into a location; those stand
    nowhere in the file and are left out.
    """
    path: KeyPath = ()
    missing: KeyPath = ()
    at: Any = values
    for part in detail["loc"]:
        if part in _written_keys(at):
            at = at[part]
            path = (*path, part)
        elif detail["type"] == "missing" and part == detail["loc"][-1]:
            missing = (part,)
    return path, missing


def _written_keys(value: object) -> Collection[object]:
    """Return the keys or indexes that lead further down from `value`."""
    if isinstance(value, Mapping):
        return value.keys()
    return range(len(value)) if isinstance(value, list) else ()


def _sentence(detail: ErrorDetails, path: KeyPath) -> str:
    """Return what is wrong and what is allowed."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if kind == "missing":
        return "is required"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"should be a mapping of keys, got {_quoted(detail['input'], path)}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"type should be one of {', '.join(_keys(detail['loc']))}"
    if kind in ("tuple_type", "list_type"):
        return f"should be a list, got {_quoted(detail['input'], path)}"
    message = detail["msg"].removeprefix("Value error, ")
    sentence = message[:1].lower() + message[1:]
    return sentence if kind == "value_error" else f"{sentence}, got {_quoted(detail['input'], path)}"


def _unknown_key(location: tuple[str | int, ...]) -> str:
    """Return "unknown key", with the nearest known one."""
    allowed = _keys(location[:-1])
    near = difflib.get_close_matches(str(location[-1]), allowed, n=1, cutoff=0.6)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; known here: {', '.join(allowed)}" if allowed else "unknown key"


def _keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys, or the values of `type`, that the schema knows at `location`."""
    schema = Config.model_json_schema()
    definitions = schema.get("$defs", {})
    at = schema
    for part in location:
        if isinstance(part, int):
            at = at.get("items", {})
        elif "discriminator" in at:
            at = {"$ref": at["discriminator"]["mapping"].get(part, "")}
        else:
            at = at.get("properties", {}).get(part, {})
        if "$ref" in at:
            at = definitions.get(at["$ref"].rpartition("/")[2], {})
    return sorted(at.get("discriminator", {}).get("mapping") or at.get("properties", {}))


def _quoted(value: object, path: KeyPath) -> str:
    """Return `value` as it may be shown: short, printable, and nothing that is secret."""
    if any(_SECRET.search(str(part)) for part in path):
        return "a value that is not shown"
    if isinstance(value, Mapping):
        return "a mapping"
    text = ascii(value)
    return text if len(text) <= _QUOTED_CHARACTERS else text[: _QUOTED_CHARACTERS - 3] + "..."


def _dotted(path: Sequence[str | int]) -> str:
    """Return ``a.b.0.c``, or the name of the whole for the root."""
    return ".".join(str(part) for part in path) or "configuration"
