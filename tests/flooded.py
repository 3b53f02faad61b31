"""A flood of connection attempts from invented addresses, as frames that differ in a few bytes."""

from __future__ import annotations

import ipaddress

import numpy as np
import numpy.typing as npt
from craft import SYN, TCP, ethernet, ipv4, tcp

from sensor.packet.batch import FRAME, PacketBatch

_SOURCE_AT, _PORT_AT, _FLAGS_AT = 26, 34, 47
#: Invented senders count up from here.
_FIRST_SOURCE = int(ipaddress.ip_address("11.0.0.1"))


def attempts(count: int, victim: str, port: int = 80) -> npt.NDArray[np.uint8]:
    """Return SYN frames, shape (count, bytes), each from another address; checksums are not right."""
    frame = ethernet(ipv4(tcp(flags=SYN, dst_port=port), dst=victim, proto=TCP))
    frames = np.tile(np.frombuffer(frame, np.uint8), (count, 1))
    # Multiplied by an odd number: each source once, and none follows from the one before.
    scattered = np.arange(count, dtype=np.uint32) * np.uint32(40_503) & np.uint32(0xF_FFFF)
    sources = (_FIRST_SOURCE + scattered).astype(">u4")
    frames[:, _SOURCE_AT : _SOURCE_AT + 4] = sources.view(np.uint8).reshape(count, 4)
    ports = (1024 + np.arange(count) % 60_000).astype(">u2")
    frames[:, _PORT_AT : _PORT_AT + 2] = ports.view(np.uint8).reshape(count, 2)
    return frames


def answers_to(frames: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[np.uint8]:
    """Return what the victim of `attempts` sends back, with these TCP flags."""
    answers = frames.copy()
    for first, second, size in ((0, 6, 6), (_SOURCE_AT, _SOURCE_AT + 4, 4), (_PORT_AT, _PORT_AT + 2, 2)):
        answers[:, first : first + size] = frames[:, second : second + size]
        answers[:, second : second + size] = frames[:, first : first + size]
    answers[:, _FLAGS_AT] = flags
    return answers


def batch_of(frames: npt.NDArray[np.uint8], start: int, rate: int) -> PacketBatch:
    """Return equally long frames as a batch, `rate` a second from `start` (ns)."""
    count, size = frames.shape
    rows = np.zeros(count, FRAME)
    rows["offset"] = np.arange(count) * size
    rows["time"] = start + np.arange(count) * (10**9 // rate)
    rows["caplen"] = rows["wirelen"] = size
    rows["link_type"] = 1
    return PacketBatch(frames.reshape(-1), rows, int(rows["time"][-1]))
