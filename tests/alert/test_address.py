"""Addresses in words, and which are ours."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alert.address import HomeNetworks, mac_text, text
from sensor.packet.columns import V4_MAPPED
from sensor.settings import PRIVATE_NETWORKS

MASK = 2**64 - 1


def v4(written):
    return 0, V4_MAPPED | int(IPv4Address(written))


def v6(written):
    return int(IPv6Address(written)) >> 64, int(IPv6Address(written)) & MASK


@given(st.ip_addresses(v=4))
def test_ipv4_is_written_as_ipv4(address):
    assert text(*v4(str(address))) == str(address)


@given(st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None))
def test_ipv6_is_written_as_rfc_5952_says(address):
    assert text(*v6(str(address))) == str(address)


def test_mac_addresses():
    assert mac_text(0x0200_5E00_5301) == "02:00:5e:00:53:01"
    assert mac_text(2**48 - 1) == "ff:ff:ff:ff:ff:ff"
    assert mac_text(0) == ""


@pytest.mark.parametrize(
    ("address", "home"),
    [
        (v4("10.0.0.0"), True),
        (v4("10.255.255.255"), True),
        (v4("11.0.0.0"), False),
        (v4("9.255.255.255"), False),
        (v4("172.31.255.255"), True),
        (v4("172.32.0.0"), False),
        (v4("192.168.7.7"), True),
        (v4("8.8.8.8"), False),
        (v6("fe80::1"), True),
        (v6("fd00::1"), True),
        (v6("2001:db8::1"), False),
        (v6("::1"), False),
    ],
)
def test_private_networks_are_home_by_default(address, home):
    assert (address in HomeNetworks(PRIVATE_NETWORKS)) == home


def test_direction_is_that_of_ecs():
    home = HomeNetworks(["192.0.2.0/24", "2001:db8::/32"])
    inside, outside = v4("192.0.2.9"), v4("198.51.100.9")
    assert home.direction(inside, outside) == "outbound"
    assert home.direction(outside, inside) == "inbound"
    assert home.direction(inside, v6("2001:db8::5")) == "internal"
    assert home.direction(outside, v6("2001:db9::5")) == "external"


def test_no_networks_and_bad_networks():
    assert v4("10.0.0.1") not in HomeNetworks([])
    with pytest.raises(ValueError, match="host bits"):
        HomeNetworks(["10.0.0.1/8"])
