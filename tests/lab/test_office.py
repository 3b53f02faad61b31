"""The lab itself: servers answer, the mirror shows each frame once, nothing is left behind."""

from __future__ import annotations

import struct
import sys
import threading
import time
from collections import Counter

import pytest
from lab import attacks
from lab.capture import Recording
from lab.network import inside, missing_tools, sh, wait_until
from lab.office import BEACON_SERVER, office_network
from lab.record import TOOLS, cut, expression_of
from lab.traffic import NAS, SERVER

from sensor.sources.af_packet import AfPacket

REASON = missing_tools(*TOOLS)
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]


def lines(path, expression=""):
    return sh("tcpdump", "-n", "-r", str(path), *([expression] if expression else [])).splitlines()


def test_servers_answer_and_every_frame_is_mirrored_once(office, tmp_path):
    network, folder = office
    pc, admin = network.hosts["pc1"], network.hosts["admin"]
    with Recording(network.sensor, tmp_path / "span.pcap") as recording:
        assert pc.run("curl", "-sk", "http://intranet.lan/api/status") == '{"state":"ok","queue":3}'
        assert len(pc.run("sh", "-c", "curl -sk https://www.news.example/index.html | base64")) > 1000
        assert "3 received" in admin.run("ping", "-c", "3", "-i", "0.1", NAS)
        options = ("-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
        answer = admin.run(
            "ssh", *options, "-i", str(folder / "id_ed25519"), f"root@{SERVER}", "echo", "logged", "in"
        )
        assert answer.strip() == "logged in"
    assert recording.dropped == 0
    assert recording.captured == len(lines(recording.path))
    echoes = Counter(line.split("ICMP ", 1)[1] for line in lines(recording.path, "icmp"))
    assert len(echoes) == 6
    assert set(echoes.values()) == {1}
    with pytest.raises(RuntimeError):
        pc.run("curl", "-sk", "https://www.nosuch.example/")


def records(path):
    """The packets of a classic pcap file in this machine's byte order."""
    data, position = path.read_bytes(), 24
    while position < len(data):
        size = struct.unpack_from("=I", data, position + 8)[0]
        yield data[position + 16 : position + 16 + size]
        position += 16 + size


def test_the_live_source_and_tcpdump_see_the_same_packets(office, tmp_path):
    network, _ = office
    with inside(network.sensor):
        source = AfPacket("span0")
    seen = Counter()

    def read():
        for batch in source:
            seen.update(batch.data[row["offset"] :][: row["caplen"]].tobytes() for row in batch.frames)

    reader = threading.Thread(target=read)
    reader.start()
    with Recording(network.sensor, tmp_path / "span.pcap") as recording:
        found = attacks.syn_scan(network.hosts["attacker"], SERVER, ports=200, rate=200)
        time.sleep(0.5)
    source.close()
    reader.join()
    written = Counter(records(recording.path))
    assert written.total() == recording.captured > 400
    assert written <= seen  # the source was open a little longer than tcpdump
    start, end = found.start - 1, found.end + 1
    own = cut(recording.path, tmp_path / "own.pcap", start, end, expression_of(found))
    assert 400 <= own <= recording.captured


def test_attacks_are_bounded_and_leave_their_marks(office, tmp_path):
    network, _ = office
    hosts = network.hosts
    with Recording(network.sensor, tmp_path / "span.pcap") as recording:
        calls, process = attacks.beacon(hosts["pc2"], BEACON_SERVER, every_secs=0.5, seconds=3)
        flood = attacks.syn_flood(hosts["attacker"], SERVER, packets=300, rate=500)
        guesses = attacks.ssh_brute_force(hosts["attacker"], SERVER, tmp_path, tries=4)
        attacks.dns_tunnel(hosts["pc3"], queries=20, rate=50)
        attacks.exfiltrate(hosts["pc3"], BEACON_SERVER, size_bytes=100_000)
        process.wait(timeout=10)
    path = recording.path
    assert len(lines(path, f"tcp[tcpflags] == tcp-syn and dst host {SERVER} and dst port 80")) == 300
    assert len(lines(path, f"{expression_of(flood)} and dst host {SERVER}")) >= 290
    assert 5 <= len(lines(path, f"tcp[tcpflags] == tcp-syn and src host {calls.attacker} and port 443")) <= 8
    assert lines(path, f"{expression_of(guesses)} and tcp port 22")
    assert len(lines(path, "udp dst port 53 and src host 10.20.0.23")) == 20
    assert lines(path, f"host {BEACON_SERVER} and src host 10.20.0.23")


def test_an_ended_context_leaves_no_process_behind():
    with office_network() as network:
        process = network.hosts["pc1"].start(sys.executable, "-c", "import time; time.sleep(60)")
        wait_until(lambda: sh("ip", "netns", "pids", network.hosts["pc1"].namespace).split())
    assert process.poll() is not None
    assert network.hosts == {}
