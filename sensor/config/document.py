"""A YAML text as plain values, with the line each of them came from.

YAML is read by PyYAML's safe loader, narrowed: a duplicate key, an alias, a
document over `MAX_BYTES` or nested over `MAX_DEPTH` is an error, so that no
configuration can be surprising or expensive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from sensor.errors import ConfigError

#: A configuration is a few hundred lines; more is a mistake (a capture file, a device).
MAX_BYTES = 1 << 20
#: Deepest key of the schema is six levels down.
MAX_DEPTH = 16

#: Where a value stands: keys and list indexes from the root.
KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with numbers as YAML 1.2 writes them: ``1e-6`` is a number, not a text."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose as PyYAML does, but refuse aliases: a few of them can expand to gigabytes."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", self.get_mark())
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


@dataclass(slots=True)
class Document:
    """Values, and where each was written.

    Parameters
    ----------
    values
        The whole tree as dictionaries, lists and scalars.
    origins
        For each key path, the place to name in an error: ``file:line``, an
        environment variable or a command line option.
    """

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Return the place of `path`, or of its nearest parent that was written anywhere."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return "configuration"


def read_document(path: Path) -> Document:
    """Return the YAML file at `path`.

    Raises
    ------
    ConfigError
        The file cannot be read, or is not YAML as described above.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; this is no configuration")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text") from error
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """Return the YAML `text`; `name` is what errors call it."""
    document = Document()
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document.origins[()] = f"{name}:1"
        root = {} if node is None else _build(loader, node, (), document.origins)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(_yaml_message(error, name)) from error
    except RecursionError as error:
        raise ConfigError(f"{name}: nested too deeply") from error
    if root is None:  # a file of comments only
        root = {}
    if not isinstance(root, dict):
        raise ConfigError(f"{name}:1: should be a mapping of sections (capture, flow, sinks ...)")
    document.values = root
    return document


def parse_value(text: str) -> object:
    """Return `text` as YAML would read it in a file: ``5`` is a number, ``[a, b]`` a list.

    Raises
    ------
    ConfigError
        It is not YAML.
    """
    return parse_document(f"value: {text}", "value").values.get("value")


def _build(loader: _Loader, node: yaml.Node, path: KeyPath, origins: dict[KeyPath, str]) -> object:
    """Return the value of `node` and note the line of everything in it."""
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"{origins[path]}: nested too deeply")
    if isinstance(node, yaml.MappingNode):
        values: dict[str, object] = {}
        for key_node, child in node.value:
            place = _place(origins[()], key_node)
            key = loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise ConfigError(f"{place}: a key should be a word")
            if key in values:
                dotted = ".".join(str(part) for part in (*path, key))
                raise ConfigError(f"{place}: {dotted}: stands here twice")
            origins[(*path, key)] = place
            values[key] = _build(loader, child, (*path, key), origins)
        return values
    if isinstance(node, yaml.SequenceNode):
        items: list[object] = []
        for index, child in enumerate(node.value):
            origins[(*path, index)] = _place(origins[()], child)
            items.append(_build(loader, child, (*path, index), origins))
        return items
    return loader.construct_object(node)


def _place(root: str, node: yaml.Node) -> str:
    """Return ``file:line`` of `node`; `root` is the place of the document."""
    return f"{root.rpartition(':')[0]}:{node.start_mark.line + 1}"


def _yaml_message(error: Exception, name: str) -> str:
    """Return PyYAML's complaint as one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    place = f"{name}:{mark.line + 1}" if mark is not None else name
    context = getattr(error, "context", None)
    return f"{place}: is not valid YAML: {problem}" + (f" ({context})" if context else "")
