"""Under overload the meter takes a part of a flood; what is said of hosts stays true."""

from __future__ import annotations

import functools
import ipaddress
import random
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from craft import batch
from flooded import attempts
from hypothesis import given, settings
from hypothesis import strategies as st
from ordinary import KEY, SECOND, SMALL, START, conversation, traffic

from sensor.alert.alert import Alert
from sensor.engine import Engine
from sensor.feature.extractor import Extractor
from sensor.feature.schema import HOST_FEATURES
from sensor.metering import Metering, WindowEnd
from sensor.packet.batch import PacketBatch
from sensor.packet.columns import V4_MAPPED
from sensor.settings import FeatureSettings, FlowSettings

#: No table fills.
ROOMY = replace(
    SMALL,
    flow=FlowSettings(capacity=40_000, active_timeout_secs=60.0),
    feature=FeatureSettings(hosts=32_768),
)
VICTIM, SCANNER = "10.0.2.1", "10.0.0.66"
FLOOD, FLOOD_SECS = 20_000, 4
FLOOD_AT = START + 30 * SECOND
COLUMN = {feature.name: number for number, feature in enumerate(HOST_FEATURES)}
#: What each packet says by itself, and what is an estimate anyhow: how wrong either may be.
EXACT = dict.fromkeys(
    ("packets_out", "packets_in", "bytes_out", "bytes_in", "dns_queries", "arp_targets"), 1e-9
)
CARDINALITIES = dict.fromkeys(("peers_out", "services_out", "sources_in"), 0.05)
#: What differs between two runs without being about the flow.
_NAMES = ("flow_id", "claim")

Rows = dict[tuple[int, int], npt.NDArray[np.float64]]


class Measured(NamedTuple):
    """What a run says: host rows by (window, address), flow records, the meter's counters."""

    rows: Rows
    flows: npt.NDArray[np.void]
    counters: dict[str, int]


@functools.cache
def packets(seed: int) -> list[tuple[int, bytes]]:
    """Return ordinary traffic with a scan, a flood of another host, and what others do meanwhile."""
    rng = random.Random(seed)
    step = FLOOD_SECS * SECOND // FLOOD
    flood = [
        (FLOOD_AT + number * step, frame.tobytes()) for number, frame in enumerate(attempts(FLOOD, VICTIM))
    ]
    meanwhile = [
        (FLOOD_AT + number * SECOND // 100 + place * 1_000_000, frame)
        for number in range(100 * FLOOD_SECS)
        for place, frame in enumerate(
            conversation(rng, f"10.0.0.{rng.randrange(2, 14)}", f"10.0.1.{rng.randrange(1, 5)}", 443)
        )
    ]
    return sorted(traffic(seed, seconds=60) + flood + meanwhile, key=lambda packet: packet[0])


def batches(seed: int, sampling: int, size: int = 997) -> list[PacketBatch]:
    """Return the packets in batches of `size` that the source gives under overload."""
    all_packets = packets(seed)
    parts = [all_packets[first : first + size] for first in range(0, len(all_packets), size)]
    return [
        batch([frame for _, frame in part], [time for time, _ in part])._replace(sampling=sampling)
        for part in parts
    ]


def measure(given_batches: list[PacketBatch]) -> Measured:
    metering, extractor = Metering(ROOMY, KEY), Extractor(ROOMY.feature, ROOMY.flow.capacity, KEY)
    rows: Rows = {}
    flows = [part for one in (*given_batches, None) for part in _taken(metering, extractor, rows, one)]
    return Measured(rows, np.concatenate(flows), metering.counters()["flow"])


def _taken(
    metering: Metering, extractor: Extractor, rows: Rows, one: PacketBatch | None
) -> list[npt.NDArray[np.void]]:
    """Take in a batch, or the end, and return the records that left."""
    flows = []
    for part in metering.flush() if one is None else metering.take(one):
        extractor.start(part.window)
        if isinstance(part, WindowEnd):
            closed = extractor.close()
            for row, x in zip(closed.rows, closed.x, strict=True):
                rows[part.window, int(row["lo"])] = np.expm1(x)
        else:
            extractor.observe(part.packets, part.events)
            flows.append(part.flows.copy())
    return flows


def low(address: str) -> int:
    return V4_MAPPED + int(ipaddress.ip_address(address))


def alerts_of(given_batches: list[PacketBatch]) -> list[Alert]:
    engine = Engine(ROOMY, KEY)
    return [alert for one in given_batches for alert in engine.process(one)] + engine.flush()


@functools.cache
def whole(seed: int) -> Measured:
    return measure(batches(seed, sampling=1))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(1, 2), sampling=st.sampled_from([2, 8, 64]), size=st.integers(50, 5_000))
def test_of_a_flood_a_part_is_metered_and_hosts_are_measured_as_if_it_were_all(seed, sampling, size):
    expected, found = whole(seed), measure(batches(seed, sampling, size))
    assert found.counters["packets_shed"] > FLOOD // 4
    assert found.counters["packets"] == expected.counters["packets"]
    assert found.rows.keys() == expected.rows.keys()
    rows, real_rows = (np.stack([one.rows[who] for who in expected.rows]) for one in (found, expected))
    for name, tolerance in (EXACT | CARDINALITIES).items():
        at = COLUMN[name]
        np.testing.assert_allclose(rows[:, at], real_rows[:, at], rtol=tolerance, atol=1e-6, err_msg=name)
    window = FLOOD_AT // (10 * SECOND)
    victim, real = (one.rows[window, low(VICTIM)] for one in (found, expected))
    for name in ("flows_in", "unanswered_in", "half_open_in"):
        assert victim[COLUMN[name]] == pytest.approx(real[COLUMN[name]], rel=0.25), name


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(1, 2), sampling=st.sampled_from([2, 8, 64]))
def test_flows_of_everybody_else_are_metered_as_ever(seed, sampling):
    assert ordinary_flows(measure(batches(seed, sampling))) == ordinary_flows(whole(seed))


def ordinary_flows(measured: Measured) -> list[tuple[object, ...]]:
    """Return the records of flows that neither scanner nor flood has a part in."""
    loud = (measured.flows["src_lo"] == low(SCANNER)) | (measured.flows["dst_lo"] == low(VICTIM))
    fields = [name for name in measured.flows.dtype.names if name not in _NAMES]
    quiet = measured.flows[~loud]
    assert len(quiet) > 100
    assert set(quiet["sampling"]) == {1}
    return sorted(tuple(row[name].tobytes() for name in fields) for row in quiet)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("sampling", [8, 64])
def test_no_incident_is_missed_and_alerts_say_that_flows_were_sampled(seed, sampling):
    expected, found = alerts_of(batches(seed, 1)), alerts_of(batches(seed, sampling))
    opened = {(alert.kind.id, alert.entity) for alert in found}
    assert opened == {(alert.kind.id, alert.entity) for alert in expected}
    assert {("flood", VICTIM), ("port_scan", SCANNER)} <= opened
    assert {alert.sampling for alert in found if not alert.kind.about_sensor} == {sampling}
    assert {alert.sampling for alert in expected} == {1}
