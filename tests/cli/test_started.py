"""What a start does without: libraries that are slow to load, and a collector that looks at all of it."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.cli.started import started_up

CAPTURE = Path(__file__).resolve().parents[2] / "pcaps" / "portscan.pcap"


@pytest.mark.parametrize("library", ["scipy.linalg", "requests", "river", "pyarrow", "scapy"])
def test_a_replay_without_sinks_loads_no(library: str) -> None:
    code = (
        "import sys, gc, sensor.__main__ as m\n"
        f"sys.argv = ['sensor', 'replay', {str(CAPTURE)!r}, '-q']\n"
        "try:\n    m.main()\n"
        f"finally:\n    print('\\n', {library!r} in sys.modules, gc.isenabled())"
    )
    command = [sys.executable, "-c", code]
    # The first start may compile, and learn River's trees by heart; the second is the usual one.
    for _ in range(2):
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert answer.stdout.split()[-2:] == ["False", "True"], answer.stderr


def test_the_collector_runs_after_the_start() -> None:
    gc.disable()
    try:
        started_up()
        assert gc.isenabled()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
        gc.enable()


def test_scipy_can_still_be_imported() -> None:
    code = "import sensor.kernel, scipy.linalg.cython_blas"
    pytest.importorskip("scipy")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
