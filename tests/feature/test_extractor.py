"""The extractor as the engine drives it: start, observe, close, learn."""

import numpy as np
import pytest
from flow_packets import packet, packet_rows
from host_audit import audit

from sensor.feature.extractor import Extractor
from sensor.feature.schema import HOST_FEATURES, groups, names
from sensor.flow.record import FLOW, FLOW_EVENT
from sensor.settings import FeatureSettings

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def an_extractor(**settings):
    return Extractor(FeatureSettings(**({"hosts": 8} | settings)), 4, (1, 2))


def observe(extractor, values, bits=1, side=0):
    events = np.zeros(1, FLOW_EVENT)
    events[0] = (0, bits, side, 1)
    extractor.observe(packet_rows([values]), events)


def converse(extractor):
    observe(extractor, packet(protocol=17))
    observe(extractor, packet(src=1, dst=0, protocol=17), 2, 1)


def test_an_idle_window_has_no_rows():
    extractor = an_extractor()
    extractor.start(3)
    assert extractor.idle
    closed = extractor.close()
    assert closed.rows.shape == (0,)
    assert closed.x.shape == closed.usual.shape == (0, len(HOST_FEATURES))
    extractor.learn(closed, np.ones(0, np.bool_))
    observe(extractor, packet())
    assert not extractor.idle
    assert extractor.hosts == 2


def test_close_lends_its_arrays():
    extractor = an_extractor()
    extractor.start(1)
    converse(extractor)
    first = extractor.close()
    kept = first.x.copy()
    extractor.start(2)
    for _ in range(5):
        observe(extractor, packet(protocol=17), 0)
    second = extractor.close()
    assert np.shares_memory(first.x, second.x)
    assert np.shares_memory(first.rows, second.rows)
    assert not np.array_equal(first.x, kept)
    # The number of windows is a copy: `learn` changes it in the table.
    extractor.learn(second, np.ones(len(second.rows), np.bool_))
    assert second.windows.tolist() == [0] * len(second.rows)


def test_what_was_learned_becomes_usual():
    extractor = an_extractor()
    extractor._floors[:] = np.log1p(0.5)  # below one packet
    for window in range(1, 5):
        extractor.start(window)
        converse(extractor)
        closed = extractor.close()
        assert closed.windows.tolist() == [window - 1] * 2
        # Nobody asks for the limits of values at or below their floors.
        assert (closed.usual > 0).tolist() == ((closed.x > extractor._floors) & (window > 1)).tolist()
        if window > 1:
            assert (closed.usual >= np.where(closed.x > extractor._floors, closed.x - 1e-6, 0)).all()
        extractor.learn(closed, np.ones(2, np.bool_))


def test_refused_rows_teach_nothing():
    extractor = an_extractor()
    for window in range(3):
        extractor.start(window)
        converse(extractor)
        closed = extractor.close()
        extractor.learn(closed, np.zeros(2, np.bool_))
        assert not closed.usual.any()
        assert not closed.windows.any()


def test_odd_flows_count_at_their_initiator_while_it_is_active():
    extractor = an_extractor()
    extractor.start(1)
    observe(extractor, packet())
    flows = np.zeros(4, FLOW)
    mine = packet()
    for name in ("src_hi", "src_lo"):
        flows[name] = mine[name]
    flows["src_lo"][3] = 99  # nobody here
    extractor.mark_odd(flows[[True, False, True, True]])
    column = names(HOST_FEATURES).index("odd_flows")
    assert np.expm1(extractor.close().x[:, column]).round(6).tolist() == [2, 0]
    extractor.start(2)
    extractor.mark_odd(flows)
    assert extractor.idle
    observe(extractor, packet())
    assert extractor.close().x[0, column] == 0


LIES = ("unanswered_out", "refused_out", "failed_damped", "unanswered_in", "half_open_in")


def columns_of(closed, wanted):
    return np.expm1(closed.x[:, [names(HOST_FEATURES).index(name) for name in wanted]]).round(6)


def test_a_one_way_mirror_says_nothing_of_missing_answers():
    extractor = an_extractor()
    for window, one_way in enumerate((False, True, False)):
        extractor.start(window)
        for _ in range(3):
            observe(extractor, packet(tcp_flags=2))
        observe(extractor, packet(), bits=8)
        closed = extractor.close(one_way=one_way)
        told = columns_of(closed, LIES)
        assert told.any() != one_way
        assert columns_of(closed, ("flows_in", "peers_out", "packets_out")).max(axis=0).tolist() == [3, 1, 4]
    # What was not counted while one direction was missing does not come later.
    assert told[0, 2] == pytest.approx(4 + 4 * 0.5 ** (2 * 10 / 600))


@pytest.mark.parametrize(("packets", "alive"), [(1, False), (7, False), (8, True), (30, True)])
def test_in_a_one_way_mirror_who_goes_on_sending_teaches_and_is_kept(packets, alive):
    extractor = an_extractor(hosts=3)
    extractor.start(1)
    for number in range(packets):
        observe(extractor, packet(), int(number < 2))  # two flows
    closed = extractor.close(one_way=True)
    assert closed.rows["teaches"].tolist() == [int(alive), 0]
    extractor.start(2)
    for number in range(5):
        observe(extractor, packet(src_lo=100 + number, src_hi=1 << 60, dst_lo=200 + number, dst_hi=1 << 60))
    _, known = audit(extractor._table)
    assert (0 in known) == alive
    extractor.start(3)
    created = extractor.counters()["hosts_created"]
    observe(extractor, packet(dst_lo=300, dst_hi=1 << 60), 0)
    assert extractor.counters()["hosts_created"] - created == (1 if alive else 2)


def test_with_both_directions_many_packets_alone_do_not_teach():
    extractor = an_extractor()
    extractor.start(1)
    for number in range(30):
        observe(extractor, packet(), int(number == 0))
    assert not extractor.close().rows["teaches"].any()


def test_counters_add_up():
    extractor = an_extractor(hosts=2)
    for number in range(4):
        observe(extractor, packet(src_lo=100 + number, src_hi=1 << 60))
    counters = extractor.counters()
    assert counters["hosts"] == 2
    assert counters["hosts_created"] - counters["hosts_evicted"] == 2
    assert counters["hosts_evicted_active"] == counters["hosts_evicted"] == 3
    assert counters["chain_walk_limit"] == 0


def test_schema_has_each_column_in_one_group_and_words_for_it():
    found = groups(HOST_FEATURES)
    assert sorted(column for columns in found.values() for column in columns) == list(
        range(len(HOST_FEATURES))
    )
    assert len(set(names(HOST_FEATURES))) == len(HOST_FEATURES)
    for feature in HOST_FEATURES:
        assert feature.floor > 0
        assert feature.noun
        assert feature.noun.isascii()
