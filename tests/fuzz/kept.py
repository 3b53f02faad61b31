"""The kept corpus: one file a target, one input a line, in hexadecimal; ``!`` marks one that failed once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
#: Bytes of one file.
MOST_BYTES = 200_000
_FAILED = "!"


def path_of(target: str) -> Path:
    """Return the file of a target."""
    return FOLDER / f"{target}.hex"


def _lines(target: str) -> list[str]:
    path = path_of(target)
    return path.read_text().split() if path.exists() else []


def kept(target: str) -> list[bytes]:
    """Return the kept inputs of a target, the ones that failed once first."""
    return [bytes.fromhex(line.removeprefix(_FAILED)) for line in _lines(target)]


def keep(target: str, failed: Iterable[bytes], others: Iterable[bytes]) -> int:
    """Write a target's corpus, the shortest inputs first, as many as there is room for.

    Parameters
    ----------
    target
        Its name.
    failed
        Inputs that failed now: kept for good, like those that failed before.
    others
        Inputs that reach something no shorter one does.

    Returns
    -------
    count
        Inputs written.
    """
    before = [bytes.fromhex(line[1:]) for line in _lines(target) if line.startswith(_FAILED)]
    first = sorted({*before, *failed})
    rest = sorted(set(others) - set(first), key=lambda data: (len(data), data))
    lines: list[str] = [_FAILED + data.hex() for data in first]
    size = sum(len(line) + 1 for line in lines)
    for data in rest:
        size += 2 * len(data) + 1
        if size > MOST_BYTES:
            break
        lines.append(data.hex())
    FOLDER.mkdir(exist_ok=True)
    path_of(target).write_text("".join(f"{line}\n" for line in lines))
    return len(lines)
