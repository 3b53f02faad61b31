"""What flows keep of what their ends said, and how long."""

import numpy as np
import pytest
from flow_packets import ACK, PSH, RST, SECOND, START, UDP, packet, packet_rows, reply

from sensor.flow import meter as meter_module
from sensor.flow.meter import Meter
from sensor.packet.application import Application
from sensor.packet.claim import claim_text

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def query(name):
    """Return a DNS query for the address of `name`."""
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b"."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"


def response(name):
    return b"\x12\x34\x81\x83" + query(name)[4:]


class Wire:
    """Packets with payloads, and the bytes they point into."""

    def __init__(self):
        self.data, self.packets = b"", []

    def add(self, p, payload):
        p |= {
            "payload_offset": len(self.data),
            "payload_bytes": len(payload),
            "payload_captured": len(payload),
        }
        self.packets.append(p)
        self.data += payload

    def ask(self, number, time=START):
        self.add(packet(time, protocol=UDP, src_port=number, dst_port=53), query(b"host%d.test" % number))

    def answer(self, number, time=START):
        p = reply(time, protocol=UDP, src_port=53, dst_port=number)
        self.add(p, response(b"host%d.test" % number))


def metered(meter, wire):
    """Return (record, its claim or None) of all that left, in order."""
    found = []
    for step in meter.observe(packet_rows(wire.packets), np.frombuffer(wire.data, np.uint8)):
        found += paired(step.flows, step.claims)
    return found


def flushed(meter, flows):
    return [pair for rows in flows for pair in paired(rows, meter.claims)]


def paired(flows, claims):
    assert sorted(flows["claim"][flows["claim"] >= 0]) == list(range(len(claims)))
    return [(row.copy(), claims[row["claim"]].copy() if row["claim"] >= 0 else None) for row in flows]


def test_a_question_and_its_answer_are_one_claim():
    wire, meter = Wire(), Meter(capacity=10, key=(1, 2))
    wire.ask(7)
    wire.answer(7)
    assert metered(meter, wire) == []
    ((flow, claim),) = flushed(meter, meter.flush())
    assert flow["application"] == claim["application"] == Application.DNS
    assert claim_text(claim, "name") == "host7.test"
    assert claim["dns_rcode"] == 3


def test_what_nobody_knows_takes_no_row():
    wire, meter = Wire(), Meter(capacity=10, key=(1, 2))
    wire.add(packet(protocol=UDP, src_port=40_000, dst_port=40_001), b"\x00\x01nothing anybody knows")
    wire.add(packet(protocol=47, src_port=0, dst_port=0), query(b"host.test"))
    metered(meter, wire)
    assert [(flow["application"], claim) for flow, claim in flushed(meter, meter.flush())] == [(0, None)] * 2
    assert meter._state["claims_free"] == 10


def test_each_flow_has_its_own_and_rows_are_lent_again():
    meter = Meter(capacity=4, key=(1, 2))
    for round_ in range(3):
        wire = Wire()
        for number in range(1, 7):
            wire.ask(number, START + round_ * 100 * SECOND)
        pairs = metered(meter, wire) + flushed(meter, meter.advance(START + (round_ * 100 + 50) * SECOND))
        assert len(pairs) == 6
        for flow, claim in pairs:
            assert claim_text(claim, "name") == f"host{flow['src_port']}.test"
    assert meter._state["claims_free"] == 4
    assert meter.counters()["claims_refused"] == 0


def test_when_all_rows_are_lent_a_claim_is_refused_and_counted(monkeypatch):
    monkeypatch.setattr(meter_module, "MOST_CLAIMS", 2)
    meter, wire = Meter(capacity=10, key=(1, 2)), Wire()
    for number in range(1, 5):
        wire.ask(number)
    for number in range(1, 5):
        wire.answer(number)
    metered(meter, wire)
    pairs = flushed(meter, meter.flush())
    assert [flow["application"] for flow, _ in pairs] == [Application.DNS] * 4
    assert [claim is not None for _, claim in pairs] == [True, True, False, False]
    # Both of its directions were refused.
    assert meter.counters()["claims_refused"] == 4
    assert meter._state["claims_free"] == 2


def test_the_parts_of_a_flow_that_the_active_timeout_cuts_have_one_claim():
    meter, wire = Meter(capacity=10, active_timeout_secs=40.0, key=(1, 2)), Wire()
    request = b"GET /path HTTP/1.1\r\nHost: web.test\r\n\r\n"
    wire.add(packet(START, tcp_flags=ACK | PSH), request)
    wire.add(
        packet(START + 25 * SECOND, tcp_flags=ACK | PSH), b"GET /other HTTP/1.1\r\nHost: other.test\r\n\r\n"
    )
    wire.add(
        packet(START + 45 * SECOND, tcp_flags=ACK | PSH), b"GET /third HTTP/1.1\r\nHost: third.test\r\n\r\n"
    )
    pairs = metered(meter, wire) + flushed(meter, meter.flush())
    assert [claim_text(claim, "target") for _, claim in pairs] == ["/path", "/path"]
    assert [bool(flow["continued"]) for flow, _ in pairs] == [False, True]
    assert meter._state["claims_free"] == 10


def test_a_new_flow_in_the_same_place_has_not_the_old_ones_claim():
    meter, wire = Meter(capacity=10, key=(1, 2)), Wire()
    wire.add(packet(START, tcp_flags=ACK | PSH), b"GET /path HTTP/1.1\r\nHost: web.test\r\n\r\n")
    wire.packets.append(packet(START, tcp_flags=RST))
    wire.packets.append(packet(START, tcp_flags=2))
    pairs = metered(meter, wire) + flushed(meter, meter.flush())
    assert [claim is not None for _, claim in pairs] == [True, False]
    assert meter._state["claims_free"] == 10


@pytest.mark.parametrize("field", ["payload_captured", "payload_offset"])
def test_a_payload_that_is_not_there_is_not_read(field):
    meter, wire = Meter(capacity=10, key=(1, 2)), Wire()
    wire.ask(7)
    wire.packets[0][field] += 1000
    metered(meter, wire)
    ((flow, claim),) = flushed(meter, meter.flush())
    assert (flow["application"], claim) == (0, None)


def test_who_shows_no_claims_reads_none():
    wire = Wire()
    wire.ask(1)
    wire.answer(1)
    for claims in (True, False):
        meter = Meter(capacity=4, key=(1, 2), claims=claims)
        ((record, claim),) = metered(meter, wire) + flushed(meter, meter.flush())
        assert (record["application"] == Application.DNS) == claims
        assert (claim is not None) == claims
        assert meter.counters()["claims_refused"] == 0
