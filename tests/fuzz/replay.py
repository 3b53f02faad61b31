"""Run kept inputs through the kernels as they are here, and print what each gave: `replay.py [TARGET ...]`.

The environment says which form the kernels have: plain Python
(``NUMBA_DISABLE_JIT=1``), compiled, or compiled with bounds checks
(``NUMBA_BOUNDSCHECK=1``). Two lines of JSON an input: target and input before it is
run, the value behind it. An input that takes too long kills the process, and so
is the last one named.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import warnings

from kept import kept
from targets import TARGETS

#: Of one input. Some wait for a kernel to be compiled.
_MOST_SECS = 20 if os.environ.get("NUMBA_DISABLE_JIT") == "1" else 300


def value(target: str, data: bytes) -> str:
    """Return what the target gives for an input, or what it raises and where."""
    try:
        return repr(TARGETS[target].run(data))
    except Exception as error:  # noqa: BLE001  (that it raises is a result)
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"RAISED {type(error).__name__}: {error} ({last.name}, line {last.lineno})"


def main() -> None:
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
    for target in sys.argv[1:] or TARGETS:
        for data in kept(target):
            print(json.dumps([target, data.hex()]), flush=True)
            signal.setitimer(signal.ITIMER_REAL, _MOST_SECS)
            print(json.dumps(value(target, data)))


if __name__ == "__main__":
    main()
