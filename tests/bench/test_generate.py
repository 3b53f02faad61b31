"""The benchmark's capture is what it says: same for one seed, and read alike by other programs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.engine import Engine
from sensor.settings import EngineSettings
from sensor.sources.capture_file import CaptureFiles

GENERATE = Path(__file__).with_name("generate.py")
PACKETS = 10_000


def generate(path, *options, packets=PACKETS):
    subprocess.run([sys.executable, GENERATE, str(packets), str(path), *options], check=True)
    return path


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("bench") / "traffic.pcap")


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_one_seed_gives_one_capture(capture, tmp_path):
    again = generate(tmp_path / "again.pcap").read_bytes()
    assert again == capture.read_bytes()
    assert generate(tmp_path / "other.pcap", "--seed", "2").read_bytes() != again


def test_a_shorter_capture_is_the_beginning_of_a_longer_one(capture, tmp_path):
    short = generate(tmp_path / "short.pcap", packets=1_000).read_bytes()
    assert capture.read_bytes().startswith(short)


@pytest.mark.parametrize("options", [(), ("--full",)])
def test_the_sensor_decodes_every_packet(tmp_path, options):
    path = generate(tmp_path / "traffic.pcap", *options)
    engine = Engine(EngineSettings(), (1, 2))
    for batch in CaptureFiles([str(path)]):
        engine.process(batch)
    engine.flush()
    counters = engine.counters()
    assert counters["packet"]["kind_ip"] == counters["flow"]["packets"] == PACKETS
    assert not any(count for name, count in counters["packet"].items() if name.startswith("error_"))
    assert counters["packet"]["truncated"] == 0 or not options
    assert counters["flow"]["late_packets"] == 0


@needs("tshark")
def test_tshark_finds_headers_and_messages_whole(tmp_path):
    path = generate(tmp_path / "traffic.pcap", "--full")
    command = ["tshark", "-r", str(path), "-Y", "_ws.malformed"]
    output = subprocess.run([*command, "-T", "fields", "-e", "frame.number"], capture_output=True, check=True)
    # Where a client's port is another protocol's, or a guess is made, noise is read as a message.
    assert len(output.stdout.split()) <= 2


@needs("softflowd")
def test_softflowd_counts_every_packet(capture, tmp_path):
    files = ["-p", str(tmp_path / "pid"), "-c", "none"]
    done = subprocess.run(
        ["softflowd", "-r", str(capture), "-d", "-6", *files], capture_output=True, text=True, check=True
    )
    assert f"Packets processed: {PACKETS}\n" in done.stdout + done.stderr


@needs("nfpcapd")
def test_nfpcapd_counts_every_packet(capture, tmp_path):
    done = subprocess.run(
        ["nfpcapd", "-r", str(capture), "-w", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert re.search(rf"Packets: {PACKETS},", done.stdout + done.stderr)
