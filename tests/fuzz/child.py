"""One libFuzzer run over plain Python kernels: `child.py TARGET FAILED libfuzzer-options...`.

Kernels have to be plain (``NUMBA_DISABLE_JIT=1``): the fuzzer sees Python's
branches, and none inside compiled code. An input that raises is written into
the folder FAILED, one for each place that raises, and the run goes on.
"""

# ruff: noqa: T201  (libFuzzer's own log goes the same way)

from __future__ import annotations

import hashlib
import sys
import traceback
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sensor"]):
    from targets import TARGETS

_MOST_PLACES = 40


class Run:
    """What libFuzzer calls with each input."""

    def __init__(self, target: str, failed: Path) -> None:
        self._run = TARGETS[target].run
        self._failed = failed
        self._places: set[str] = set()

    def __call__(self, data: bytes) -> None:
        try:
            self._run(data)
        except Exception as error:  # noqa: BLE001  (whatever a parser raises is what is looked for)
            self._note(error, data)

    def _note(self, error: Exception, data: bytes) -> None:
        """Write the input, unless another one raised the same at the same place."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {last.filename}:{last.lineno}"
        if place in self._places or len(self._places) == _MOST_PLACES:
            return
        self._places.add(place)
        (self._failed / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"FAILED {place}: {error}\nINPUT {data.hex()}", file=sys.stderr, flush=True)


def main() -> None:
    target, failed, *options = sys.argv[1:]
    # The hash is unsigned arithmetic, which wraps around.
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
    # libFuzzer starts itself again to merge: the first word has to be a command line.
    command = f"{sys.executable} {Path(__file__).resolve()} {target} {failed}"
    atheris.Setup([command, *options], Run(target, Path(failed)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
