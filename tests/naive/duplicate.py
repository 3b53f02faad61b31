"""Copies once more, plainly: a dictionary without end, and packets compared byte by byte."""

IPV4, IPV6 = 4, 6
INTERVAL = 10_000_000_000


def identity(packet, total, *, routed):
    """Return what two copies of an IP packet have in common, or None where that would not tell enough.

    `packet` is what was captured of it, `total` its length on the wire.
    """
    version = packet[0] >> 4
    least, most = (40, 64) if version == IPV4 else (60, 80)
    wanted = min(total, most)
    if len(packet) < wanted:
        wanted = least
    if len(packet) < wanted:
        return None
    kept = bytearray(packet[:wanted])
    if routed and version == IPV4:
        kept[1] = kept[8] = kept[10] = kept[11] = 0
    elif routed:
        kept[0] &= 0xF0
        kept[1] &= 0x0F
        kept[7] = 0
    return bytes(kept), total


class Copies:
    """Tells of each packet whether it is a copy.

    `sampled` says which identities `auto` measures by, `flow` which bit a packet's flow sets.
    """

    def __init__(self, mode, window, sampled=None):
        self.auto, self.on = mode == "auto", mode == "on"
        self.window = window
        self.sampled = sampled or (lambda _: True)
        self.seen = {}
        self.boundary = 0
        self.begin()

    def begin(self):
        self.sample, self.copies, self.flows = 0, 0, set()

    def decide(self, time):
        if self.sample >= 64:
            share = max(self.copies, 0) / self.sample
            self.on = share >= 0.01 if self.on else share > 0.05 and len(self.flows) >= 3
            self.begin()
        self.boundary = (time // INTERVAL + 1) * INTERVAL

    def tick(self, time):
        if self.auto and time >= self.boundary:
            self.decide(time)

    def is_copy(self, identity, time, flow=0):
        self.tick(time)
        if identity is None or not (self.on or self.sampled(identity)):
            return False
        last, count = self.seen.get(identity, (None, 0))
        count = count + 1 if last is not None and time - last <= self.window else 1
        self.seen[identity] = (time, count)
        if self.sampled(identity):
            if count == 5:
                self.sample -= 4
                self.copies -= 2
            elif count < 5:
                self.sample += 1
                if count % 2 == 0:
                    self.copies += 1
                    self.flows.add(flow)
        return self.on and count in (2, 4)
