"""Write a capture of generated traffic: `python generate.py 10000000 /tmp/traffic.pcap`.

A classic pcap file with microseconds, Ethernet frames, a quarter of the hosts
behind VLAN tags, IPv4 and IPv6. Frames are cut at 96 bytes with their true
length in the record header, as a sensor's capture usually is; or whole. IP and
TCP checksums are 0, as a NIC leaves them for itself to fill in.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import struct
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import payload
import traffic

SNAP_BYTES = 96
WHOLE_BYTES = 1522
_RECORD_BYTES = 16
_TAGGED_PARTS = 4  # every fourth client is behind a VLAN tag
_HEADER_BYTES = {6: 32, 17: 8, 1: 8}  # TCP with 12 bytes of options
_CHUNK = 100_000

Bytes = npt.NDArray[np.uint8]


def write_capture(
    path: Path, packets: int, *, seed: int = 1, hosts: int = 2_000, whole: bool = False
) -> None:
    """Write a capture of exactly so many `packets`."""
    width = WHOLE_BYTES if whole else SNAP_BYTES
    left = packets
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, width, 1))
        for rows in traffic.slices(seed, traffic.hosts_of(hosts)):
            for start in range(0, min(left, len(rows)), _CHUNK):
                chunk = rows[start : min(start + _CHUNK, left)]
                _write(file, chunk, width)
            left -= min(left, len(rows))
            if left == 0:
                return


def head_of(path: Path, packets: int, target: Path) -> None:
    """Copy the first `packets` of a capture to `target`."""
    with path.open("rb") as source, target.open("wb") as file:
        file.write(source.read(24))
        for _ in range(packets):
            header = source.read(_RECORD_BYTES)
            if not header:
                return
            file.write(header + source.read(int.from_bytes(header[8:12], "little")))


def _write(file: BinaryIO, rows: traffic.Rows, width: int) -> None:
    """Write one chunk of rows as records."""
    size = _RECORD_BYTES + width
    matrix = np.empty((len(rows), size), np.uint8)
    tagged = rows["client"] % _TAGGED_PARTS == 0
    protocol = traffic.PROTOCOL[rows["kind"]]
    length = np.zeros(len(rows), np.int64)
    for version in (4, 6):
        for is_tagged in (False, True):
            for number in _HEADER_BYTES:
                here = (rows["version"] == version) & (tagged == is_tagged) & (protocol == number)
                at = np.flatnonzero(here)
                if len(at):
                    matrix[at], length[at] = _frames(rows[at], size, version, is_tagged, number)
    captured = np.minimum(length, width)
    words = matrix[:, :_RECORD_BYTES].view("<u4")
    words[:, 0], words[:, 1] = np.divmod(rows["time"], 1_000_000)
    words[:, 2], words[:, 3] = captured, length
    file.write(matrix[np.arange(size) < (_RECORD_BYTES + captured)[:, None]].tobytes())


def _layout(size: int, version: int, tagged: bool, protocol: int) -> tuple[np.dtype[np.void], int]:  # noqa: FBT001
    """Return the record as a dtype of big-endian fields, and where the transport payload begins."""
    ip = _RECORD_BYTES + (18 if tagged else 14)
    l4 = ip + (20 if version == 4 else 40)
    fields = [("dst_mac", ">u8", 14), ("src_mac", ">u8", 20), ("type", ">u2", ip - 2)]
    if tagged:
        fields += [("tpid", ">u2", 28), ("tci", ">u2", 30)]
    if version == 4:
        fields += [
            ("ip", ">u2", ip),
            ("length", ">u2", ip + 2),
            ("id", ">u2", ip + 4),
            ("fragment", ">u2", ip + 6),
        ]
        fields += [("ttl", "u1", ip + 8), ("protocol", "u1", ip + 9), ("ip_sum", ">u2", ip + 10)]
        fields += [("src", ">u4", ip + 12), ("dst", ">u4", ip + 16)]
    else:
        fields += [
            ("ip", ">u4", ip),
            ("length", ">u2", ip + 4),
            ("protocol", "u1", ip + 6),
            ("ttl", "u1", ip + 7),
        ]
        fields += [("src_hi", ">u8", ip + 8), ("src", ">u8", ip + 16)]
        fields += [("dst_hi", ">u8", ip + 24), ("dst", ">u8", ip + 32)]
    fields += [("src_port", ">u2", l4), ("dst_port", ">u2", l4 + 2)]
    if protocol == 6:
        fields += [("seq", ">u4", l4 + 4), ("ack", ">u4", l4 + 8), ("offset", "u1", l4 + 12)]
        fields += [("flags", "u1", l4 + 13), ("window", ">u2", l4 + 14), ("tcp_sum", ">u4", l4 + 16)]
        fields += [("option", ">u4", l4 + 20), ("stamp", ">u4", l4 + 24), ("echo", ">u4", l4 + 28)]
    else:
        fields += [("l4_length", ">u2", l4 + 4), ("l4_number", ">u2", l4 + 6)]
    names, formats, offsets = zip(*fields, strict=True)
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
    return dtype, l4 + _HEADER_BYTES[protocol]


def _frames(
    rows: traffic.Rows,
    size: int,
    version: int,
    tagged: bool,  # noqa: FBT001
    protocol: int,
) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Return the frames of rows of one layout, shape (n, `size`), and their lengths on the wire."""
    dtype, begin = _layout(size, version, tagged, protocol)
    block = payload.fill(rows, size, begin)
    frame = block.view(dtype)[:, 0]
    inner = _HEADER_BYTES[protocol] + rows["payload"].astype(np.int64)
    src = np.where(rows["reverse"] == 1, rows["server"], rows["client"]).astype(np.uint64)
    dst = np.where(rows["reverse"] == 1, rows["client"], rows["server"]).astype(np.uint64)
    base = np.uint64(0x0200_5E00_0000)  # locally administered
    # A MAC is 48 bits: written as 64, the upper 16 fall on what is written after it or before the frame.
    frame["src_mac"] = base | src
    dst_mac = (base | dst).astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    block[:, 16:22] = dst_mac
    frame["type"] = 0x0800 if version == 4 else 0x86DD
    if tagged:
        frame["tpid"], frame["tci"] = 0x8100, 10 + rows["client"] % 8
    frame["ttl"] = 64
    if version == 4:
        frame["ip"], frame["length"] = 0x4500, 20 + inner
        frame["id"], frame["fragment"], frame["ip_sum"] = rows["seq"] & 0xFFFF, 0x4000, 0
        frame["src"], frame["dst"] = 0x0A01_0000 | src, 0x0A01_0000 | dst
        frame["protocol"] = protocol
    else:
        frame["ip"], frame["length"] = 6 << 28, inner
        frame["src_hi"] = frame["dst_hi"] = 0x2001_0DB8_0001_0000
        frame["src"], frame["dst"] = src, dst
        frame["protocol"] = 58 if protocol == 1 else protocol
    _transport(frame, rows, protocol, inner)
    return block, begin - _RECORD_BYTES + rows["payload"].astype(np.int64)


