"""The flow record, in IPFIX words (RFC 7011, 7012, 5103), and what a packet did to its flow.

`forward` is the initiator's direction (RFC 5103 biflow); a field of the other
direction starts with ``reverse_``. Sums are kept rather than means, so that a
record is exact; `archive.row` derives means and deviations.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from sensor.kernel import record_dtype


class FlowEndReason(enum.IntEnum):
    """IPFIX flowEndReason (information element 136, RFC 5102)."""

    IDLE_TIMEOUT = 1
    ACTIVE_TIMEOUT = 2
    END_OF_FLOW = 3  # FIN from both sides, or RST
    FORCED_END = 4  # end of capture, or shutdown
    LACK_OF_RESOURCES = 5  # the table was full


class Handshake(enum.IntEnum):
    """How the TCP connection began, as far as this sensor saw."""

    NONE = 0  # not TCP
    SYN = 1  # SYN, and no answer yet
    SYN_ACK = 2  # answered, third packet not seen
    ESTABLISHED = 3
    REFUSED = 4  # RST came back for the SYN
    MIDSTREAM = 5  # began before this sensor looked, or the SYN was not mirrored


class FlowEvent(enum.IntFlag):
    """What a packet changed."""

    NEW_FLOW = 0x01  # first packet of a new flow key
    FIRST_REPLY = 0x02  # first packet of the reverse direction
    ESTABLISHED = 0x04  # TCP handshake became complete with this packet
    REFUSED = 0x08  # RST answered the SYN
    RETRANSMISSION = 0x10  # TCP payload at or below what was already seen
    CLOSED = 0x20  # the flow went to linger with this packet
    CONTINUED = 0x40  # the active timeout split the flow just before this packet
    SHED = 0x80  # under overload: the packet would have begun a flow and got none


#: The sums of one direction. The first eight and `psh` change with each packet.
_SIDE: list[tuple[str, type]] = [
    ("last", np.int64),  # time of the direction's latest packet, ns; 0 when none
    ("bytes", np.uint64),  # octetDeltaCount: IP header and payload
    ("payload_bytes", np.uint64),
    ("length_squares", np.float64),  # sum of squared IP lengths
    ("interval_squares", np.float64),  # sum of squared inter-arrival times, s^2
    ("interval_min", np.int64),  # ns; 0 while there are fewer than two packets
    ("interval_max", np.int64),
    ("packets", np.uint32),
    ("psh", np.uint32),
    ("interval_sum", np.int64),
    ("first_payload_hi", np.uint64),  # first 16 payload bytes, big-endian
    ("first_payload_lo", np.uint64),
    ("first_payload_bytes", np.uint32),  # length of the first payload
    ("retransmissions", np.uint32),
    ("ack", np.uint32),
    ("missed_bytes", np.uint32),  # TCP: acknowledged by the other end and never seen; see `loss`
    ("fin", np.uint16),  # these four stay at 65,535
    ("syn", np.uint16),
    ("rst", np.uint16),
    ("urg", np.uint16),
]
#: Of each direction too, but kept where a packet of either looks.
_EDGE: list[tuple[str, type]] = [
    ("next_seq", np.uint32),  # TCP sequence number expected next
    ("length_min", np.uint32),  # IP length, bytes
    ("length_max", np.uint32),
]
SIDE_NAMES = tuple(name for name, _ in _SIDE)


def _reverse(fields: list[tuple[str, type]]) -> list[tuple[str, type]]:
    return [(f"reverse_{name}", kind) for name, kind in fields]


#: One biflow. Addresses as in `packet.columns`: two words, IPv4 mapped. The order is `entry`'s.
FLOW = record_dtype(
    [
        ("src_hi", np.uint64),  # initiator
        ("src_lo", np.uint64),
        ("dst_hi", np.uint64),
        ("dst_lo", np.uint64),
        ("src_port", np.uint16),
        ("dst_port", np.uint16),
        ("vlan", np.uint16),
        ("protocol", np.uint8),
        ("ip_version", np.uint8),
        ("end", np.int64),  # flowEndNanoseconds
        ("start", np.int64),  # flowStartNanoseconds
        *_EDGE,
        *_reverse(_EDGE),
        ("idle", np.int64),  # ns spent in gaps longer than the activity gap
        ("flow_id", np.uint64),  # counts up in order of first packets
        ("idle_periods", np.uint16),
        ("handshake", np.uint8),  # Handshake
        ("end_reason", np.uint8),  # FlowEndReason
        ("continued", np.uint8),  # 1: an active timeout cut this flow's earlier part off
        ("tcp_flags", np.uint8),  # union, forward
        ("reverse_tcp_flags", np.uint8),
        ("application", np.uint8),  # packet.application's number; 0: not told
        *_SIDE,
        ("src_mac", np.uint64),
        ("dst_mac", np.uint64),
        *_reverse(_SIDE),
        ("synack_delay", np.int64),  # SYN to SYN-ACK, ns; 0 when not seen
        ("ack_delay", np.int64),  # SYN-ACK to ACK, ns; 0 when not seen
        ("exported", np.int64),  # when the record was due: end + timeout, or the packet's time
        ("outer_src_hi", np.uint64),  # ends of the tunnel that carried the first packet; 0: none
        ("outer_src_lo", np.uint64),
        ("outer_dst_hi", np.uint64),
        ("outer_dst_lo", np.uint64),
        ("tunnel_id", np.uint32),  # of the first packet, as are the next two
        ("claim", np.int32),  # row of what the ends said of themselves; -1: nothing
        ("sampling", np.uint16),  # how many flows like it this one stands for; 1 unless under overload
        ("tunnel", np.uint8),  # TunnelType
        ("tunnel_layers", np.uint8),
    ]
)
_FIELDS = dict(FLOW.fields or {})
#: Where each field of a `FLOW` row begins, bytes.
FLOW_OFFSETS = {name: int(field[1]) for name, field in _FIELDS.items()}

#: What one packet did; aligned row by row with the `PACKET` rows given to the meter.
FLOW_EVENT = record_dtype(
    [
        ("flow", np.int32),  # slot in the meter's table; -1: no flow (ARP, errors ...)
        ("bits", np.uint8),  # FlowEvent
        ("reverse", np.uint8),  # 1: sent by the responder
        ("weight", np.uint16),  # of a new flow: how many like it this one stands for
    ]
)

Flows = npt.NDArray[np.void]
FlowEvents = npt.NDArray[np.void]
