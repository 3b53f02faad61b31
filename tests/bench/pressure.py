"""Tables under pressure: `python pressure.py concurrent --flows 1000000`, `collisions` or `spoofed`.

Packets are made in memory, so what is measured is the tables alone. Times are
processor times; the memory is what the process holds at the end.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sensor.engine import Engine
from sensor.flow.key import KEY_SETTINGS, key_packets, new_keys
from sensor.flow.meter import Meter
from sensor.packet.batch import FRAME, Bytes, PacketBatch
from sensor.packet.columns import V4_MAPPED, PacketKind, Packets, TcpFlag, packet_columns
from sensor.settings import EngineSettings

_KEY = (1, 2)
_BATCH = 16_384
_NS = 1_000_000_000
_START = 1_704_067_200 * _NS
_CLIENTS, _SERVER = 0x0A00_0000, 0xC0A8_0001
_PORTS = 50_000
#: Each flow gets a packet so often, on average: none expires.
_TURN_SECS = 10.0
#: Spoofed flows arrive at this rate, as a flood on a gigabit does.
_FLOOD_PER_SECOND = 1_000_000
_ANSWERED = 10_000  # ordinary flows that go on beside the spoofed ones
#: Candidates among which an attacker looks for keys of one bucket, and how many buckets he fills.
_CANDIDATES = 1 << 24
_FULL_BUCKETS = 512

Numbers = npt.NDArray[np.int64]


def memory_bytes() -> int:
    """Return the resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def rows_of(flows: Numbers, reverse: npt.NDArray[np.bool_], times: Numbers) -> Packets:
    """Return TCP packets of numbered flows, decoded."""
    rows = packet_columns(len(flows))
    client = (V4_MAPPED + _CLIENTS + flows // _PORTS).astype(np.uint64)
    server = np.uint64(V4_MAPPED + _SERVER)
    port = 10_000 + flows % _PORTS
    rows["src_lo"], rows["dst_lo"] = np.where(reverse, server, client), np.where(reverse, client, server)
    rows["src_port"], rows["dst_port"] = np.where(reverse, 443, port), np.where(reverse, port, 443)
    rows["time"] = times
    rows["kind"], rows["ip_version"], rows["protocol"] = PacketKind.IP, 4, 6
    rows["tcp_flags"], rows["payload_offset"] = TcpFlag.ACK, -1
    rows["wirelen"], rows["caplen"], rows["ip_bytes"], rows["payload_bytes"] = 1054, 54, 1040, 1000
    return rows


def observe(meter: Meter, batches: Iterator[Packets]) -> tuple[int, float]:
    """Give a meter all batches; return the packets, and the seconds that the meter took."""
    nothing, packets, seconds = np.zeros(1, np.uint8), 0, 0.0
    for rows in batches:
        started = time.process_time()
        for _ in meter.observe(rows, nothing):
            pass
        seconds += time.process_time() - started
        packets += len(rows)
    return packets, seconds


def ordered(flows: Numbers, *, reverse: bool, start: int) -> Iterator[Packets]:
    """Yield one packet of each flow, in so many batches."""
    for first in range(0, len(flows), _BATCH):
        part = flows[first : first + _BATCH]
        moments = start + np.arange(first, first + len(part))
        yield rows_of(part, np.full(len(part), reverse), moments)


def mixed(flows: Numbers, packets: int, start: int) -> Iterator[Packets]:
    """Yield packets of flows drawn at random, of either direction."""
    rng = np.random.default_rng(1)
    gap = max(1, round(_TURN_SECS * _NS / len(flows)))
    for first in range(0, packets, _BATCH):
        count = min(_BATCH, packets - first)
        moments = start + gap * np.arange(first, first + count)
        yield rows_of(rng.choice(flows, count), rng.random(count) < 0.5, moments)


def filled(meter: Meter, flows: Numbers, packets: int) -> dict[str, Any]:
    """Open `flows`, answer them, and measure `packets` more."""
    begun, opening = observe(meter, ordered(flows, reverse=False, start=_START))
    observe(meter, ordered(flows, reverse=True, start=_START + _NS))
    done, seconds = observe(meter, mixed(flows, packets, _START + 2 * _NS))
    return {
        "flows": len(flows),
        "open": meter.active,
        "ns_to_open": opening / begun * 1e9,
        "ns_per_packet": seconds / done * 1e9,
        "walk_limit": meter.counters()["chain_walk_limit"],
        "memory_bytes": memory_bytes(),
    }


def concurrent(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure a flow table that holds so many open flows at a time."""
    meter = Meter(capacity=max(1024, options.flows * 5 // 4), key=_KEY)
    observe(Meter(capacity=1024, key=_KEY), mixed(np.arange(100), 1000, _START))  # compiles
    found = filled(meter, np.arange(options.flows), options.packets)
    return [{"run": "concurrent", "before_bytes": options.before, **found}]


def colliding(key: tuple[int, int], buckets: int) -> Numbers:
    """Return the numbers of flows that share few buckets of a table with a known `key`."""
    settings = np.zeros(1, KEY_SETTINGS)
    settings["k0"], settings["k1"] = (np.uint64(half) for half in key)
    keys = new_keys(_BATCH)
    place = np.empty(_CANDIDATES, np.int32)
    for first in range(0, _CANDIDATES, _BATCH):
        flows = np.arange(first, first + _BATCH)
        key_packets(rows_of(flows, np.zeros(_BATCH, np.bool_), flows), keys, 0, settings)
        place[first : first + _BATCH] = keys.hashes & np.uint64(buckets - 1)
    fullest = np.argsort(np.bincount(place, minlength=buckets))[-_FULL_BUCKETS:]
    return np.flatnonzero(np.isin(place, fullest))


def collisions(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure flows chosen to collide: under the key they were chosen for, and under a secret one."""
    capacity = 262_144
    flows = colliding(_KEY, 1 << (2 * capacity - 1).bit_length())
    plain = np.arange(len(flows))
    secret = (secrets.randbits(64), secrets.randbits(64))
    observe(Meter(capacity=1024, key=_KEY), mixed(plain, 1000, _START))
    return [
        {"run": name, **filled(Meter(capacity=capacity, key=key), chosen, options.packets)}
        for name, key, chosen in (
            ("ordinary flows", _KEY, plain),
            ("chosen, key known", _KEY, flows),
            ("chosen, key secret", secret, flows),
        )
    ]


def _frames(sources: npt.NDArray[np.uint32], ports: Numbers, flags: int, *, reverse: bool) -> Bytes:
    """Return TCP frames without payload, shape (n, 54)."""
    block = np.zeros((len(sources), 54), np.uint8)
    block[:, 0:14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]
    block[:, 14:26] = [0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]
    here = sources.astype(">u4").view(np.uint8).reshape(-1, 4)
    there = np.full(len(sources), _SERVER, ">u4").view(np.uint8).reshape(-1, 4)
    port = ports.astype(">u2").view(np.uint8).reshape(-1, 2)
    block[:, 26:30], block[:, 30:34] = (there, here) if reverse else (here, there)
    block[:, 34:36], block[:, 36:38] = ([1, 187], port) if reverse else (port, [1, 187])
    block[:, 46:48] = [0x50, flags]
    return block


def _batch(block: Bytes, times: Numbers) -> PacketBatch:
    frames = np.zeros(len(block), FRAME)
    frames["offset"], frames["time"] = np.arange(len(block)) * block.shape[1], times
    frames["caplen"] = frames["wirelen"] = block.shape[1]
    frames["link_type"] = 1
    return PacketBatch(block.reshape(-1), frames, int(times[-1]))


def spoofed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Send SYNs of made-up senders through the whole engine, beside flows that were answered."""
    engine, rng = Engine(EngineSettings(), _KEY), np.random.default_rng(1)
    good = np.arange(_ANSWERED)
    clients, ports = (_CLIENTS + good // 50).astype(np.uint32), 10_000 + good % 50
    ticks = np.arange(_ANSWERED) * 1000
    for turn, flags in ((False, TcpFlag.SYN), (True, TcpFlag.SYN | TcpFlag.ACK), (False, TcpFlag.ACK)):
        frames = _frames(clients, ports, int(flags), reverse=turn)
        engine.process(_batch(frames, _START + ticks))
        ticks = ticks + _NS // 10
    before, seconds, done = memory_bytes(), 0.0, 0
    gap = _NS // _FLOOD_PER_SECOND
    while done < options.packets:
        sources = rng.integers(1 << 24, 0xE000_0000, _BATCH, dtype=np.uint32)
        block = _frames(sources, rng.integers(1024, 65_536, _BATCH), int(TcpFlag.SYN), reverse=False)
        times = _START + _NS + gap * np.arange(done, done + _BATCH)
        started = time.process_time()
        engine.process(_batch(block, times))
        seconds += time.process_time() - started
        done += _BATCH
    counters = engine.counters()["flow"]
    frames = _frames(clients, ports, int(TcpFlag.ACK), reverse=True)
    engine.process(_batch(frames, np.full(_ANSWERED, times[-1])))
    begun = engine.counters()["flow"]["flows_started"] - counters["flows_started"]
    return [
        {
            "run": "spoofed",
            "flows": done,
            "open": engine.status().active_flows,
            "ns_per_packet": seconds / done * 1e9,
            "evicted": sum(count for name, count in counters.items() if name.startswith("flows_evicted_")),
            "answered": _ANSWERED,
            "survivors": _ANSWERED - begun,
            "before_bytes": before,
            "memory_bytes": memory_bytes(),
        }
    ]


RUNS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    run.__name__: run for run in (concurrent, collisions, spoofed)
}


def measure(run: str, *, packets: int, flows: int = 0) -> list[dict[str, Any]]:
    """Do one run in a process of its own."""
    command = [sys.executable, __file__, run, "--packets", str(packets), "--flows", str(flows), "--json"]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    return found


def print_run(row: dict[str, Any]) -> None:
    """Print one line of figures."""
    words = [f"{row['ns_per_packet']:.0f} ns/packet", f"{row['flows']:,} flows", f"{row['open']:,} open"]
    if "ns_to_open" in row:
        words.append(f"{row['ns_to_open']:.0f} ns to open one")
    if row.get("walk_limit"):
        words.append(f"{row['walk_limit']:,} walks cut")
    if "survivors" in row:
        words.append(f"{row['evicted']:,} evicted, {row['survivors']:,} of {row['answered']:,} answered kept")
    words.append(f"{row['memory_bytes'] / 1e6:.0f} MB")
    print(f"{row['run']:<20}{', '.join(words)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--flows", type=int, default=50_000, help="open at a time (concurrent)")
    parser.add_argument("--packets", type=int, default=3_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.before = memory_bytes()
    found = RUNS[options.run](options)
    if options.json:
        print(json.dumps(found))
    else:
        for row in found:
            print_run(row)


if __name__ == "__main__":
    main()
