"""Community ID against the specification authors' own implementation."""

import ipaddress

import communityid
import numpy as np
import pytest
from flow_packets import DATA, packet, packet_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.flow.community_id import community_id, community_id_of
from sensor.flow.meter import Meter

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
REFERENCE = communityid.CommunityID()
MAKE = {
    1: communityid.FlowTuple.make_icmp,
    6: communityid.FlowTuple.make_tcp,
    17: communityid.FlowTuple.make_udp,
    58: communityid.FlowTuple.make_icmp6,
    132: communityid.FlowTuple.make_sctp,
}
ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


def test_value_from_the_specification():
    src, dst = (ipaddress.ip_address(text).packed for text in ("128.232.110.120", "66.35.250.204"))
    assert community_id_of(src, dst, 6, 34855, 80) == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


@given(ADDRESSES, st.sampled_from([6, 17, 132]), st.integers(0, 65535), st.integers(0, 65535))
def test_protocols_with_ports_equal_the_reference(pair, protocol, sport, dport):
    src, dst = (address.packed for address in pair)
    expected = REFERENCE.calc(MAKE[protocol](src, dst, sport, dport))
    assert community_id_of(src, dst, protocol, sport, dport) == expected
    assert community_id_of(dst, src, protocol, dport, sport) == expected


@given(ADDRESSES, st.sampled_from([0, 4, 41, 47, 50, 89, 255]))
def test_other_protocols_equal_the_reference(pair, protocol):
    src, dst = (address.packed for address in pair)
    expected = REFERENCE.calc(communityid.FlowTuple(protocol, src, dst))
    assert community_id_of(src, dst, protocol, 0, 0) == expected


@given(st.booleans(), st.integers(0, 255), st.integers(0, 255))
@settings(deadline=None)
def test_a_metered_icmp_packet_equals_the_reference(v6, kind, code):
    protocol, hosts = (58, (2, 3)) if v6 else (1, (0, 1))
    p = packet(src=hosts[0], dst=hosts[1], protocol=protocol, src_port=kind, dst_port=code)
    src, dst = (ipaddress.IPv6Address((p[f"{end}_hi"] << 64) | p[f"{end}_lo"]) for end in ("src", "dst"))
    if not v6:
        src, dst = src.ipv4_mapped, dst.ipv4_mapped
    expected = REFERENCE.calc(MAKE[protocol](src.packed, dst.packed, kind, code))
    assert community_id(metered(p)) == expected


@given(st.sampled_from([6, 17, 132, 47]), st.booleans(), st.integers(0, 255))
@settings(deadline=None)
def test_both_directions_of_a_metered_flow_have_one_identifier(protocol, v6, flags):
    hosts = (2, 3) if v6 else (0, 1)
    there = packet(src=hosts[0], dst=hosts[1], protocol=protocol, tcp_flags=flags)
    back = packet(src=hosts[1], dst=hosts[0], protocol=protocol, tcp_flags=flags, src_port=80, dst_port=4000)
    assert community_id(metered(there)) == community_id(metered(back))


METER = Meter(capacity=2, key=(1, 2))


def metered(p) -> np.void:
    for _ in METER.observe(packet_rows([p]), DATA):
        pass
    (rows,) = (rows.copy() for rows in METER.flush())
    return rows[0]
