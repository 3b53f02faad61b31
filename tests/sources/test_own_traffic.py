"""The filter expression that leaves the sensor's own connections out."""

from __future__ import annotations

import ipaddress
import socket

from sensor.sources.bpf import compile_filter
from sensor.sources.own_traffic import Endpoint, addresses_of, own_traffic, without


def test_a_name_that_cannot_be_resolved_is_given_back():
    assert addresses_of(Endpoint("no.such.host.invalid", 1, "tcp")) == []
    assert addresses_of(Endpoint("a" * 300, 1, "tcp")) == []
    assert addresses_of(Endpoint("192.0.2.7", 1, "tcp")) == [ipaddress.ip_address("192.0.2.7")]
    assert addresses_of(Endpoint("::1", 1, "udp")) == [ipaddress.ip_address("::1")]


def test_a_name_counts_with_so_many_addresses(monkeypatch):
    answers = [(2, 1, 6, "", (f"192.0.2.{number}", 1)) for number in range(200)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert len(addresses_of(Endpoint("many.example", 1, "tcp"))) == 16


def test_only_addresses_of_one_family_are_paired():
    four, six = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")
    receiver = Endpoint("x", 80, "tcp")
    assert own_traffic([(receiver, [six])], [four]) == ""
    assert own_traffic([], [four]) == ""
    assert own_traffic([(receiver, [])], [four]) == ""
    expression = own_traffic([(receiver, [four, six])], [four])
    assert "ip6" not in expression
    assert "ip src host 192.0.2.1" in expression


def test_filters_are_combined():
    assert without("", "") == ""
    assert without("udp", "") == "udp"
    assert without(" ", "tcp") == "not (tcp)"
    assert without("udp or arp", "tcp or ip") == "(udp or arp) and not (tcp or ip)"


def test_the_largest_filter_that_can_be_configured_fits_the_kernel():
    """64 sinks of one address each, on a host with 32 addresses of either family."""
    own = [ipaddress.ip_address(f"10.0.0.{n}") for n in range(32)]
    own += [ipaddress.ip_address(f"2001:db8::{n:x}") for n in range(32)]
    sinks = [ipaddress.ip_address(f"10.1.0.{n}") for n in range(32)]
    sinks += [ipaddress.ip_address(f"2001:db8:1::{n:x}") for n in range(32)]
    receivers = [(Endpoint("x", 1000 + n, "tcp"), [address]) for n, address in enumerate(sinks)]
    assert 100 < compile_filter(without("", own_traffic(receivers, own)), 1).size <= 4096
