"""The sensor's own connections are left out of the capture, and nothing else is."""

from __future__ import annotations

import socket
import threading
import time

import craft
import pytest
from alert_examples import OBSERVER, PORT_SCAN
from lab.network import inside, missing_tools
from lab.wire import Wire, balanced, collect
from receivers import HttpReceiver

from sensor.errors import ConfigError
from sensor.sinks.webhook import Webhook
from sensor.sources import af_packet
from sensor.sources.own_traffic import Endpoint, own_addresses

REASON = missing_tools()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]

OWN, OWN6, SINK, SINK6, OTHER = "10.77.0.1", "fd77::1", "10.77.0.2", "fd77::2", "10.77.0.3"
TO_SINK = [Endpoint(SINK, 8443, "tcp"), Endpoint(SINK6, 8443, "tcp"), Endpoint(SINK, 514, "udp")]


@pytest.fixture
def wire():
    with Wire() as made:
        made.sensor.ip("address", "add", f"{OWN}/24", "dev", "span0")
        made.sensor.ip("address", "add", f"{OWN6}/64", "dev", "lo", "nodad")
        yield made


def tcp_frame(source, to, ports, vlans=()):
    segment = craft.tcp(b"", *ports)
    packet = (craft.ipv6 if ":" in to else craft.ipv4)(segment, source, to)
    return craft.ethernet(packet, vlans=vlans)


def udp_frame(source, to, ports):
    return craft.ethernet(craft.ipv4(craft.udp(b"", *ports), source, to, craft.UDP))


OWN_TRAFFIC = {
    "to the receiver": tcp_frame(OWN, SINK, (40000, 8443)),
    "its answer": tcp_frame(SINK, OWN, (8443, 40000)),
    "over IPv6": tcp_frame(OWN6, SINK6, (40000, 8443)),
    "its answer over IPv6": tcp_frame(SINK6, OWN6, (8443, 40000)),
    "syslog": udp_frame(OWN, SINK, (40000, 514)),
    "in a VLAN": tcp_frame(OWN, SINK, (40000, 8443), vlans=(7,)),
}
OTHER_TRAFFIC = {
    "another host to the receiver": tcp_frame(OTHER, SINK, (40000, 8443)),
    "the receiver's answer to it": tcp_frame(SINK, OTHER, (8443, 40000)),
    "another host over IPv6": tcp_frame("fd77::3", SINK6, (40000, 8443)),
    "another port of the receiver": tcp_frame(OWN, SINK, (40000, 22)),
    "the receiver to that port of this host": tcp_frame(SINK, OWN, (40000, 8443)),
    "from that port to the receiver": tcp_frame(OWN, SINK, (8443, 40000)),
    "the same port of another host": tcp_frame(OWN, OTHER, (40000, 8443)),
    "the same port by UDP": udp_frame(OWN, SINK, (40000, 8443)),
    "syslog of another host": udp_frame(OTHER, SINK, (40000, 514)),
    "ARP": craft.ethernet(craft.arp(), ethertype=0x0806),
}


def exclude(wire, source, endpoints):
    with inside(wire.sensor):
        return source.exclude(endpoints)


@pytest.mark.parametrize("workers", [1, 2])
def test_own_connections_are_left_out_and_everything_else_is_seen(wire, workers):
    source = wire.open(workers=workers)
    assert exclude(wire, source, TO_SINK) == []
    for data in (*OWN_TRAFFIC.values(), *OTHER_TRAFFIC.values()):
        wire.send(data)
    got = [data for data, _ in collect(source, 0.8)]
    seen = [name for name, data in OTHER_TRAFFIC.items() if data in got]
    assert seen == list(OTHER_TRAFFIC)
    assert len(got) == len(OTHER_TRAFFIC)
    counters = source.counters()
    assert counters["kernel_packets"] == len(OTHER_TRAFFIC)  # the kernel does not count what it leaves out
    assert balanced(counters)


