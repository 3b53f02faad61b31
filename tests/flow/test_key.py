"""Which packets share a key."""

import numpy as np
import pytest
from flow_packets import GRE, HOSTS, ICMP, ICMPV6, UDP, packet, packet_rows, packets, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.meter import NaiveMeter
from naive.siphash import siphash

from sensor.flow.key import KEY_SETTINGS, KeyCause, KeyMark, key_packets, new_keys
from sensor.packet.columns import DecodeError, FragmentFlag, PacketKind

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def keyed(*many, vlan_in_key=True, tunnel_in_key=False, secret=(1, 2), first=0):
    settings_row = np.zeros(1, KEY_SETTINGS)
    settings_row["k0"], settings_row["k1"] = (np.uint64(word) for word in secret)
    settings_row["vlan_in_key"] = vlan_in_key
    settings_row["tunnel_in_key"] = tunnel_in_key
    keys = new_keys(first + len(many))
    key_packets(packet_rows(many), keys, first, settings_row)
    return keys


def keys_of(*many, **keywords):
    return keyed(*many, **keywords).rows


def hashes_of(*many, **keywords):
    return [int(value) for value in keyed(*many, **keywords).hashes]


def test_both_directions_have_one_hash():
    there, back = hashes_of(packet(), reply(0))
    assert there == back


def test_every_part_of_the_key_changes_the_hash():
    changed = [
        {"src_port": 4001},
        {"dst_port": 81},
        {"protocol": UDP},
        {"vlan": 5},
        {"src_lo": 7},
        {"dst_lo": 7},
    ]
    v6 = [{"src": 2, "dst": 3} | change for change in [{}, *changed, {"src_hi": 5}, {"dst_hi": 5}]]
    hashes = hashes_of(packet(), *[packet(**fields) for fields in changed + v6])
    assert len(set(hashes)) == len(hashes)


def test_the_vlan_counts_only_when_it_is_part_of_the_key():
    apart = hashes_of(packet(), packet(vlan=5))
    together = hashes_of(packet(), packet(vlan=5), vlan_in_key=False)
    assert apart[0] != apart[1]
    assert together[0] == together[1]


def test_the_secret_changes_the_hash():
    assert hashes_of(packet(), secret=(1, 2)) != hashes_of(packet(), secret=(1, 3))


def test_mapped_ipv4_and_ipv6_of_the_same_bits_are_two_flows():
    four, six = hashes_of(packet(src=0, dst=0), packet(src=4, dst=4))
    assert HOSTS[0][:2] == HOSTS[4][:2]
    assert four != six


def test_the_hash_is_siphash_of_the_canonical_key():
    rest = (80 << 48) | (4000 << 32) | (7 << 16) | 6
    words = [(0x0A00_0001 << 32) | 0x0A00_0002, rest]
    message = b"".join(word.to_bytes(8, "little") for word in words)
    # Host 1 sends from 4000 to host 0's 80: the smaller end, host 0, goes first.
    assert hashes_of(packet(src=1, dst=0, vlan=7)) == [siphash(message, 1, 2)]


@pytest.mark.parametrize(
    ("protocol", "request_type", "reply_type"),
    [(ICMP, 8, 0), (ICMP, 13, 14), (ICMP, 17, 18), (ICMPV6, 128, 129), (ICMPV6, 135, 136)],
)
def test_icmp_request_and_reply_share_a_key(protocol, request_type, reply_type):
    there = packet(protocol=protocol, src_port=request_type, dst_port=0)
    back = packet(src=1, dst=0, protocol=protocol, src_port=reply_type, dst_port=0)
    keys = keys_of(there, back)
    assert len(set(hashes_of(there, back))) == 1
    assert keys["src_port"].tolist() == [request_type, reply_type]
    assert keys["dst_port"].tolist() == [reply_type, request_type]
    assert (keys["mark"] == KeyMark.TWO_WAY).all()


def test_icmp_errors_go_one_way():
    there = packet(protocol=ICMP, src_port=3, dst_port=3)
    back = packet(src=1, dst=0, protocol=ICMP, src_port=3, dst_port=3)
    assert len(set(hashes_of(there, back))) == 2
    assert (keys_of(there, back)["mark"] == KeyMark.ONE_WAY).all()


