"""The host table and all it counts, with dicts, lists and Python's integers: one packet after the other."""

import functools
from collections import Counter

from naive.cardinality import NaiveCounter
from naive.host_row import describe, features
from naive.novelty import NaiveFilter
from naive.siphash import siphash

NEW_FLOW, FIRST_REPLY, ESTABLISHED, REFUSED, SHED = 1, 2, 4, 8, 0x80
FIN, SYN, RST, ACK = 1, 2, 4, 16
ARP = 2
OVERLAP, TINY = 2, 4
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
LOGIN_PORTS = (21, 22, 23, 513, 1433, 3389, 5900, 5985)
NOBODY = (0, 0)


@functools.cache
def hash_address(hi, lo, key):
    return siphash(hi.to_bytes(8, "little") + lo.to_bytes(8, "little"), *key)


def is_unicast(address):
    hi, lo = address
    if hi == 0 and lo >> 32 == 0xFFFF:
        return 0 < lo & 0xFFFF_FFFF < 0xE000_0000
    return address != NOBODY and hi >> 56 != 0xFF


class Majority:
    """Boyer and Moore's vote."""

    def __init__(self, nobody):
        self.leader, self.votes = nobody, 0

    def add(self, candidate):
        if self.votes == 0:
            self.leader = candidate
        self.votes += 1 if candidate == self.leader else -1


class Host:
    def __init__(self, slot, address, key):
        self.slot, self.address = slot, address
        self.hash = hash_address(*address, key)
        self.known = False
        self.window = self.failed_window = -1
        self.mac = self.arp_mac = self.vlan = self.ip_version = 0
        self.failed = self.logins = 0.0
        self.windows = 0

    def start(self, window):
        self.window = window
        self.count = Counter()
        self.peer_out, self.peer_in = Majority(NOBODY), Majority(NOBODY)
        self.port_out, self.port_in = Majority(0), Majority(0)
        self.distinct = {name: NaiveCounter() for name in ("peers", "services", "sources", "arp")}
        self.opened = self.received = (NOBODY, 0, 0, 0)  # peer, source port, destination port, protocol


