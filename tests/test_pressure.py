"""A flood of invented flows over a small table: it is told once, and the flows of real hosts stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from craft import ACK, PSH, RST, SYN, TCP, batch, ethernet, ipv4, tcp
from flooded import answers_to, attempts, batch_of
from ordinary import KEY, SECOND, SMALL, START

from sensor.alert.alert import Alert, Status
from sensor.detection import Detection
from sensor.flow.record import FlowEvent
from sensor.metering import Metering, Observed
from sensor.packet.batch import PacketBatch, empty_batch
from sensor.settings import FeatureSettings, FlowSettings

CAPACITY, CONVERSATIONS = 4_096, 1_000
FLOOD, FLOOD_RATE = 100_000, 40_000
FLOOD_AT = START + 6 * SECOND
TIGHT = replace(SMALL, flow=FlowSettings(capacity=CAPACITY), feature=FeatureSettings(hosts=4_096))


def segment(number: int, flags: int, payload: bytes = b"", *, back: bool = False) -> bytes:
    """Return a segment of one of many conversations with a server."""
    client, port = f"10.1.{number // 200}.{1 + number % 200}", 20_000 + number
    src, dst = ("10.0.1.1", client) if back else (client, "10.0.1.1")
    ports = {"src_port": 443, "dst_port": port} if back else {"src_port": port, "dst_port": 443}
    return ethernet(ipv4(tcp(payload, flags=flags, **ports), src=src, dst=dst, proto=TCP))


def conversations(start: int, *, begin: bool) -> PacketBatch:
    """Return one step of all conversations: how they begin, or one more exchange."""
    frames = []
    for number in range(CONVERSATIONS):
        if begin:
            frames += [segment(number, SYN), segment(number, SYN | ACK, back=True), segment(number, ACK)]
        else:
            frames += [segment(number, PSH | ACK, b"question"), segment(number, PSH | ACK, b"x", back=True)]
    return batch(frames, [start + position * 1_000_000 for position in range(len(frames))])


class Run:
    """Metering and detection, with what the packets did on the way."""

    def __init__(self) -> None:
        self.metering, self.detection = Metering(TIGHT, KEY), Detection(TIGHT, KEY)
        self.alerts: list[Alert] = []

    def take(self, given: PacketBatch) -> int:
        """Take in a batch and return how many flows began in it."""
        begun = 0
        for part in self.metering.take(given):
            self.alerts += self.detection.take(part)
            if isinstance(part, Observed):
                begun += int(np.count_nonzero(part.events["bits"] & FlowEvent.NEW_FLOW))
        return begun

    def told(self, kind: str) -> list[Alert]:
        return [alert for alert in self.alerts if alert.kind.id == kind]


@pytest.fixture(scope="module", params=[0, SYN | ACK, RST | ACK], ids=["silent", "accepted", "refused"])
def flooded(request: pytest.FixtureRequest) -> tuple[Run, int]:
    """Return the run, and how many of the conversations had to begin anew after the flood.

    The victim says nothing to the flood, or accepts every attempt, or refuses it.
    """
    run = Run()
    assert run.take(conversations(START, begin=True)) == CONVERSATIONS
    run.take(conversations(START + 3 * SECOND, begin=False))
    flood = attempts(FLOOD, "10.0.1.9")
    if request.param:
        flood = np.stack([flood, answers_to(flood, request.param)], axis=1).reshape(2 * FLOOD, -1)
    rate = FLOOD_RATE * len(flood) // FLOOD
    for first in range(0, len(flood), 16_384):
        run.take(batch_of(flood[first : first + 16_384], FLOOD_AT + first * SECOND // rate, rate))
    after = FLOOD_AT + FLOOD * SECOND // FLOOD_RATE
    begun = run.take(conversations(after, begin=False))
    run.take(empty_batch(after + 60 * SECOND))
    return run, begun


def test_flows_that_were_answered_survive(flooded):
    run, begun = flooded
    flow = run.metering.counters()["flow"]
    assert flow["flows_started"] - begun == CONVERSATIONS + FLOOD
    assert flow["flows_ended_lack_of_resources"] > FLOOD - 2 * CAPACITY
    assert begun <= CONVERSATIONS // 10


def test_pressure_is_one_incident_told_within_a_window(flooded):
    run, _ = flooded
    if run.metering.counters()["flow"]["flows_evicted_unanswered"] == 0:
        assert run.told("flow_table_pressure") == []  # closed flows make room: nothing is missed
        return
    opened = [alert for alert in run.told("flow_table_pressure") if alert.incident.status is Status.OPEN]
    assert len(opened) == 1
    full = FLOOD_AT + (CAPACITY - CONVERSATIONS) * SECOND // FLOOD_RATE
    assert full <= opened[0].time <= full + 10 * SECOND
    assert {alert.incident.id for alert in run.told("flow_table_pressure")} == {opened[0].incident.id}


def test_the_flood_itself_is_told_too(flooded):
    run, _ = flooded
    assert "10.0.1.9" in {alert.entity for alert in run.told("flood")}


def test_without_a_flood_nothing_is_told():
    run = Run()
    run.take(conversations(START, begin=True))
    run.take(conversations(START + 5 * SECOND, begin=False))
    run.take(empty_batch(START + 90 * SECOND))
    assert run.alerts == []
