"""From frames to records: crafted frames, and real captures where they are."""

from pathlib import Path

import numpy as np
import pytest
from craft import ACK, SYN, TCP, UDP, batch, ethernet, ipv4, tcp, udp

from sensor.flow.meter import Meter
from sensor.flow.record import Handshake
from sensor.packet.decode import Decoder
from sensor.sources.capture_file import CaptureFiles

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
DATA = Path(__file__).resolve().parents[2] / "../shared/data"
#: Enough to be of many kinds, few enough to be quick.
MOST_CAPTURES = 25
SIZES = range(20_000, 400_000)
TICK = 10**8


def captures():
    paths = sorted(path for pattern in ("*.pcap", "*.pcapng") for path in DATA.rglob(pattern))
    fitting = [path for path in paths if path.stat().st_size in SIZES]
    return fitting[:: max(1, len(fitting) // MOST_CAPTURES)]


def metered(paths, batch_frames, *, ticks):
    meter, decoder = Meter(capacity=64, key=(1, 2)), Decoder(batch_frames)
    rows, latest = [], 0
    for packet_batch in CaptureFiles(paths, batch_frames):
        decoded = decoder.decode(packet_batch)
        if ticks and len(decoded):
            # Idle ticks up to just before the next packet.
            latest = max(latest, int(decoded["time"][0]) - TICK)
            for flows in meter.advance(latest):
                rows += told(flows, meter.claims)
        for step in meter.observe(decoded, packet_batch.data):
            rows += told(step.flows, step.claims)
    for flows in meter.flush():
        rows += told(flows, meter.claims)
    return rows, meter.counters()


def told(flows, claims):
    """Return records and claims as plain values: which row of `claims` it is depends on the cuts."""
    said = [claims[row].tobytes() if row >= 0 else b"" for row in flows["claim"]]
    flows = flows.copy()
    flows["claim"] = 0
    return [(row.item(), claim) for row, claim in zip(flows, said, strict=True)]


def test_frames_become_a_flow():
    there = [tcp(b"", src_port=4000, dst_port=80, flags=SYN, seq=7)]
    there += [tcp(b"", src_port=4000, dst_port=80, flags=ACK, seq=8)]
    there += [tcp(b"GET / HTTP/1.1\r\n\r\n", src_port=4000, dst_port=80, flags=ACK, seq=8)]
    back = tcp(b"", src_port=80, dst_port=4000, flags=SYN | ACK, seq=9)
    frames = [ethernet(ipv4(segment, src="10.0.0.1", dst="10.0.0.2", proto=TCP)) for segment in there]
    frames.insert(1, ethernet(ipv4(back, src="10.0.0.2", dst="10.0.0.1", proto=TCP)))
    frames.append(
        ethernet(ipv4(udp(b"x", src_port=5, dst_port=53), src="10.0.0.1", dst="10.0.0.2", proto=UDP))
    )
    packet_batch = batch(frames, list(range(1, len(frames) + 1)))
    meter = Meter(capacity=8, key=(1, 2))
    for _ in meter.observe(Decoder(8).decode(packet_batch), packet_batch.data):
        pass
    udp_flow, tcp_flow = np.concatenate([flows.copy() for flows in meter.flush()])
    assert tcp_flow["handshake"] == Handshake.ESTABLISHED
    assert (tcp_flow["synack_delay"], tcp_flow["ack_delay"]) == (1, 1)
    assert (tcp_flow["packets"], tcp_flow["reverse_packets"]) == (3, 1)
    assert int(tcp_flow["first_payload_hi"]).to_bytes(8, "big") == b"GET / HT"
    assert (tcp_flow["first_payload_bytes"], tcp_flow["bytes"]) == (18, 40 * 3 + 18)
    assert (udp_flow["dst_port"], udp_flow["payload_bytes"]) == (53, 1)


@pytest.mark.data
def test_real_captures_give_the_same_records_wherever_they_are_cut():
    paths = captures()
    if not paths:
        pytest.skip("the folder of real captures is not here")
    packets = 0
    for path in paths:
        whole, counters = metered([path], 8192, ticks=False)
        cut, cut_counters = metered([path], 37, ticks=True)
        assert cut == whole, path
        assert cut_counters == counters, path
        assert counters["chain_walk_limit"] == 0
        packets += counters["packets"]
    assert packets > 1000
