"""The flow meter as dictionaries and lists: slow, obvious, and written from the rules alone."""

SECOND = 10**9
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
FLAG_NAMES = {FIN: "fin", SYN: "syn", RST: "rst", PSH: "psh", ACK: "ack", URG: "urg"}
NEW, REPLY, ESTABLISHED, REFUSED, RETRANSMISSION, CLOSED, CONTINUED = 1, 2, 4, 8, 16, 32, 64
PAIRS = {1: [(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)]}
PAIRS[58] = [(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)]
SUMS = ("last", "bytes", "payload_bytes", "length_squares", "interval_squares", "interval_min")
SUMS += ("interval_max", "interval_sum", "first_payload_hi", "first_payload_lo", "packets", "length_min")
SUMS += ("length_max", "retransmissions", "first_payload_bytes", "missed_bytes", *FLAG_NAMES.values())
NEAR = 2**28
COUNTED = ("acks_checked", "ack_gaps", "missed_bytes", "tcp_two_way", "tcp_one_way")
COUNTED += ("fragments_without_ports", "late_packets")
#: TCP, UDP, DCCP, SCTP, UDP-Lite and the two ICMPs.
WITH_PORTS = {1, 6, 17, 33, 58, 132, 136}
PORTS_KNOWN = 1
CHANCES = 8


def granule_of(timeout):
    """Return the power of two of a second, ns, that `timeout` (ns) holds 32 to 1024 of."""
    length = SECOND
    while timeout // length < 32 and length > 1:
        length //= 2
    while timeout // length > 1024:
        length *= 2
    return length


def answer_of(protocol, kind):
    for a, b in PAIRS.get(protocol, []):
        if kind in (a, b):
            return b if kind == a else a
    return None


