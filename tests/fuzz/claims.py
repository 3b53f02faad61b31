"""First bytes of a flow out of any bytes: what the initiator sent, and what came back."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from sensor.packet.claim import CLAIM, claim_fields, claim_rows, claim_scratch
from sensor.packet.columns import PacketKind, packet_columns
from sensor.packet.first_bytes import read_claim

HEAD_BYTES = 7
_TCP, _UDP = 6, 17
_CLIENT_PORT = 49152
_TEXTS = [name for name in CLAIM.names or () if f"{name}_bytes" in (CLAIM.names or ())]
_PRINTABLE = range(0x20, 0x7F)


def head(port: int, *, tcp: bool, request_bytes: int, missing: int = 0) -> bytes:
    """Return the bytes before a claim: transport, server's port, missing bytes, length of the request."""
    return struct.pack("!BHHH", tcp, port, missing, request_bytes)


class Flow(NamedTuple):
    """One flow's first bytes, as fuzz bytes choose them."""

    tcp: bool
    port: int  # the server's
    missing: int  # bytes of the request that were sent and not captured
    request: bytes
    reply: bytes


def flow_of(data: bytes) -> Flow:
    """Return the flow that fuzz bytes stand for."""
    tcp, port, missing, size = struct.unpack("!BHHH", data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"))
    body = data[HEAD_BYTES:]
    return Flow(bool(tcp & 1), port, missing, body[:size], body[size:])


def _packet(flow: Flow, offset: int, *, reverse: bool) -> np.record:
    """Return the `PACKET` row of the request, or of the reply."""
    size = len(flow.reply if reverse else flow.request)
    packets = packet_columns(1)
    row = packets[0]
    row.kind, row.ip_version, row.protocol = PacketKind.IP, 4, _TCP if flow.tcp else _UDP
    row.src_port, row.dst_port = (flow.port, _CLIENT_PORT) if reverse else (_CLIENT_PORT, flow.port)
    row.payload_offset, row.payload_captured = offset, size
    row.payload_bytes = size if reverse else size + flow.missing
    return row


def _claimed(flow: Flow, around: bytes) -> tuple[list[int], tuple, dict[str, str | int]]:
    """Read both directions; each payload lies between `around` and `around`."""
    claim, scratch = claim_rows(1)[0], claim_scratch()[0]
    found = []
    for reverse, payload in enumerate((flow.request, flow.reply)):
        if payload:
            data = np.frombuffer(around + payload + around, np.uint8)
            packet = _packet(flow, len(around), reverse=bool(reverse))
            found.append(int(read_claim(data, packet, reverse, claim, scratch)))
    check(claim)
    return found, claim.tolist(), claim_fields(claim)


def check(claim: np.record) -> None:
    """Raise AssertionError when a `CLAIM` row holds what it may not."""
    for name in _TEXTS:
        size, room = int(claim[f"{name}_bytes"]), len(claim[name])
        assert size <= room, f"{size} bytes of {name}"
        assert all(byte in _PRINTABLE for byte in claim[name][:size].tolist()), f"{name} cannot be printed"


def claim(data: bytes) -> object:
    """Read a request and, when there is one, its reply: alone in their memory, and among other bytes."""
    flow = flow_of(data)
    result = _claimed(flow, b"")
    assert repr(_claimed(flow, b"\x05GET\0\xff")) == repr(result), (
        "the bytes around a payload change its claim"
    )
    return result
