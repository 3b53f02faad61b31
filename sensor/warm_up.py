"""Compile every kernel before the first real packet: a small crafted capture through an engine of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import struct
from pathlib import Path

import numpy as np

from sensor.engine import Engine
from sensor.flow.record import FLOW_EVENT
from sensor.flow.share import join_events
from sensor.kernel import CACHE
from sensor.packet.batch import FRAME, PacketBatch
from sensor.settings import EngineSettings

_SECOND = 1_000_000_000
#: Enough rows to fill the smallest model below twice, so that scoring is compiled too.
_FLOWS = 400
_ROWS = 50
_KEY = (1, 2)  # of the scratch tables: nothing hostile comes near them
_ETHERNET = 1  # LINKTYPE_ETHERNET


def kernels_are_kept() -> bool:
    """Return whether a warm-up of these sources has filled the cache before."""
    return CACHE is not None and _mark(CACHE).exists()


def _mark(folder: Path) -> Path:
    """Return the file that says: this folder of the cache is complete."""
    return folder / "complete"


def warm_up(settings: EngineSettings) -> None:
    """Run a few hundred crafted flows through an engine like the one of `settings`, but smaller.

    What is compiled depends on types, not on sizes. The scratch engine is
    thrown away, so nothing of this is learned.
    """
    small = dataclasses.replace(
        settings,
        flow=dataclasses.replace(settings.flow, capacity=1024),
        feature=dataclasses.replace(settings.feature, hosts=256),
        model=dataclasses.replace(settings.model, window_rows=_ROWS, scaler_rows=_ROWS, detectors=()),
    )
    engine = Engine(small, _KEY)
    engine.process(_batch(settings.feature.window_secs))
    engine.flush()
    none = np.zeros(0, FLOW_EVENT)
    join_events(none, none, 0)  # several workers need it
    if CACHE is not None:
        with contextlib.suppress(OSError):  # a cache that cannot be written to is done without
            os.close(os.open(_mark(CACHE), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _batch(window_secs: float) -> PacketBatch:
    """Return one batch of UDP, TCP, ARP, IPv6 and broken frames over several host windows."""
    packets: list[bytes] = []
    for number in range(_FLOWS):
        client, server = 0x0A000001 + number % 100, 0x0A000101 + number % 7
        port = 20_000 + number
        packets.append(_udp(client, server, port, 53))
        packets.append(_udp(server, client, 53, port))
        packets.append(_tcp(client, server, port, flags=0x02))
        packets.append(_tcp(client, server, port, flags=0x04))
    packets += [_arp(), _ipv6(), b"\x00" * 10, b""]
    frames = np.zeros(len(packets), FRAME)
    lengths = [len(packet) for packet in packets]
    frames["offset"] = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    frames["caplen"] = frames["wirelen"] = lengths
    frames["link_type"] = _ETHERNET
    frames["time"] = _SECOND + np.linspace(0, 5 * window_secs * _SECOND, len(packets)).astype(np.int64)
    data = np.frombuffer(b"".join(packets), np.uint8).copy()
    return PacketBatch(data, frames, int(frames["time"][-1]))


def _ethernet(ethertype: int, payload: bytes) -> bytes:
    return struct.pack("!6s6sH", b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02", ethertype) + payload


def _ipv4(source: int, destination: int, protocol: int, payload: bytes) -> bytes:
    header = struct.pack(
        "!BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, destination
    )
    return _ethernet(0x0800, header + payload)


def _udp(source: int, destination: int, source_port: int, destination_port: int) -> bytes:
    payload = struct.pack("!HHHH", source_port, destination_port, 16, 0) + bytes(8)
    return _ipv4(source, destination, 17, payload)


def _tcp(source: int, destination: int, source_port: int, *, flags: int) -> bytes:
    segment = struct.pack("!HHIIBBHHH", source_port, 80, 1, 0, 5 << 4, flags, 1024, 0, 0)
    return _ipv4(source, destination, 6, segment)


def _arp() -> bytes:
    body = struct.pack("!HHBBH6sI6sI", 1, 0x0800, 6, 4, 1, bytes(6), 0x0A000001, bytes(6), 0x0A000002)
    return _ethernet(0x0806, body)


def _ipv6() -> bytes:
    addresses = b"\xfe\x80" + bytes(13) + b"\x01" + b"\xfe\x80" + bytes(13) + b"\x02"
    header = struct.pack("!IHBB", 6 << 28, 8, 17, 64) + addresses
    return _ethernet(0x86DD, header + struct.pack("!HHHH", 5353, 5353, 8, 0))
