"""Words for the fuzzer: the numbers and the texts that the parsers themselves compare with."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _files(sources: Iterable[str]) -> Iterator[Path]:
    for source in sources:
        path = ROOT / source
        yield from sorted(path.glob("*.py")) if path.is_dir() else [path]


def _words(value: object) -> Iterator[bytes]:
    """Yield a constant as it may stand in a packet."""
    if isinstance(value, bytes) and value:
        yield value
    elif isinstance(value, int) and 256 <= value < 1 << 64:
        size = next(size for size in (2, 4, 8) if value < 1 << 8 * size)
        yield value.to_bytes(size, "big")
        yield value.to_bytes(size, "little")


def words(sources: Iterable[str]) -> list[bytes]:
    """Return the constants of the sources, each in both byte orders."""
    found = set()
    for path in _files(sources):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant):
                found.update(word for word in _words(node.value) if len(word) <= 32)
    return sorted(found)


def as_text(found: Iterable[bytes]) -> str:
    """Return the words as a libFuzzer dictionary."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in found)
