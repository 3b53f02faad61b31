"""The decoder: one pass over a batch, one row a frame, counters for everything.

In: `PacketBatch`. Out: `PACKET` rows, borrowed until the next call.

Rules: the time of a row never decreases, whatever the capture says; a frame
that cannot be decoded keeps its row and its code; the only memory that grows is
the row buffer, when a batch is larger than any before it, up to `MAX_ROWS`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel, read_only
from sensor.packet.batch import Bytes, Frames, PacketBatch
from sensor.packet.columns import DecodeError, PacketKind, Packets, TunnelType, packet_columns
from sensor.packet.ethertype import ETHERTYPE_IPV4, ETHERTYPE_IPV6
from sensor.packet.fragment import TOTALS as FRAGMENT_TOTALS
from sensor.packet.fragment import fragment_table, is_fragment, track
from sensor.packet.inner import Tunnels, innermost, tunnels_state
from sensor.packet.link import add_tag, is_wrapped, link_header, unwrap
from sensor.packet.stack import network_header
from sensor.packet.tunnel import may_carry
from sensor.packet.wire import signed

#: Rows of the largest batch: about 143 MB. Sources cut their batches far below it.
MAX_ROWS = 1 << 20

#: A packet this far ahead of the one before it (ns) is counted as a jump: a
#: clock was set, or the capture is spliced.
JUMP = 3_600_000_000_000

_NONE = int(DecodeError.NONE)
_EMPTY = int(DecodeError.EMPTY_FRAME)
_UNKNOWN_LINK_TYPE = int(DecodeError.UNKNOWN_LINK_TYPE)
_LAST_TIME = np.iinfo(np.int64).max

_TOTALS = ("frames", "bytes", "truncated", "late_packets", "time_jumps")
_FRAMES, _BYTES, _TRUNCATED, _LATE, _JUMPS = range(5)

#: How a walk inwards can end without a packet.
_INNER_CAUSES = (
    DecodeError.NONE,
    DecodeError.TRUNCATED_NETWORK,
    DecodeError.BAD_IP_VERSION,
    DecodeError.BAD_IP_HEADER_LENGTH,
    DecodeError.BAD_IP_TOTAL_LENGTH,
    DecodeError.TOO_MANY_LAYERS,
    DecodeError.BAD_ARP,
    DecodeError.TRUNCATED_TUNNEL,
    DecodeError.BAD_TUNNEL,
    DecodeError.PROTECTED_LINK,
)

Counts = npt.NDArray[np.int64]


class DecodeState(NamedTuple):
    """What the kernel keeps between batches.

    Parameters
    ----------
    clock
        int64, shape (2,): largest time so far (ns); 1 once there was a packet.
    totals
        int64, shape (5,): frames, bytes, truncated, late packets, time jumps.
    errors
        int64, shape (codes,): rows by `DecodeError`; `NONE` is not counted.
    kinds
        int64, shape (kinds,): rows by `PacketKind`.
    link_types
        int64, shape (65536,): frames by unknown link type.
    blank
        `PACKET`, shape (1,): the row that each frame starts from.
    tunnels
        Of the walk inwards, and the fragments.
    """

    clock: Counts
    totals: Counts
    errors: Counts
    kinds: Counts
    link_types: Counts
    blank: Packets
    tunnels: Tunnels


def _decode_state(wants_outer: int, key: tuple[int, int]) -> DecodeState:
    """Return the state before the first packet."""
    blank = packet_columns(1)
    blank["payload_offset"] = -1
    blank["outer_offset"] = -1
    blank["network_offset"] = -1
    return DecodeState(
        clock=np.zeros(2, np.int64),
        totals=np.zeros(len(_TOTALS), np.int64),
        errors=np.zeros(len(DecodeError), np.int64),
        kinds=np.zeros(len(PacketKind), np.int64),
        link_types=np.zeros(1 << 16, np.int64),
        blank=blank,
        tunnels=tunnels_state(wants_outer, fragment_table(key)),
    )


@kernel
def decode_frames(data: Bytes, frames: Frames, packets: Packets, state: DecodeState) -> None:
    """Fill one row of `packets` a frame.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    frames
        `FRAME`, shape (n,). One that does not lie within `data` counts as empty.
    packets
        `PACKET`, shape (at least n,), written.
    state
        Clock and counters, updated.
    """
    clock, totals, errors, kinds, link_types, blank, tunnels = state
    latest, begun = clock[0], clock[1]
    size = signed(data.shape[0])
    octets, cut_frames = 0, 0
    for i in range(frames.shape[0]):
        frame = frames[i]
        packets[i] = blank[0]
        row = packets[i]
        start, time = frame.offset, frame.time
        captured, link_type = signed(frame.caplen), signed(frame.link_type)
        if start < 0 or start > size - captured:
            captured = signed(0)
        # Some writers give a wire length below what they captured.
        length = max(signed(frame.wirelen), captured)
        if begun == 0:
            begun, latest = 1, time
        elif time < latest:
            totals[_LATE] += 1
        else:
            if latest < _LAST_TIME - JUMP and time > latest + JUMP:
                totals[_JUMPS] += 1
            latest = time
        row.time = latest
        row.wirelen = length
        row.caplen = captured
        if frame.vlan_tpid != 0:
            add_tag(signed(frame.vlan_tci), row)
        error = _EMPTY
        if captured > 0:
            end, wire_end = start + captured, start + length
            ethertype, at, error = link_header(data, start, end, link_type, row)
            if ethertype not in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) and is_wrapped(ethertype):
                ethertype, at, error = unwrap(data, at, end, ethertype, row)
            if error == _NONE:
                error, part = network_header(data, at, end, wire_end, ethertype, row)
                if is_fragment(row):
                    row.error = error
                    track(row, part, tunnels.fragments)
                if error == _NONE and may_carry(ethertype, row):
                    innermost(data, row, at, wire_end, ethertype, tunnels)
                    if tunnels.wants_outer[0]:
                        packets[i] = tunnels.kept[0]
                    error = signed(packets[i].error)
        if error != _NONE:
            row.error = error
            errors[error] += 1
            if error == _UNKNOWN_LINK_TYPE:
                link_types[link_type] += 1
        octets += length
        cut_frames += captured < length
        kinds[row.kind] += 1
    totals[_FRAMES] += frames.shape[0]
    totals[_BYTES] += octets
    totals[_TRUNCATED] += cut_frames
    clock[0], clock[1] = latest, begun


class Decoder:
    """Decodes batches into reused buffers of `PACKET` rows.

    Parameters
    ----------
    capacity
        Rows to hold room for from the start: the usual batch. At most `MAX_ROWS`.
    tunnels
        Which packet of a tunnelled frame its row describes. ``"inner"``: the
        innermost IP packet. ``"outer"``: the outermost one, as if the tunnel
        were its payload; the tunnel's fields are set all the same.
    key
        128-bit secret of the fragment table, as two words. Live it should be
        random, so that nobody can choose whose fragments are forgotten.
    buffers
        How many calls the rows of one outlive, itself included.

    Raises
    ------
    ValueError
        When `capacity` is not in 1 .. `MAX_ROWS`, or `tunnels` is neither word.
    """

    def __init__(
        self, capacity: int, *, tunnels: str = "inner", key: tuple[int, int] = (0, 0), buffers: int = 1
    ) -> None:
        if not 1 <= capacity <= MAX_ROWS:
            raise ValueError(f"capacity must be 1 .. {MAX_ROWS}, not {capacity}")
        if tunnels not in ("inner", "outer"):
            raise ValueError(f"tunnels must be 'inner' or 'outer', not {tunnels!r}")
        self._buffers = [packet_columns(capacity) for _ in range(buffers)]
        self._state = _decode_state(int(tunnels == "outer"), key)

    @property
    def latest(self) -> int:
        """Largest time so far, of a packet or `advance` (ns since the epoch); 0 before the first packet."""
        return int(self._state.clock[0])

    def advance(self, now: int) -> None:
        """Note that capture time has reached `now` (ns): packets that come earlier are late.

        Before the first packet it has no effect: there is no time to be late for.
        """
        clock = self._state.clock
        if clock[1]:
            clock[0] = max(int(clock[0]), now)

    def decode(self, batch: PacketBatch) -> Packets:
        """Decode all frames of `batch`.

        Parameters
        ----------
        batch
            Borrowed; nothing of it is kept.

        Returns
        -------
        packets
            `PACKET`, shape (n,), in the order of the frames. A view that the
            next call overwrites, or a later one (`buffers`).

        Raises
        ------
        ValueError
            When a source hands over more than `MAX_ROWS` frames at once.
        """
        count = len(batch.frames)
        if count > MAX_ROWS:
            raise ValueError(f"a batch of {count} frames; sources must cut batches at {MAX_ROWS}")
        rows = self._buffers.pop(0)
        if count > len(rows):
            rows = packet_columns(count)
        self._buffers.append(rows)
        packets = rows[:count]
        decode_frames(read_only(batch.data), read_only(batch.frames), packets, self._state)
        return packets

    def counters(self) -> dict[str, int]:
        """Return totals, then rows by error, by kind and by tunnel, walks inwards that failed, and fragments.

        ``tunnels_*``: rows by what carried them (their `TunnelType`). ``inner_*``:
        tunnels that led to nothing that could be decoded, by `DecodeError`;
        ``inner_other`` to something whole that is neither IP nor ARP.
        ``ordinary_on_tunnel_port``: datagrams that only share a tunnel's port.
        """
        state = self._state
        counts = {name: int(state.totals[i]) for i, name in enumerate(_TOTALS)}
        for code in DecodeError:
            if code != DecodeError.NONE:
                counts[f"error_{code.name.lower()}"] = int(state.errors[code])
        for kind in PacketKind:
            counts[f"kind_{kind.name.lower()}"] = int(state.kinds[kind])
        return counts | self._tunnel_counters() | self._fragment_counters()

    def _tunnel_counters(self) -> dict[str, int]:
        state = self._state.tunnels
        counts = {"ordinary_on_tunnel_port": int(state.ordinary[0])}
        for kind in TunnelType:
            if kind != TunnelType.NONE:
                counts[f"tunnels_{kind.name.lower()}"] = int(state.carried[kind])
        for code in _INNER_CAUSES:
            name = "other" if code == DecodeError.NONE else code.name.lower()
            counts[f"inner_{name}"] = int(state.undecoded[code])
        return counts

    def _fragment_counters(self) -> dict[str, int]:
        totals = self._state.tunnels.fragments.totals
        return {name: int(totals[i]) for i, name in enumerate(FRAGMENT_TOTALS)}

    def unknown_link_types(self) -> dict[int, int]:
        """Return frames by LINKTYPE number, for the link types that cannot be decoded."""
        table = self._state.link_types
        return {int(number): int(table[number]) for number in np.flatnonzero(table)}
