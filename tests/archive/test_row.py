"""Each archived column, against numbers worked out by hand or with numpy."""

import numpy as np
import pytest
from flow_examples import connection, query, records
from flow_packets import START
from hypothesis import given
from hypothesis import strategies as st

from sensor.archive.row import COLUMNS, columns, moments
from sensor.flow.record import FLOW

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def rows():
    table = columns(records(connection() + query()))
    assert list(table) == list(COLUMNS)
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def test_a_connection_reads_as_it_was():
    row = rows()[0]
    assert row["flow_id"] == 1
    assert row["community_id"].startswith("1:")
    assert (row["start"], row["start_ns"]) == ("2020-09-13T12:26:40.000000000Z", START)
    assert row["end"] == "2020-09-13T12:26:43.200000000Z"
    assert row["duration_secs"] == 3.2
    assert (row["src_ip"], row["src_port"], row["dst_ip"], row["dst_port"]) == (
        "10.0.0.1",
        4000,
        "10.0.0.2",
        80,
    )
    assert (row["src_mac"], row["dst_mac"]) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (row["ip_version"], row["protocol"], row["vlan"]) == (4, 6, 0)
    assert (row["handshake"], row["end_reason"], row["continued"]) == ("established", "end_of_flow", False)
    assert (row["synack_delay_secs"], row["ack_delay_secs"]) == (0.1, 0.2)
    assert (row["idle_secs"], row["idle_periods"]) == (2.6, 1)


def test_one_direction_reads_as_it_was():
    row = rows()[0]
    lengths = [40, 40, 60, 40]
    assert (row["packets"], row["bytes"], row["payload_bytes"]) == (4, 180, 20)
    assert (row["length_min"], row["length_max"], row["length_mean"]) == (40, 60, 45.0)
    assert row["length_sd"] == pytest.approx(np.std(lengths))
    gaps = [0.3, 0.1, 2.7]
    assert (row["interval_min_secs"], row["interval_max_secs"]) == (0.1, 2.7)
    assert row["interval_mean_secs"] == pytest.approx(np.mean(gaps))
    assert row["interval_sd_secs"] == pytest.approx(np.std(gaps))
    assert (row["fin"], row["syn"], row["rst"], row["psh"], row["ack"], row["urg"]) == (1, 1, 0, 1, 3, 0)
    assert row["tcp_flags"] == "APSF"
    assert (row["first_payload_bytes"], row["first_payload"]) == (20, bytes(range(5, 21)).hex())


def test_the_other_direction_reads_as_it_was():
    row = rows()[0]
    assert (row["reverse_packets"], row["reverse_bytes"], row["reverse_payload_bytes"]) == (3, 129, 9)
    # Five of nine bytes were captured; the rest are zeros.
    assert (row["reverse_first_payload_bytes"], row["reverse_first_payload"]) == (9, "010203040500000000")


def test_an_unanswered_query_reads_as_it_was():
    row = rows()[1]
    assert (row["src_ip"], row["dst_ip"], row["ip_version"], row["vlan"]) == (
        "2001:db8::1",
        "2001:db8::2",
        6,
        7,
    )
    assert (row["handshake"], row["end_reason"]) == ("none", "forced_end")
    assert (row["packets"], row["reverse_packets"], row["duration_secs"]) == (1, 0, 0.0)
    assert (row["reverse_length_mean"], row["interval_mean_secs"], row["interval_sd_secs"]) == (0.0, 0.0, 0.0)
    assert (row["first_payload"], row["tcp_flags"]) == ("", "")


def test_values_are_of_the_kind_that_is_announced():
    for row in rows():
        assert {name: type(value) for name, value in row.items()} == dict(COLUMNS)


def test_no_flows_give_empty_columns():
    table = columns(np.zeros(0, FLOW))
    assert list(table) == list(COLUMNS)
    assert all(len(values) == 0 for values in table.values())


@given(st.lists(st.integers(0, 65535), max_size=30))
def test_moments_are_those_of_numpy(values):
    total, squares = float(sum(values)), float(sum(value * value for value in values))
    mean, sd = moments(np.array([total]), np.array([squares]), np.array([float(len(values))]))
    if not values:
        assert (mean[0], sd[0]) == (0.0, 0.0)
    else:
        assert mean[0] == pytest.approx(np.mean(values))
        # The square root enlarges the rounding of the difference under it.
        assert sd[0] == pytest.approx(np.std(values), rel=1e-6, abs=1e-2)