def _transport(
    frame: npt.NDArray[np.void], rows: traffic.Rows, protocol: int, inner: npt.NDArray[np.int64]
) -> None:
    reverse = rows["reverse"] == 1
    if protocol == 1:
        six = rows["version"] == 6
        kind = np.where(six, np.where(reverse, 129, 128), np.where(reverse, 0, 8))
        frame["src_port"], frame["dst_port"] = kind << 8, 0
        frame["l4_length"], frame["l4_number"] = rows["client_port"], rows["number"] // 2
        return
    port = traffic.PORT[rows["kind"]]
    frame["src_port"] = np.where(reverse, port, rows["client_port"])
    frame["dst_port"] = np.where(reverse, rows["client_port"], port)
    if protocol == 17:
        frame["l4_length"], frame["l4_number"] = inner, 0xFFFF  # 0 is not allowed in IPv6
        return
    syn = rows["flags"] & traffic.SYN != 0
    stamp = (rows["time"] // 1000).astype(np.uint32)
    frame["seq"], frame["ack"] = rows["seq"], rows["ack"]
    frame["offset"], frame["flags"], frame["window"], frame["tcp_sum"] = 0x80, rows["flags"], 0xFAF0, 0
    # SYN: MSS, SACK permitted, window scale; others: timestamps.
    frame["option"] = np.where(syn, 0x0204_05B4, 0x0101_080A)
    frame["stamp"] = np.where(syn, 0x0101_0402, stamp)
    frame["echo"] = np.where(syn, 0x0103_0307, stamp - np.uint32(20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packets", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=2_000)
    parser.add_argument("--full", action="store_true", help="whole frames instead of the first 96 bytes")
    options = parser.parse_args()
    started = time.monotonic()
    write_capture(options.path, options.packets, seed=options.seed, hosts=options.hosts, whole=options.full)
    seconds = time.monotonic() - started
    size = options.path.stat().st_size
    print(f"{options.packets:,} packets, {size:,} bytes, {options.packets / seconds:,.0f} packets/s")


if __name__ == "__main__":
    main()