def test_later_fragments_of_a_datagram_share_a_key_of_their_own():
    first = packet(fragment_offset=8, fragment_id=0x1234_5678)
    same = packet(fragment_offset=1480, fragment_id=0x1234_5678, src_port=9, dst_port=9)
    others = [
        packet(fragment_offset=8, fragment_id=0x1234_5679),
        packet(fragment_offset=8, fragment_id=0x1234_5678, protocol=UDP),
        packet(src=1, dst=0, fragment_offset=8, fragment_id=0x1234_5678),
        packet(src_port=0x1234, dst_port=0x5678),
    ]
    keys = keys_of(first, same, *others)
    hashes = hashes_of(first, same, *others)
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 5
    assert keys["mark"].tolist() == [KeyMark.FRAGMENTS] * 5 + [KeyMark.TWO_WAY]
    assert (keys["src_port"][0], keys["dst_port"][0]) == (0x1234, 0x5678)


def test_a_later_fragment_with_known_ports_has_its_flows_key():
    known = packet(fragment_offset=8, fragment_flags=FragmentFlag.PORTS_KNOWN, fragment_id=7)
    assert len(set(hashes_of(packet(), known))) == 1
    echo = packet(protocol=ICMP, src_port=8, fragment_offset=8, fragment_flags=FragmentFlag.PORTS_KNOWN)
    assert len(set(hashes_of(packet(protocol=ICMP, src_port=8), echo))) == 1


def test_a_later_fragment_of_a_protocol_without_ports_needs_none():
    plain = packet(protocol=GRE, src_port=0, dst_port=0)
    assert len(set(hashes_of(plain, plain | {"fragment_offset": 8, "fragment_id": 5}))) == 1


def test_the_tunnel_counts_only_when_it_is_part_of_the_key():
    many = [packet(), packet(tunnel_id=5), packet(src=2, dst=3), packet(src=2, dst=3, tunnel_id=5)]
    assert len(set(hashes_of(*many))) == 2
    assert len(set(hashes_of(*many, tunnel_in_key=True))) == 4


def test_keys_begin_at_the_row_that_is_named():
    many = [packet(), packet(src=2, dst=3), packet(vlan=3)]
    keys = keyed(*many, first=2)
    assert keys.hashes[2:].tolist() == hashes_of(*many)
    assert keys.hashes[:2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({}, KeyCause.NONE),
        ({"error": DecodeError.TRUNCATED_TRANSPORT}, KeyCause.NONE),
        ({"error": DecodeError.BAD_TRANSPORT_HEADER}, KeyCause.NONE),
        ({"error": DecodeError.TRUNCATED_NETWORK}, KeyCause.UNDECODED),
        ({"error": DecodeError.BAD_IP_TOTAL_LENGTH}, KeyCause.UNDECODED),
        ({"ip_version": 0}, KeyCause.UNDECODED),
        ({"kind": PacketKind.UNDECODED}, KeyCause.UNDECODED),
        ({"kind": PacketKind.ARP}, KeyCause.ARP),
        ({"kind": PacketKind.OTHER}, KeyCause.OTHER),
        ({"kind": PacketKind.DUPLICATE}, KeyCause.DUPLICATE),
        ({"kind": 200}, KeyCause.UNDECODED),
    ],
)
def test_a_packet_without_flow_says_why(fields, cause):
    assert keys_of(packet(**fields))["cause"][0] == cause


@given(st.lists(packets(max_size=2), min_size=1, max_size=10))
@settings(deadline=None)
def test_equal_hashes_mean_equal_keys(lists):
    many = [p for batch in lists for p in batch]
    twin = NaiveMeter(1)
    found = {}
    for p, key, hashed in zip(many, keys_of(*many), hashes_of(*many), strict=True):
        if key["cause"] == KeyCause.NONE:
            src, dst, one_way = twin.ends(p)
            ends = (src, dst) if one_way else frozenset((src, dst))
            plain = (ends, p["protocol"], p["ip_version"], p["vlan"], one_way)
            assert found.setdefault(hashed, plain) == plain
    assert len(found) == len(set(found.values()))