class NaiveHosts:
    def __init__(self, capacity, key):
        self.capacity, self.key = capacity, key
        self.hosts = {}
        self.provisional, self.known = [], []  # oldest first
        self.slots = []
        self.active = []  # slots, in order of first use in the window
        self.window = 0
        self.totals = Counter()
        self.seen = [NaiveFilter(), NaiveFilter()]
        self.repeats = Counter()
        self.places = {}  # (flow, side) -> slot
        self.weights = {}  # by flow; 1 where nothing is said

    def start(self, window):
        self.window = window
        self.repeats.clear()

    def enter(self, address, kept=None):
        host = self.hosts.get(address) or self.add(address, kept)
        order = self.known if host.known else self.provisional
        if 2 * len(self.hosts) >= self.capacity or host.window != self.window:
            order.remove(host)
            order.append(host)
        if host.window != self.window:
            host.start(self.window)
            if host.slot not in self.active:
                self.active.append(host.slot)
        return host

    def add(self, address, kept):
        if len(self.hosts) == self.capacity:
            slot = self.evict(kept).slot
        else:
            slot = len(self.slots)
            self.slots.append(None)
        host = self.slots[slot] = self.hosts[address] = Host(slot, address, self.key)
        self.provisional.append(host)
        self.totals["hosts_created"] += 1
        return host

    def evict(self, kept):
        host = next(host for host in self.provisional + self.known if host is not kept)
        (self.known if host.known else self.provisional).remove(host)
        del self.hosts[host.address]
        self.totals["hosts_evicted"] += 1
        self.totals["hosts_evicted_active"] += host.window == self.window
        return host

    def promote(self, host):
        if not host.known:
            host.known = True
            self.provisional.remove(host)
            self.known.append(host)

    def observe(self, packets, events):
        for row, event in zip(packets, events, strict=True):
            packet = {name: int(row[name]) for name in row.dtype.names}
            packet["src"] = (packet["src_hi"], packet["src_lo"])
            packet["dst"] = (packet["dst_hi"], packet["dst_lo"])
            flow, side, bits = (int(event[name]) for name in ("flow", "reverse", "bits"))
            if bits & NEW_FLOW:
                self.weights[flow] = max(int(event["weight"]), 1)
            if flow >= 0:
                self.observe_flow(packet, flow, side, bits)
            elif bits & SHED:
                answer = packet["tcp_flags"] & (SYN | ACK | RST | FIN) == SYN | ACK
                self.observe_flow(packet, None, int(packet["protocol"] == TCP and answer), SHED)
            elif packet["kind"] == ARP:
                self.observe_arp(packet)

    def observe_arp(self, packet):
        if not is_unicast(packet["src"]):
            return
        host = self.enter(packet["src"])
        host.count["packets_out"] += 1
        host.count["bytes_out"] += packet["wirelen"]
        host.ip_version = 4
        host.mac = packet["src_mac"]
        if host.mac:
            host.count["binding_changes"] += host.arp_mac not in (0, host.mac)
            host.arp_mac = host.mac
        if packet["arp_operation"] == 1 and packet["src_lo"] != packet["dst_lo"]:
            host.count["arp_requests"] += 1
            host.distinct["arp"].add(hash_address(*packet["dst"], self.key))
            if host.peer_out.votes == 0:
                host.peer_out.leader = packet["dst"]

    def place(self, flow, side, address, kept):
        """Return the host; what begins something is looked up anew, and makes its ends active."""
        if flow is None:
            return self.enter(address, kept)
        slot = self.places.get((flow, side))
        host = None if slot is None else self.slots[slot]
        if host is None or host.address != address or host.window != self.window:
            host = self.enter(address, kept)
            self.places[flow, side] = host.slot
        return host

    def observe_flow(self, packet, flow, side, bits):
        port = packet["src_port"] if side else packet["dst_port"]
        source = target = None
        if bits & NEW_FLOW:
            self.places.pop((flow, 0), None)
            self.places.pop((flow, 1), None)
        if is_unicast(packet["src"]):
            source = self.place(flow, side, packet["src"], None)
            self.send(source, packet, port)
        if is_unicast(packet["dst"]):
            target = self.place(flow, 1 - side, packet["dst"], source)
            self.receive(target, packet, port)
        if source and target:
            initiator, responder = (target, source) if side else (source, target)
            if bits & (NEW_FLOW | SHED):
                self.contact(initiator, responder, packet, side)
            if bits & NEW_FLOW:
                self.open_flow(initiator, responder, self.weights[flow])
            self.change(initiator, responder, packet, (bits, self.weights.get(flow, 1)), port)

    def send(self, host, packet, port):
        host.count["packets_out"] += 1
        host.count["bytes_out"] += packet["ip_bytes"]
        host.mac, host.vlan = packet["src_mac"], packet["vlan"]
        host.peer_out.add(packet["dst"])
        host.port_out.add(port)
        payload = packet["payload_bytes"]
        host.count["odd_fragments"] += packet["fragment_flags"] & (OVERLAP | TINY) != 0
        echo = {ICMP: (0, 8), ICMPV6: (128, 129)}.get(packet["protocol"], ())
        if packet["protocol"] == UDP and packet["dst_port"] == 53:
            host.count["dns_queries"] += 1
            host.count["dns_bytes_out"] += payload if payload > 100 else 0
        elif packet["src_port"] in echo:
            host.count["icmp_bytes_out"] += payload

    def receive(self, host, packet, port):
        host.count["packets_in"] += 1
        host.count["bytes_in"] += packet["ip_bytes"]
        host.peer_in.add(packet["src"])
        host.port_in.add(port)
        if packet["protocol"] == TCP and packet["tcp_flags"] & SYN and not packet["tcp_flags"] & ACK:
            host.count["syn_in"] += 1

    def change(self, initiator, responder, packet, what, port):
        bits, weight = what
        if bits & FIRST_REPLY:
            initiator.count["answered_out"] += weight
            responder.count["answered_in"] += weight
            self.promote(responder)
            if packet["protocol"] != TCP or not packet["tcp_flags"] & (SYN | RST):
                self.promote(initiator)
        if bits & REFUSED:
            initiator.count["refused_out"] += weight
        if bits & ESTABLISHED:
            self.promote(initiator)
            responder.count["established_in"] += weight
            if port in LOGIN_PORTS:
                pair = hash_address(initiator.hash, responder.hash, self.key)
                service = hash_address(pair, port | 1 << 32, self.key)
                if self.repeat("login", service, weight) > 1:
                    initiator.count["logins_out"] += weight

    def repeat(self, which, service, weight):
        """Count connections; the first one stands for itself alone."""
        self.repeats[which, service] += weight if self.repeats[which, service] else 1
        return self.repeats[which, service]

    def contact(self, initiator, responder, packet, side):
        ports = (packet["src_port"], packet["dst_port"])
        if side:
            ports = ports[::-1]
        protocol = packet["protocol"]
        pair = hash_address(initiator.hash, responder.hash, self.key)
        service = hash_address(pair, ports[1] | protocol << 16, self.key)
        initiator.count["contacts_out"] += 1
        responder.count["contacts_in"] += 1
        initiator.distinct["peers"].add(responder.hash)
        initiator.distinct["services"].add(service)
        responder.distinct["sources"].add(initiator.hash)
        seen = self.seen[initiator.known]
        initiator.count["new_peers"] += seen.first_seen(pair)
        initiator.count["new_services"] += seen.first_seen(service)
        initiator.opened = (responder.address, *ports, protocol)
        responder.received = (initiator.address, *ports, protocol)
        initiator.ip_version = responder.ip_version = packet["ip_version"]
        self.service = service

    def open_flow(self, initiator, responder, weight):
        initiator.count["flows_out"] += weight
        responder.count["flows_in"] += weight
        repeats = min(self.repeat(initiator.known, self.service, weight), initiator.count["flows_out"])
        initiator.count["repeats_out"] = max(initiator.count["repeats_out"], repeats)

    def close(self, failed_kept, logins_kept, *, one_way=False):
        """Return (row, features) of each active host, as dicts."""
        result = []
        for slot in self.active:
            host = self.slots[slot]
            passed = self.window - host.failed_window if host.failed_window >= 0 else 0
            if one_way:
                self.see_one_way(host)
            unanswered = max(host.count["flows_out"] - host.count["answered_out"], 0)
            failures = unanswered + host.count["refused_out"]
            host.failed = host.failed * failed_kept**passed + failures
            host.logins = host.logins * logins_kept**passed + host.count["logins_out"]
            host.failed_window = self.window
            result.append((describe(host, one_way), features(host, unanswered, failures)))
        self.active.clear()
        return result

    def see_one_way(self, host):
        """Answer, refuse and complete as if all had gone well; who keeps sending is real."""
        count = host.count
        host.alive = count["packets_out"] >= 4 * max(count["flows_out"], 1)
        count["answered_out"], count["answered_in"] = count["flows_out"], count["flows_in"]
        count["established_in"], count["refused_out"] = count["syn_in"], 0
        if host.alive:
            self.promote(host)
