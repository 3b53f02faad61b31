"""Which packets share a key."""

import numpy as np
import pytest
from flow_packets import HOSTS, ICMP, ICMPV6, UDP, packet, packet_rows, packets, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.meter import NaiveMeter
from naive.siphash import siphash

from sensor.flow.key import KEY, KEY_SETTINGS, KeyCause, key_packets
from sensor.packet.columns import DecodeError, PacketKind

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def keys_of(*many, vlan_in_key=True, secret=(1, 2)):
    settings_row = np.zeros(1, KEY_SETTINGS)
    settings_row["k0"], settings_row["k1"] = (np.uint64(word) for word in secret)
    settings_row["vlan_in_key"] = vlan_in_key
    keys = np.zeros(len(many), KEY)
    key_packets(packet_rows(many), keys, settings_row)
    return keys


def hashes_of(*many, **keywords):
    return [int(value) for value in keys_of(*many, **keywords)["hash"]]


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
    assert keys["hash"][0] == keys["hash"][1]
    assert keys["src_port"].tolist() == [request_type, reply_type]
    assert keys["dst_port"].tolist() == [reply_type, request_type]
    assert not keys["one_way"].any()


def test_icmp_errors_go_one_way():
    there = packet(protocol=ICMP, src_port=3, dst_port=3)
    back = packet(src=1, dst=0, protocol=ICMP, src_port=3, dst_port=3)
    keys = keys_of(there, back)
    assert keys["hash"][0] != keys["hash"][1]
    assert keys["one_way"].all()


def test_later_fragments_have_no_ports():
    keys = keys_of(packet(fragment_offset=8), packet(fragment_offset=1480, src_port=9, dst_port=9))
    assert keys["hash"][0] == keys["hash"][1]
    assert keys["src_port"].tolist() == keys["dst_port"].tolist() == [0, 0]


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
    for p, key in zip(many, keys_of(*many), strict=True):
        if key["cause"] == KeyCause.NONE:
            src, dst, one_way = twin.ends(p)
            ends = (src, dst) if one_way else frozenset((src, dst))
            plain = (ends, p["protocol"], p["ip_version"], p["vlan"])
            assert found.setdefault(int(key["hash"]), plain) == plain
    assert len(found) == len(set(found.values()))
