"""Coverage-guided fuzzing of the parsers: `python tests/fuzz/fuzz.py [TARGET ...] --secs 600`.

Each target runs in a process of its own, over plain Python kernels, from the
kept corpus and crafted seeds. What it found is then made minimal and kept in
``corpus/TARGET.hex``, and replayed in three forms: plain, compiled, and
compiled with bounds checks. At the end: coverage of the parsers by the corpus.
Exit status 1 when an input raised or two forms disagree.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATHS = [str(ROOT), str(ROOT / "tests"), str(HERE)]
os.environ["NUMBA_DISABLE_JIT"] = "1"  # of this process and of the fuzzers
sys.path[:0] = PATHS

import forms  # noqa: E402  (the path has to be there first)
import kept  # noqa: E402
from dictionary import as_text, words  # noqa: E402
from targets import TARGETS  # noqa: E402

_SLOWEST_SECS = 20  # one input, on a busy machine
_MOST_MEGABYTES = 2048
_MERGE_SECS = 300
_MOST_COMPLAINTS = 60


@dataclass
class Outcome:
    """What one target's run gave."""

    target: str
    executions: int = 0
    edges: int = 0
    features: int = 0
    kept: int = 0
    failed: list[bytes] = field(default_factory=list)
    log: str = ""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "PYTHONDONTWRITEBYTECODE": "1"}


def _write(folder: Path, inputs: list[bytes]) -> Path:
    """Make a folder of one file an input."""
    folder.mkdir()
    for number, data in enumerate(inputs):
        (folder / f"{number:05d}").write_bytes(data)
    return folder


def _fuzzer(target: str, failed: Path, secs: int, options: list[str]) -> str:
    """Run the fuzzer once and return its log; whatever it does, it ends."""
    command = [sys.executable, str(HERE / "child.py"), target, str(failed)]
    limits = [f"-timeout={_SLOWEST_SECS}", f"-rss_limit_mb={_MOST_MEGABYTES}", f"-artifact_prefix={failed}/"]
    limits += [f"-max_len={TARGETS[target].max_bytes}", "-print_final_stats=1"]
    done = subprocess.run(
        [*command, *limits, *options],
        env=_environment(),
        cwd=failed.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=secs + 120,
        check=False,
    )
    return done.stdout.decode(errors="replace")


def _passes(target: str, data: bytes) -> bool:
    """Return whether an input does not raise."""
    try:
        TARGETS[target].run(data)
    except Exception:  # noqa: BLE001  (whatever it raises has been reported)
        return False
    return True


def _last(pattern: str, log: str) -> int:
    """Return the last number in the log that `pattern` captures, 0 when there is none."""
    found = re.findall(pattern, log)
    return int(found[-1]) if found else 0


def fuzz(target: str, secs: int, captures: Path | None) -> Outcome:
    """Fuzz one target and keep what it found.

    Parameters
    ----------
    target
        Its name.
    secs
        How long.
    captures
        A folder of files to begin with as well. Then nothing is kept but what failed:
        the corpus holds no bytes of other people's traffic, nor what became of them.
    """
    outcome = Outcome(target)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        old = kept.kept(target)
        begin = _write(folder / "begin", [*old, *TARGETS[target].seeds()])
        found, failed, merged = folder / "found", folder / "failed", folder / "merged"
        for path in (found, failed, merged):
            path.mkdir()
        (folder / "words").write_text(as_text(words(TARGETS[target].sources)))
        inputs = [str(found), str(begin), *([str(captures)] if captures else [])]
        options = [f"-max_total_time={secs}", f"-dict={folder / 'words'}", "-use_value_profile=0"]
        log = _fuzzer(target, failed, secs, [*options, *inputs])
        outcome.log = log
        outcome.executions = _last(r"stat::number_of_executed_units: (\d+)", log) or _last(r"#(\d+)\t", log)
        outcome.failed = [path.read_bytes() for path in sorted(failed.iterdir())]
        if captures is None:
            merge = _fuzzer(target, failed, _MERGE_SECS, ["-merge=1", str(merged), str(begin), str(found)])
            outcome.edges, outcome.features = (_last(rf"{word}: (\d+)", merge) for word in ("cov", "ft"))
            # One input is kept for each place that fails; the others that fail there say nothing new.
            smallest = [data for data in map(Path.read_bytes, merged.iterdir()) if _passes(target, data)]
            outcome.kept = kept.keep(target, outcome.failed, smallest) if smallest else len(old)
    return outcome


def _show(outcome: Outcome, secs: int) -> None:
    """Print one line about a target, and what failed."""
    print(
        f"{outcome.target:10} {outcome.executions:>10,} executions {outcome.executions / secs:>7,.0f}/s"
        f" {outcome.edges:>6,} edges {outcome.features:>6,} features {outcome.kept:>5,} inputs kept"
        f" {len(outcome.failed):>3} failed",
        flush=True,
    )
    for line in outcome.log.splitlines():
        if line.startswith(("FAILED", "INPUT", "ERROR: libFuzzer")) or "libFuzzer: timeout" in line:
            print(f"    {line}", flush=True)
    if not outcome.executions:
        print(outcome.log[-2000:])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--secs", type=int, default=60, help="how long each target is fuzzed")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--captures", type=Path, help="a folder of more inputs; nothing is kept then")
    parser.add_argument("--no-coverage", action="store_true", help="leave the table of coverage out")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown or arguments.secs < 1 or arguments.jobs < 1:
        parser.error(f"unknown target {', '.join(unknown)}" if unknown else "--secs and --jobs start at 1")
    return arguments


def main() -> int:
    arguments = _arguments()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install '.[fuzz]'", file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
    targets = arguments.targets or list(TARGETS)
    failures = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(fuzz, target, arguments.secs, arguments.captures) for target in targets]
        for run in runs:
            _show(run.result(), arguments.secs)
            failures += len(run.result().failed)
    complaints = forms.complaints(targets)
    for complaint in complaints[:_MOST_COMPLAINTS]:
        print(complaint)
    print(f"{len(complaints)} kept inputs raise or differ between plain, compiled and checked kernels")
    if not arguments.no_coverage:
        print(forms.coverage(targets))
    return int(bool(failures or complaints))


if __name__ == "__main__":
    sys.exit(main())