def test_the_users_filter_still_holds_and_receivers_can_change(wire):
    source = wire.open(bpf="tcp port 8443 or udp")
    mine, others = OWN_TRAFFIC["to the receiver"], OTHER_TRAFFIC["another host to the receiver"]
    syslog, ssh = OWN_TRAFFIC["syslog"], OTHER_TRAFFIC["another port of the receiver"]

    def send():
        for data in (mine, others, syslog, ssh):
            wire.send(data)

    send()
    exclude(wire, source, TO_SINK)
    send()
    exclude(wire, source, TO_SINK[2:])
    send()
    exclude(wire, source, [])
    send()
    got = [data for data, _ in collect(source, 0.8)]
    assert got == [mine, others, syslog, others, mine, others, mine, others, syslog]


def test_a_real_webhook_is_not_seen_and_other_connections_to_it_are(wire):
    switch = wire.network.hosts["switch"]
    switch.ip("address", "add", f"{SINK}/24", "dev", "mirror0")
    for host, link in ((switch, "mirror0"), (wire.sensor, "span0")):
        host.ip("link", "set", link, "arp", "on")
    with inside(switch):
        hook = HttpReceiver(address=SINK)
    try:
        seen = {}
        for excluded in (False, True):
            source = wire.open(outgoing=True)
            if excluded:
                exclude(wire, source, [Endpoint(SINK, hook.port, "tcp")])
            with inside(wire.sensor):
                sink = Webhook(hook.url, observer=OBSERVER)
                sink.send(PORT_SCAN)
                sink.close()
            wire.send(tcp_frame(OTHER, SINK, (40000, hook.port)))
            frames = [data for data, _ in collect(source, 0.8)]
            seen[excluded] = [data[26:34] for data in frames if data[12:14] == b"\x08\x00"]
        assert len(hook.requests) == 2
    finally:
        hook.close()
    pair = socket.inet_aton(OWN) + socket.inet_aton(SINK)
    back = pair[4:] + pair[:4]
    stranger = socket.inet_aton(OTHER) + socket.inet_aton(SINK)
    assert seen[False].count(pair) > 3
    assert seen[False].count(back) > 3
    assert stranger in seen[False]
    assert pair not in seen[True]
    assert back not in seen[True]
    assert stranger in seen[True]


def test_this_hosts_addresses_are_those_of_all_its_interfaces(wire):
    wire.sensor.ip("address", "add", "10.78.0.9/32", "dev", "span0")
    with inside(wire.sensor):
        found = {str(address) for address in own_addresses()}
    assert {OWN, OWN6, "10.78.0.9", "127.0.0.1"} <= found
    with inside(wire.network.hosts["switch"]):
        assert OWN not in {str(address) for address in own_addresses()}


def test_a_filter_that_cannot_be_made_changes_nothing(wire, monkeypatch):
    source = wire.open()
    exclude(wire, source, TO_SINK)

    def refuse(*_):
        raise ConfigError("too long")

    monkeypatch.setattr(af_packet, "compile_filter", refuse)
    with pytest.raises(ConfigError):
        exclude(wire, source, [])
    wire.send(OWN_TRAFFIC["to the receiver"])
    assert collect(source, 0.4) == []


def test_excluding_while_the_source_ends_lets_nothing_in_again(wire):
    source = wire.open()
    stop = threading.Event()

    def change():
        while not stop.is_set():
            exclude(wire, source, TO_SINK[:1])
            time.sleep(0.001)

    changing = threading.Thread(target=change)
    changing.start()
    timer = threading.Timer(0.3, source.close)
    timer.start()
    for batch in source:
        if batch.frames.size < 100_000:
            wire.send(OTHER_TRAFFIC["another host to the receiver"])
    stop.set()
    changing.join()
    assert balanced(source.counters())
    assert exclude(wire, source, TO_SINK) == []  # too late, and harmless
