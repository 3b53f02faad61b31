"""Copies that a mirror makes of packets which pass it twice.

A SPAN session that mirrors a VLAN, or both directions of its ports, shows a
packet once where it enters the switch and once where it leaves. Flows then look
twice as large and full of retransmissions.

In: decoded rows. Out: the kind of a copy becomes `PacketKind.DUPLICATE`.

Rules: a copy is equal from the IP header on, whatever link, tags or tunnel
carry it, and follows its original within a window that no retransmission keeps
to; at most one copy is taken per packet that is let through; a packet that goes
on repeating is a flood and not the mirror's work, and is let through; a row
that was not decoded to its transport header is let through, and so is one that
came later than the window. Everything follows from packets and their times:
neither batch cuts nor the clock can be seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sensor.kernel import Int, Row, Rows, kernel, record_dtype
from sensor.packet.batch import Bytes, Frames
from sensor.packet.columns import PacketKind, Packets
from sensor.packet.fingerprint import Words, comparable, fingerprint, in_sample, keys_of, masks_of
from sensor.packet.wire import signed

MODES = ("off", "on", "auto")
#: Longest window. TCP waits 200 ms at the least before it sends again (RFC 6298
#: asks for 1 s, Linux and Windows have 200 and 300 ms), DNS resolvers longer.
MAX_WINDOW_SECS = 0.1

#: Sets of two. At a window of 10 ms this is enough for a million packets a second.
SLOTS = 16_384
#: A packet met this often, each time within the window of the time before, is no mirror's work:
#: a packet routed between two mirrored VLANs is seen four times.
MOST_SIGHTINGS = 4

#: `auto` measures the share of copies on a sample, which both of a pair are in or neither;
#: it decides when packet time passes a multiple of this (ns) ...
INTERVAL = 10_000_000_000
#: ... if it has seen so many packets of the sample ...
LEAST_SAMPLE = 64
#: ... and begins above one share (percent), if copies are of so many flows; it ends below another.
BEGIN_PERCENT = 5
LEAST_FLOWS = 3
END_PERCENT = 1

_NS = 1_000_000_000
_IP = int(PacketKind.IP)
_DUPLICATE = int(PacketKind.DUPLICATE)
#: No time of a packet is taken for an earlier one: differences then stay within 64 bits.
_EARLIEST = -(1 << 62)
_PAST = np.iinfo(np.int64).min

_FLOOD = MOST_SIGHTINGS + 2  # MOST_SIGHTINGS + 1 is the sighting that first tells of a flood
_SETS = np.uint64(SLOTS // 2 - 1)
_SIGHTINGS = np.uint64(7)  # bits of a tag that hold the sightings; its set tells what they were
_TAG = ~_SIGHTINGS
_0, _1 = np.uint64(0), np.uint64(1)
_40, _58 = np.uint64(40), np.uint64(58)

#: One packet seen of late: its fingerprint, with how often it was seen in the
#: lowest bits, and when it was seen last.
SLOT = record_dtype([("tag", np.uint64), ("time", np.int64)])

#: One row: settings, the measurement at hand, and counts.
CONTROL = record_dtype(
    [
        ("window", np.int64),  # ns
        ("boundary", np.int64),  # packet time at which `auto` decides next
        ("sampled", np.int64),  # packets of the sample in this interval
        ("copies", np.int64),  # of those, copies
        ("flows", np.uint64),  # bits of the flows that copies are of
        ("last_sampled", np.int64),  # the interval before
        ("last_copies", np.int64),
        ("duplicates", np.int64),  # from here on since the start: copies marked
        ("total_sampled", np.int64),
        ("unfit", np.int64),  # rows with too few bytes to compare, or late ones
        ("displaced", np.int64),  # originals that had to go while a copy could still come
        ("switches", np.int64),
        ("auto", np.uint8),
        ("suppressing", np.uint8),
    ]
)


class DuplicateState(NamedTuple):
    """What the kernel keeps between batches.

    Parameters
    ----------
    control
        `CONTROL`, shape (1,).
    slots
        `SLOT`, shape (`SLOTS`,): pairs that share a set.
    keys
        uint64, shape (12,): NH's secret.
    masks
        uint64, shape (2, 12): bits that count, by word of the IP packet; IPv4, IPv6.
    """

    control: Rows
    slots: Rows
    keys: Words
    masks: Words


@kernel
def sightings(slots: Rows, found: np.uint64, time: Int, control: Row) -> Int:
    """Note the fingerprint `found` at `time` (ns) and return how often in a row it was met, itself included.

    In a row means within the window of the time before. `_FLOOD` stands for
    all that goes on beyond `MOST_SIGHTINGS` + 1.
    """
    first = signed(found & _SETS) * 2
    oldest = max(time, _EARLIEST) - control.window
    count = signed(1)
    at = first + signed(slots[first].time > slots[first + 1].time)
    if (slots[first].tag ^ found) & _TAG == 0:
        at = first
    elif (slots[first + 1].tag ^ found) & _TAG == 0:
        at = first + 1
    slot = slots[at]
    if slot.time >= oldest:
        if (slot.tag ^ found) & _TAG == 0:
            count = min(signed(slot.tag & _SIGHTINGS) + 1, _FLOOD)
        else:
            control.displaced += 1
    slot.tag = found & _TAG | np.uint64(count)
    slot.time = time
    return count


@kernel
def measure(row: Row, count: Int, key: np.uint64, control: Row) -> None:
    """Note a packet of the sample that was met for the `count`-th time.

    A flood's packets, once it is seen to be one, have never been in the sample.
    """
    if count == MOST_SIGHTINGS + 1:
        control.sampled -= MOST_SIGHTINGS
        control.copies -= MOST_SIGHTINGS // 2
    elif count <= MOST_SIGHTINGS:
        control.total_sampled += 1
        control.sampled += 1
        if count & 1 == 0:
            control.copies += 1
            ends = np.uint64(row.src_lo) + np.uint64(row.dst_lo)
            ports = np.uint64(row.src_port) + np.uint64(row.dst_port)
            control.flows |= _1 << (((ends ^ ports << _40) * (key | _1)) >> _58)


@kernel
def decide(control: Row, time: Int) -> None:
    """Judge the interval that ends before `time` (ns), or go on measuring when it held too little."""
    if control.sampled >= LEAST_SAMPLE:
        copies, was = max(control.copies, 0), control.suppressing
        if was == 0:
            flows, bits = 0, control.flows
            for shift in range(64):
                flows += signed(bits >> np.uint64(shift) & _1)
            enough = copies * 100 > control.sampled * BEGIN_PERCENT and flows >= LEAST_FLOWS
            control.suppressing = enough
        else:
            control.suppressing = copies * 100 >= control.sampled * END_PERCENT
        control.switches += control.suppressing != was
        control.last_sampled, control.last_copies = control.sampled, copies
        control.sampled, control.copies, control.flows = 0, 0, _0
    control.boundary = (time // INTERVAL + 1) * INTERVAL


@kernel
def mark_copies(data: Bytes, frames: Frames, packets: Packets, state: DuplicateState) -> Int:
    """Set the kind of copies, and return how many there were.

    Parameters
    ----------
    data
        uint8, shape (bytes,): what the rows were decoded from.
    frames
        `FRAME`, shape (n,).
    packets
        `PACKET`, shape (n,), in the order of their times; `kind` is written.
    state
        Table, measurement and counts, updated.
    """
    control, slots = state.control[0], state.slots
    marked = signed(0)
    for i in range(packets.shape[0]):
        row = packets[i]
        if control.auto != 0 and row.time >= control.boundary:
            decide(control, row.time)
        if row.kind != _IP:
            continue
        length = comparable(data, row)
        # A late packet's row has the time of another: how far apart two of them were is lost.
        if length == 0 or frames[i].time < max(row.time, _EARLIEST) - control.window:
            control.unfit += 1
            continue
        sampled = control.auto != 0 and in_sample(data, row, length, state.keys, state.masks)
        if control.suppressing == 0 and not sampled:
            continue
        found = fingerprint(data, row, length, state.keys, state.masks)
        count = sightings(slots, found, row.time, control)
        if sampled:
            measure(row, count, state.keys[0], control)
        if control.suppressing != 0 and count <= MOST_SIGHTINGS and count & 1 == 0:
            row.kind = _DUPLICATE
            marked += 1
    control.duplicates += marked
    return marked


class Duplicates:
    """Finds copies among decoded packets.

    Parameters
    ----------
    mode
        "off"; "on"; or "auto": measure, and begin when more than 5 % of all
        packets are copies, of several flows; end when less than 1 % are.
    window_secs
        Longest time between original and copy, up to `MAX_WINDOW_SECS`.
    key
        128-bit secret, as two words.
    routed
        Copies may have been taken on both sides of a router: time to live or
        hop limit, type of service or traffic class and IPv4's header checksum
        are not compared.

    Raises
    ------
    ValueError
        The mode is none, or the window not within (0, `MAX_WINDOW_SECS`].
    """

    def __init__(self, mode: str, window_secs: float, key: tuple[int, int], *, routed: bool = True) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode}")
        if not 0.0 < window_secs <= MAX_WINDOW_SECS:
            raise ValueError(f"window_secs must be above 0 and at most {MAX_WINDOW_SECS}, not {window_secs}")
        self.off = mode == "off"
        control = np.zeros(1, CONTROL)
        control["window"] = round(window_secs * _NS)
        control["auto"] = mode == "auto"
        control["suppressing"] = mode == "on"
        slots = np.zeros(SLOTS, SLOT)
        slots["time"] = _PAST
        self._state = DuplicateState(control, slots, keys_of(key), masks_of(routed=routed))

    def mark(self, data: Bytes, frames: Frames, packets: Packets) -> int:
        """Set the kind of every copy to `PacketKind.DUPLICATE`.

        Parameters
        ----------
        data
            uint8, shape (bytes,), read-only: what the rows were decoded from.
        frames
            `FRAME`, shape (n,), read-only.
        packets
            `PACKET`, shape (n,), as decoded: times never decrease from row to row and call to call.

        Returns
        -------
        int
            How many copies there were.
        """
        return 0 if self.off else int(mark_copies(data, frames, packets, self._state))

    @property
    def suppressing(self) -> bool:
        """Whether copies are being marked."""
        return bool(self._state.control["suppressing"][0])

    @property
    def share(self) -> float:
        """Share of copies among all packets in the last interval that was measured; 0.0 before."""
        control = self._state.control[0]
        return float(control["last_copies"] / max(control["last_sampled"], 1))

    def counters(self) -> dict[str, int]:
        """Return what was marked, what was looked at, and what could not be."""
        control = self._state.control[0]
        return {
            "duplicates": int(control["duplicates"]),
            "duplicates_sampled": int(control["total_sampled"]),
            "duplicates_share_permille": round(1000 * self.share),
            "duplicates_not_comparable": int(control["unfit"]),
            "duplicates_displaced": int(control["displaced"]),
            "duplicates_switches": int(control["switches"]),
            "suppressing": int(control["suppressing"]),
        }
