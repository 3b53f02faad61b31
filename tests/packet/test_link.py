import pytest
from craft import (
    arp,
    batch,
    bsd_null,
    ethernet,
    ieee8023,
    ipv4,
    ipv6,
    linux_cooked,
    linux_cooked2,
    snap,
    tcp,
    words,
)

from sensor.packet.columns import DecodeError, PacketKind
from sensor.packet.decode import Decoder

V4 = ipv4(tcp(b"hello", src_port=1234))
V6 = ipv6(tcp(b"hello", src_port=1234))


def one(frame, link_type=1, wirelen=None):
    wirelens = None if wirelen is None else [wirelen]
    return Decoder(1).decode(batch([frame], link_type=link_type, wirelens=wirelens))[0]


@pytest.mark.parametrize("packet", [V4, V6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("wrap", "link_type", "has_ethertype"),
    [
        (ethernet, 1, True),
        (linux_cooked, 113, True),
        (linux_cooked2, 276, True),
        (bytes, 101, False),
        (bytes, 12, False),
        (bytes, 14, False),
        (bsd_null, 0, False),
        (lambda p: bsd_null(p, order=">"), 0, False),
        (lambda p: bsd_null(p, order=">"), 108, False),
    ],
)
def test_each_link_type_leads_to_the_same_packet(packet, wrap, link_type, has_ethertype):
    frame = wrap(packet)
    row = one(frame, link_type)
    version = packet[0] >> 4
    assert (row.error, row.kind) == (DecodeError.NONE, PacketKind.IP)
    assert (row.ip_version, row.protocol, row.src_port, row.dst_port) == (version, 6, 1234, 80)
    assert row.ethertype == ({4: 0x0800, 6: 0x86DD}[version] if has_ethertype else 0)
    assert row.ip_bytes == len(packet)
    assert frame[row.payload_offset :] == b"hello"


@pytest.mark.parametrize(("link_type", "packet"), [(228, V4), (229, V6)])
def test_link_types_of_one_ip_version(link_type, packet):
    assert one(packet, link_type).src_port == 1234
    other = V6 if packet is V4 else V4.ljust(60, b"\0")
    assert one(other, link_type).error == DecodeError.BAD_IP_VERSION


def test_mac_addresses_come_from_the_link():
    row = one(ethernet(V4, src="02:aa:bb:cc:dd:01", dst="ff:ff:ff:ff:ff:ff"))
    assert (row.src_mac, row.dst_mac) == (0x02AABBCCDD01, 0xFFFFFFFFFFFF)
    for wrap, link_type in ((linux_cooked, 113), (linux_cooked2, 276)):
        row = one(wrap(V4, src="02:aa:bb:cc:dd:01"), link_type)
        assert (row.src_mac, row.dst_mac) == (0x02AABBCCDD01, 0)


@pytest.mark.parametrize("family", [10, 24, 28, 30])
def test_every_system_has_its_own_number_for_ipv6(family):
    for order in "<>":
        assert one(bsd_null(V6, family=family, order=order), 0).ip_version == 6


def test_other_address_families_are_other():
    row = one(bsd_null(V4, family=23), 0)
    assert (row.kind, row.error) == (PacketKind.OTHER, DecodeError.NONE)
    assert one(bytes.fromhex("02001234") + V4, 0).kind == PacketKind.OTHER


def test_raw_ip_of_no_known_version():
    assert one(b"\x50" * 40, 101).error == DecodeError.BAD_IP_VERSION


@pytest.mark.parametrize(
    ("vlans", "ids"),
    [
        ([7], (7, 0)),
        ([0], (0, 0)),
        ([(0x88A8, 100), 200], (100, 200)),
        ([(0x9100, 5), (0x9200, 0xE006), (0x8100, 7)], (5, 6)),
        ([(0x8100, 0xFFFF)], (4095, 0)),
        (range(1, 9), (1, 2)),
    ],
)
def test_tags_in_any_order(vlans, ids):
    vlans = list(vlans)
    row = one(ethernet(V4, vlans=vlans))
    assert row.error == DecodeError.NONE
    assert (row.vlan, row.vlan_inner, row.vlan_tags) == (*ids, len(vlans))
    assert (row.ethertype, row.src_port) == (0x0800, 1234)
    assert one(linux_cooked(V4, vlans=vlans), 113).vlan_tags == len(vlans)


def test_a_ninth_tag_is_too_many():
    row = one(ethernet(V4, vlans=range(1, 10)))
    assert (row.error, row.kind) == (DecodeError.TOO_MANY_LAYERS, PacketKind.UNDECODED)
    assert (row.vlan, row.vlan_inner, row.vlan_tags, row.ethertype) == (1, 2, 8, 0)


def test_the_tag_that_the_nic_stripped_is_the_outermost():
    packets = batch([ethernet(V4, vlans=[20]), ethernet(V4, vlans=range(1, 9)), ethernet(V4)])
    packets.frames["vlan_tci"] = 0x6000 | 10
    packets.frames["vlan_tpid"] = [0x88A8, 0x8100, 0]
    rows = Decoder(3).decode(packets)
    assert (rows[0].vlan, rows[0].vlan_inner, rows[0].vlan_tags) == (10, 20, 2)
    assert rows[1].error == DecodeError.TOO_MANY_LAYERS
    assert (rows[2].vlan, rows[2].vlan_tags) == (0, 0)


@pytest.mark.parametrize("vlans", [(), (3,)])
def test_snap_leads_to_its_ethertype(vlans):
    row = one(ieee8023(snap(V4), vlans=vlans))
    assert (row.ethertype, row.src_port, row.vlan) == (0x0800, 1234, sum(vlans))
    tagged = snap(b"\0\x09" + b"\x08\0" + V4, ethertype=0x8100)
    assert one(ieee8023(tagged)).vlan == 9


@pytest.mark.parametrize(
    "payload",
    [
        b"\x42\x42\x03" + bytes(35),  # spanning tree
        b"\xff\xff" + bytes(40),  # Novell's raw 802.3
        snap(V4, oui=0x00000C),  # Cisco
        snap(V4, ethertype=0x0100),
    ],
)
def test_other_llc_frames_are_other(payload):
    row = one(ieee8023(payload))
    assert (row.kind, row.error, row.ethertype) == (PacketKind.OTHER, DecodeError.NONE, 0)


def test_an_unknown_ethertype_is_other_and_kept():
    row = one(ethernet(bytes(46), ethertype=0x88CC))
    assert (row.kind, row.error, row.ethertype) == (PacketKind.OTHER, DecodeError.NONE, 0x88CC)


@pytest.mark.parametrize("hardware", [770, 803, 824])
def test_cooked_captures_of_links_without_an_ethertype(hardware):
    number = hardware.to_bytes(2, "big")
    first = linux_cooked(V4)
    second = linux_cooked2(V4)
    assert one(first[:2] + number + first[4:], 113).kind == PacketKind.OTHER
    assert one(second[:8] + number + second[10:], 276).kind == PacketKind.OTHER


def test_cooked_protocols_of_linux_itself():
    assert one(linux_cooked(snap(V4), ethertype=4), 113).src_port == 1234
    assert one(linux_cooked(V4, ethertype=1), 113).kind == PacketKind.OTHER


def test_cooked_addresses_that_are_no_mac():
    frame = linux_cooked(V4)
    row = one(frame[:4] + b"\0\x08" + frame[6:], 113)
    assert (row.src_mac, row.src_port) == (0, 1234)


def test_unknown_link_types_are_counted_by_number():
    decoder = Decoder(4)
    rows = decoder.decode(batch([V4] * 3, link_type=[147, 65535, 147]))
    assert set(rows["error"]) == {DecodeError.UNKNOWN_LINK_TYPE}
    assert decoder.unknown_link_types() == {147: 2, 65535: 1}
    assert decoder.counters()["error_unknown_link_type"] == 3


@pytest.mark.parametrize(
    ("frame", "link_type"),
    [
        (ethernet(V4)[:13], 1),
        (ethernet(V4, vlans=[1])[:17], 1),
        (ieee8023(snap(V4))[:21], 1),
        (linux_cooked(V4)[:15], 113),
        (linux_cooked2(V4)[:19], 276),
        (bsd_null(V4)[:3], 0),
    ],
)
def test_a_cut_link_header(frame, link_type):
    row = one(frame, link_type, wirelen=100)
    assert (row.error, row.kind) == (DecodeError.TRUNCATED_LINK, PacketKind.UNDECODED)
    assert (row.src_lo, row.ethertype) == (0, 0)


def test_an_empty_frame():
    row = one(b"", wirelen=60)
    assert (row.error, row.wirelen, row.caplen) == (DecodeError.EMPTY_FRAME, 60, 0)


def test_arp_over_any_link():
    for wrap, link_type in ((ethernet, 1), (linux_cooked, 113), (linux_cooked2, 276)):
        row = one(wrap(arp(src="10.1.2.3", dst="10.1.2.4"), ethertype=0x0806), link_type)
        assert row.kind == PacketKind.ARP
        assert (row.src_hi, row.src_lo) == words("10.1.2.3")
        assert (row.dst_hi, row.dst_lo) == words("10.1.2.4")
