"""The kept corpus through the kernels in all their forms, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

#: What the environment says to numba.
FORMS = {
    "plain": {"NUMBA_DISABLE_JIT": "1"},
    "compiled": {},
    "checked": {"NUMBA_BOUNDSCHECK": "1"},
}
_LONGEST_SECS = 900
_SHOWN = 600


def _environment(form: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    paths = [str(ROOT), str(ROOT / "tests"), str(HERE)]
    return {**others, **FORMS[form], "PYTHONPATH": os.pathsep.join(paths)}


def replay(form: str, targets: Sequence[str] = ()) -> dict[tuple[str, str], str]:
    """Return what each kept input of the targets gives, by target and input (hexadecimal).

    Raises
    ------
    subprocess.CalledProcessError
        The process itself ended with an error. An input that never comes to an
        end is a value, and the last one.
    """
    command = [sys.executable, str(HERE / "replay.py"), *targets]
    done = subprocess.run(
        command, env=_environment(form), stdout=subprocess.PIPE, text=True, timeout=_LONGEST_SECS, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == -signal.SIGALRM:
        lines.append("RAISED nothing, and never ended: no input behind it was run")
    elif done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout[-_SHOWN:])
    return {(target, data): value for (target, data), value in zip(lines[::2], lines[1::2], strict=True)}


def differing(results: dict[str, dict[tuple[str, str], str]]) -> list[str]:
    """Return a line for each input that raises in a form, or gives other values than in the first form."""
    found = []
    first = next(iter(results))
    for form, values in results.items():
        for (target, data), value in values.items():
            if value.startswith("RAISED"):
                found.append(f"{target} {form}: {value[:_SHOWN]}: {data}")
            elif value != results[first].get((target, data), value):
                found.append(f"{target} {form} differs from {first}: {data}")
    return found


def complaints(targets: Sequence[str] = ()) -> list[str]:
    """Replay the corpus in every form and return what is wrong."""
    return differing({form: replay(form, targets) for form in FORMS})


def coverage(targets: Sequence[str] = ()) -> str:
    """Return the table of lines and branches that the corpus reaches in the parsers (plain form)."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        environment = _environment("plain") | {"COVERAGE_FILE": str(Path(name) / "coverage")}
        program = [sys.executable, "-m", "coverage"]
        run = ["run", "--branch", "--include=sensor/*", str(HERE / "replay.py"), *targets]
        subprocess.run(
            [*program, *run],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            timeout=_LONGEST_SECS,
            check=True,
        )
        report = ["report", "--include=sensor/packet/*,sensor/flow/*,sensor/sources/*", "--skip-empty"]
        done = subprocess.run(
            [*program, *report],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    return done.stdout or done.stderr