class NaiveMeter:
    def __init__(
        self,
        capacity,
        *,
        unanswered=30.0,
        idle=60.0,
        linger=5.0,
        active=300.0,
        gap=1.0,
        vlan_in_key=True,
    ):
        self.capacity = capacity
        self.timeouts = [int(unanswered * SECOND), int(idle * SECOND), int(linger * SECOND)]
        self.granules = [granule_of(timeout) for timeout in self.timeouts]
        self.wheels = [{}, {}, {}]
        self.active_timeout = int(active * SECOND)
        self.gap = int(gap * SECOND)
        self.vlan_in_key = vlan_in_key
        self.flows = {}
        self.now = 0
        self.next_id = 1
        self.records = []
        self.counts = dict.fromkeys(COUNTED, 0)

    # --- leaving

    def export(self, flow, reason, time):
        record = {name: value for name, value in flow.items() if not name.startswith("_")}
        if flow["_key"][-1] == "fragments":
            record |= {"src_port": 0, "dst_port": 0}
        self.records.append(record | {"end_reason": reason, "exported": time})

    def remove(self, flow, reason, time):
        self.export(flow, reason, time)
        self.unfile(flow)
        del self.flows[flow["_key"]]

    def which(self, flow):
        if flow["_ended"]:
            return 2
        return 1 if flow["_seen"] == {0, 1} and flow["handshake"] != 2 else 0

    def due(self, flow):
        return flow["end"] + self.timeouts[flow["_list"]]

    def remove_due(self, flow):
        self.remove(flow, 3 if flow["_list"] == 2 else 1, self.due(flow))

    def number(self, flow):
        return -(-self.due(flow) // self.granules[flow["_list"]])

    def file(self, flow, which):
        flow["_list"] = which
        flow["_number"] = self.number(flow)
        self.wheels[which].setdefault(flow["_number"], []).append(flow)

    def unfile(self, flow):
        wheel = self.wheels[flow["_list"]]
        bucket = wheel[flow["_number"]]
        bucket[:] = [other for other in bucket if other is not flow]
        if not bucket:
            del wheel[flow["_number"]]

    def refile(self, flow, which):
        self.unfile(flow)
        self.file(flow, which)

    def buckets(self):
        """Return (when it is over, wheel, number) of each bucket, the first one first."""
        return sorted(
            (number * self.granules[which], which, number)
            for which in range(3)
            for number in self.wheels[which]
        )

    def advance(self, now):
        self.now = max(self.now, now)
        while self.flows and self.buckets()[0][0] <= self.now:
            over, which, number = self.buckets()[0]
            for flow in list(self.wheels[which][number]):
                if self.due(flow) <= over:
                    self.remove_due(flow)
                else:
                    self.refile(flow, which)

    def evict(self):
        which = next(which for which in (2, 0, 1) if self.wheels[which])
        for _ in range(CHANCES):
            number = min(self.wheels[which])
            flow = self.wheels[which][number][0]
            if self.number(flow) == number:
                break
            self.refile(flow, which)
        flow = self.wheels[which][min(self.wheels[which])][0]
        if self.due(flow) <= self.now:
            self.remove_due(flow)
        else:
            self.remove(flow, 5, self.now)

    def flush(self):
        for _, which, number in self.buckets():
            for flow in list(self.wheels[which][number]):
                if self.due(flow) <= self.now:
                    self.remove_due(flow)
                else:
                    self.remove(flow, 3 if flow["_ended"] else 4, self.now)

    # --- packets

    def ends(self, p):
        a, b = (p["src_hi"], p["src_lo"]), (p["dst_hi"], p["dst_lo"])
        if p["fragment_offset"] and not p["fragment_flags"] & PORTS_KNOWN:
            if p["protocol"] not in WITH_PORTS:
                return (*a, 0), (*b, 0), ""
            number = p["fragment_id"]
            return (*a, number >> 16), (*b, number & 0xFFFF), "fragments"
        sport, dport = p["src_port"], p["dst_port"]
        one_way = ""
        if p["protocol"] in PAIRS:
            answer = answer_of(p["protocol"], sport & 0xFF)
            one_way = "" if answer is not None else "one way"
            dport = dport if one_way else answer
        return (*a, sport), (*b, dport), one_way

    def observe(self, p, data):
        """Take one packet (a dict of PACKET's fields); return (flow id or None, bits, reverse)."""
        self.counts["late_packets"] += p["time"] < self.now
        self.advance(p["time"])
        if p["kind"] != 3 or p["ip_version"] not in (4, 6) or p["error"] in (3, 5, 6, 7):
            return None, 0, 0
        unknown = p["fragment_offset"] and not p["fragment_flags"] & PORTS_KNOWN
        self.counts["fragments_without_ports"] += bool(unknown)
        src, dst, one_way = self.ends(p)
        ends = (src, dst) if one_way else frozenset((src, dst))
        key = (ends, p["protocol"], p["ip_version"], p["vlan"] if self.vlan_in_key else 0, one_way)
        tcp = p["protocol"] == 6 and p["fragment_offset"] == 0
        flags = p["tcp_flags"] if tcp else 0
        asks = flags & (SYN | ACK | RST | FIN) == SYN
        flow, bits = self.flow_of(key, asks)
        if flow is None:
            if len(self.flows) == self.capacity:
                self.evict()
            flow = self.open(key, p, src, dst, flags)
            flow |= outer_ends(p, data, turned=self.is_syn_ack(flags))
            bits |= NEW
        direction = 0 if (flow["src_hi"], flow["src_lo"], flow["src_port"]) == src else 1
        if src == dst:
            direction = 1 if bits & NEW and self.is_syn_ack(flags) else 0
        if direction == 1 and 1 not in flow["_seen"]:
            bits |= REPLY
        flow["_seen"].add(direction)
        self.add(flow, p, direction, data)
        if tcp:
            bits |= self.follow(flow, p, direction, flags)
        if self.which(flow) > flow["_list"]:
            if flow["_list"] == 0 and flow["_seen"] == {0, 1}:
                self.counts["tcp_two_way"] += p["protocol"] == 6
            self.refile(flow, self.which(flow))
        return flow["flow_id"], bits, direction

    def flow_of(self, key, asks):
        """Return the key's flow, None when it needs a new one, and what happened to it."""
        flow = self.flows.get(key)
        if flow is None:
            return None, 0
        if self.due(flow) <= self.now:
            self.remove_due(flow)
            return None, 0
        if flow["_ended"] and asks:
            self.remove(flow, 3, self.now)
            return None, 0
        if self.now - flow["start"] >= self.active_timeout:
            self.export(flow, 2, self.now)
            self.restart(flow)
            return flow, CONTINUED
        return flow, 0

    @staticmethod
    def is_syn_ack(flags):
        return flags & (SYN | ACK | RST | FIN) == SYN | ACK

    def open(self, key, p, src, dst, flags):
        names = ["src", "dst"]
        macs = [p["src_mac"], p["dst_mac"]]
        if self.is_syn_ack(flags):
            src, dst = dst, src
            macs.reverse()
        flow = {"_key": key, "_seen": set(), "_ended": False, "_fins": set(), "_sequence": {}}
        for name, end, mac in zip(names, (src, dst), macs, strict=True):
            flow |= {f"{name}_hi": end[0], f"{name}_lo": end[1], f"{name}_port": end[2], f"{name}_mac": mac}
        flow |= {name: p[name] for name in ("vlan", "protocol", "ip_version")}
        syn = flags & (SYN | ACK | RST | FIN) == SYN
        flow["handshake"] = 0 if p["protocol"] != 6 else (1 if syn else 5)
        flow["_shaken"] = self.now
        flow |= {"next_seq": 0, "reverse_next_seq": 0}
        self.restart(flow)
        flow["continued"] = 0
        flow |= {"_checked": set(), "_evidence": 0, "_last_ack": None, "application": 0, "claim": -1}
        flow |= {name: p[name] for name in ("tunnel", "tunnel_layers", "tunnel_id")} | {"sampling": 1}
        self.flows[key] = flow
        self.file(flow, 0)
        return flow

    def restart(self, flow):
        flow |= {"flow_id": self.next_id, "start": self.now, "end": self.now, "continued": 1}
        self.next_id += 1
        for name in ("idle", "idle_periods", "synack_delay", "ack_delay", "tcp_flags", "reverse_tcp_flags"):
            flow[name] = 0
        for name in SUMS:
            flow[name] = flow[f"reverse_{name}"] = 0

    def add(self, flow, p, direction, data):
        r = "reverse_" if direction else ""
        gap = self.now - flow["end"]
        if gap > self.gap:
            flow["idle"] += gap
            flow["idle_periods"] = min(flow["idle_periods"] + 1, 65535)
        flow["end"] = self.now
        length = p["ip_bytes"]
        if flow[r + "packets"]:
            interval = self.now - flow[r + "last"]
            low = flow[r + "interval_min"]
            flow[r + "interval_min"] = interval if flow[r + "packets"] == 1 else min(low, interval)
            flow[r + "interval_max"] = max(flow[r + "interval_max"], interval)
            flow[r + "interval_sum"] += interval
            flow[r + "interval_squares"] += (interval * 1e-9) * (interval * 1e-9)
            flow[r + "length_min"] = min(flow[r + "length_min"], length)
        else:
            flow[r + "length_min"] = length
        flow[r + "length_max"] = max(flow[r + "length_max"], length)
        flow[r + "length_squares"] += float(length) * float(length)
        flow[r + "packets"] += 1
        flow[r + "bytes"] += length
        flow[r + "payload_bytes"] += p["payload_bytes"]
        flow[r + "last"] = self.now
        if p["payload_bytes"] and not flow[r + "first_payload_bytes"]:
            flow[r + "first_payload_bytes"] = p["payload_bytes"]
            at = p["payload_offset"]
            kept = b"" if at < 0 else bytes(data[at : at + min(16, p["payload_captured"])])
            kept = kept.ljust(16, b"\0")
            flow[r + "first_payload_hi"] = int.from_bytes(kept[:8], "big")
            flow[r + "first_payload_lo"] = int.from_bytes(kept[8:], "big")

    def follow(self, flow, p, direction, flags):
        r = "reverse_" if direction else ""
        bits = 0
        for flag, name in FLAG_NAMES.items():
            flow[r + name] += bool(flags & flag)
        flow[r + "tcp_flags"] |= flags
        bits |= self.shake(flow, direction, flags)
        if p["error"] == 0 and not flags & RST:
            self.check_ack(flow, p, direction, flags)
            if self.sequence(flow, p, direction, flags):
                flow[r + "retransmissions"] += 1
                bits |= RETRANSMISSION
            if flow["_seen"] != {0, 1} and flags & (SYN | ACK) == ACK:
                self.weigh(flow, p, new=not bits & RETRANSMISSION)
        if not flow["_ended"]:
            if flags & FIN:
                flow["_fins"].add(direction)
            if flags & RST or flow["_fins"] == {0, 1}:
                flow["_ended"] = True
                bits |= CLOSED
        return bits

    def sequence(self, flow, p, direction, flags):
        """Move the next expected number on; return whether the payload was sent before."""
        r = "reverse_" if direction else ""
        begin = p["tcp_seq"]
        end = (begin + p["payload_bytes"] + bool(flags & SYN) + bool(flags & FIN)) % 2**32
        expected = flow["_sequence"].get(direction)
        if p["more_fragments"]:
            flow["_sequence"].pop(direction, None)
            return False
        if expected is None:
            flow["_sequence"][direction] = flow[r + "next_seq"] = end
            return False
        far = min((end - expected) % 2**32, (expected - end) % 2**32 - 1) > NEAR
        another = bool(flags & SYN) and far
        if another or (end - expected) % 2**32 < 2**31:
            flow["_sequence"][direction] = flow[r + "next_seq"] = end
        return bool(p["payload_bytes"]) and not another and (begin - expected) % 2**32 >= 2**31

    def check_ack(self, flow, p, direction, flags):
        other = 1 - direction
        if flags & (SYN | RST | ACK) != ACK or other not in flow["_sequence"]:
            return
        self.counts["acks_checked"] += 1
        missing = (p["tcp_ack"] - flow["_sequence"][other]) % 2**32
        first = direction not in flow["_checked"]
        flow["_checked"].add(direction)
        if not 0 < missing < NEAR:
            return
        r = "reverse_" if other else ""
        flow["_sequence"][other] = flow[r + "next_seq"] = p["tcp_ack"]
        if not (first and flow["handshake"] == 5):
            self.counts["ack_gaps"] += 1
            self.counts["missed_bytes"] += missing
            flow[r + "missed_bytes"] = min(flow[r + "missed_bytes"] + missing, 2**32 - 1)

    def weigh(self, flow, p, *, new):
        if flow["_evidence"] == 4:
            return
        last = flow["_last_ack"]
        on = last is not None and 0 < (p["tcp_ack"] - last) % 2**32 < 2**31
        if on or last is None:
            flow["_last_ack"] = p["tcp_ack"]
        flow["_evidence"] += on or bool(new and p["payload_bytes"])
        self.counts["tcp_one_way"] += flow["_evidence"] == 4 and (on or bool(new and p["payload_bytes"]))

    def shake(self, flow, direction, flags):
        kind = flags & (SYN | ACK | RST)
        delay = self.now - flow["_shaken"]
        match (flow["handshake"], direction):
            case (1, 0) if kind == SYN:
                flow["_shaken"] = self.now
            case (1, 1) if kind == SYN | ACK:
                flow |= {"handshake": 2, "synack_delay": delay, "_shaken": self.now}
            case (1, 1) if kind & RST:
                flow["handshake"] = 4
                return REFUSED
            case (2, 1) if kind == SYN | ACK:
                flow["_shaken"] = self.now
            case (2, 0) if kind == ACK:
                flow |= {"handshake": 3, "ack_delay": delay}
                return ESTABLISHED
        return 0


def outer_ends(p, data, *, turned):
    """Return the outer addresses that a flow keeps of its first packet."""
    names = ("outer_src_hi", "outer_src_lo", "outer_dst_hi", "outer_dst_lo")
    header = bytes(data[p["outer_offset"] :][:40]) if p["outer_offset"] >= 0 else b""
    if header and header[0] >> 4 == 4 and len(header) >= 20:
        src, dst = (bytes(10) + b"\xff\xff" + header[at : at + 4] for at in (12, 16))
    elif header and header[0] >> 4 == 6 and len(header) == 40:
        src, dst = header[8:24], header[24:40]
    else:
        return dict.fromkeys(names, 0)
    ends = dst + src if turned else src + dst
    return {name: int.from_bytes(ends[8 * i : 8 * i + 8], "big") for i, name in enumerate(names)}


def differences(record, row):
    """Return the fields in which a naive record and a FLOW row differ."""
    found = {}
    for name in row.dtype.names:
        got = row[name].item()
        if got != record[name]:
            found[name] = (record[name], got)
    return found
