"""Values laid over the file: `SENSOR_FLOW__CAPACITY=…` and `--set flow.capacity=…`.

Both are read as YAML would read them, and remember where they came from, so
that an error names the variable or the option and not the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sensor.config.document import Document, KeyPath, parse_value
from sensor.errors import ConfigError

_PREFIX = "SENSOR_"


def apply_environment(document: Document, environment: Mapping[str, str]) -> None:
    """Lay `SENSOR_SECTION__KEY` variables over `document`.

    A variable without a double underscore is not configuration and is left
    alone (`SENSOR_CACHE_DIR`).
    """
    for name in sorted(environment):
        path = name.removeprefix(_PREFIX).lower().split("__")
        if name.startswith(_PREFIX) and len(path) > 1:
            origin = f"environment {name}"
            _lay(document, path, _value(environment[name], origin), origin)


def apply_sets(document: Document, assignments: Iterable[str]) -> None:
    """Lay ``section.key=value`` texts over `document`.

    Raises
    ------
    ConfigError
        A text is not of that form, or its value is not YAML.
    """
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        if not equals or not dotted.strip():
            raise ConfigError(f"--set {assignment}: should be section.key=value")
        origin = f"--set {dotted.strip()}"
        _lay(document, dotted.strip().split("."), _value(text, origin), origin)


def apply_options(document: Document, options: Mapping[str, tuple[str, object]]) -> None:
    """Lay command line options over `document`: the option's name and value by dotted key."""
    for dotted, (name, value) in options.items():
        _lay(document, dotted.split("."), value, name)


def _lay(document: Document, parts: list[str], value: object, origin: str) -> None:
    """Put `value` at `parts`, making the mappings on the way."""
    path: KeyPath = ()
    at: object = document.values
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if isinstance(at, list):
            if not part.isdecimal() or int(part) >= len(at):
                raise ConfigError(f"{origin}: there is no item {part!r}; the list has {len(at)}")
            key: str | int = int(part)
            path = (*path, key)
            if last:
                at[int(part)] = value
            at = at[int(part)]
        elif isinstance(at, dict):
            path = (*path, part)
            if last:
                at[part] = value
            elif not isinstance(at.get(part), dict | list):
                at[part] = {}
                document.origins[path] = origin
            at = at[part]
        else:
            raise ConfigError(f"{origin}: {'.'.join(parts[:number])} is a value, not a section")
    for known in [known for known in document.origins if known[: len(path)] == path]:
        del document.origins[known]
    document.origins[path] = origin


def _value(text: str, origin: str) -> object:
    """Return `text` read as YAML."""
    try:
        return parse_value(text)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {str(error).partition(': ')[2]}") from error
