"""Flow records against nfstream's, capture by capture: `python tests/bench/agreement.py`.

Both meter the same captures of `shared/data` with the same idle and active
timeouts; what each end of a flow sent, in packets and octets of IP, and when
the flow began are compared. Every kind of difference is counted with its
reason; what has none is printed. Exit status 1 when less than 99.9 % of the
records are equal or explained, 2 when nfstream or the captures are absent.

Tunnels are not looked into on either side, unless `--inner` asks for it:
nfstream knows only some of them.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

from flow_totals import DATA, Name, Odd, Total, captures, oddities, rejoined, total, totals  # noqa: E402  (found by the path above)

IDLE_SECS, ACTIVE_SECS = 60, 300
#: A closed flow lingers as long as others idle: nfstream does not know that a connection has ended.
TIMEOUTS = {
    "idle_timeout_secs": IDLE_SECS,
    "unanswered_timeout_secs": IDLE_SECS,
    "linger_secs": IDLE_SECS,
    "active_timeout_secs": ACTIVE_SECS,
}
_WANTED = 0.999
_SHOWN = 20
_PORTLESS = (1, 33, 58, 132, 136)  # to nfstream
_LONGEST = 1500
_KNOWN = {0, 1, 9, 12, 50, 101, 105, 113, 127}  # link types, to nfstream
_HEADERS = {0, 43, 44, 51, 60}  # protocol numbers of headers that stand before the transport's


class Difference(NamedTuple):
    """A flow's records on both sides, when they are not equal."""

    name: Name
    ours: list[Total]
    theirs: list[Total]
    strangers: dict[tuple[str, str], list[Total]]  # nfstream's records by addresses
    odd: Odd

    @property
    def pair(self) -> tuple[str, str]:
        """Its addresses, as `Odd` has them."""
        return min(self.name.low[0], self.name.high[0]), max(self.name.low[0], self.name.high[0])


def _sums(flows: list[Total]) -> tuple[int, ...]:
    """Return packets and octets of both ends."""
    columns = zip(*[(*flow.packets, *flow.octets) for flow in flows], strict=True)
    return tuple(sum(column) for column in columns) or (0, 0, 0, 0)


def _extra(one: Difference) -> tuple[int, ...]:
    """Return what our records hold more."""
    return tuple(mine - other for mine, other in zip(_sums(one.ours), _sums(one.theirs), strict=True))


def _same_sums(one: Difference) -> bool:
    return _sums(one.ours) == _sums(one.theirs)


def _near_timeout(one: Difference) -> bool:
    """Return whether the records part at a gap or an age that is a timeout's to 1 ms."""
    if one.name.protocol in _PORTLESS or not _same_sums(one):
        return False
    for number, (mine, other) in enumerate(zip(one.ours, one.theirs, strict=False)):
        if mine.end != other.end:
            earlier, flows = min((mine.end, one.ours), (other.end, one.theirs), key=lambda side: side[0])
            later = flows[number + 1].start
            past = abs(later - mine.start - 1000 * ACTIVE_SECS), abs(later - earlier - 1000 * IDLE_SECS)
            return mine.start == other.start and min(past) <= 1
    return False


def _behind_header(one: Difference) -> bool:
    """Return whether nfstream names the flow by a header that stands before the transport's."""
    if one.name.protocol in _HEADERS:
        return not one.ours
    ends = (one.name.low[0], one.name.high[0])
    others = [flow for flow in one.strangers.get(ends, []) if flow.name.protocol in _HEADERS]
    return not one.theirs and _sums(others)[:2] >= _sums(one.ours)[:2]


def _octets_only(one: Difference) -> bool:
    """Return whether all packets are there, and only the octets of some differ."""
    return bool(one.theirs) and _sums(one.ours)[:2] == _sums(one.theirs)[:2]


#: Why the two may disagree, and whether that holds.
REASONS: dict[str, Callable[[Difference], bool]] = {
    "ICMP, SCTP: nfstream has one flow for a pair of hosts, the sensor tells messages and ports apart": (
        lambda one: one.name.protocol in _PORTLESS and _same_sums(one)
    ),
    "later fragments: nfstream leaves them out": (
        lambda one: one.pair in one.odd.fragments and min(_extra(one)) >= 0
    ),
    "the same packets, cut elsewhere: nfstream counts time in ms, the sensor in ns": _near_timeout,
    "nfstream names a flow by AH or an extension header, the sensor by what is behind": _behind_header,
    "IP length beyond the frame: nfstream believes it, the sensor counts what the frame held": (
        lambda one: _octets_only(one) and sum(_sums(one.theirs)[2:]) > sum(_sums(one.ours)[2:])
    ),
    "a frame longer than any that Ethernet carries (an offloaded segment): nfstream leaves it out": (
        lambda one: bool(one.theirs) and sum(_extra(one)[2:]) > _LONGEST * sum(_extra(one)[:2]) > 0
    ),
    "several tags, or labels: nfstream does not read them, or names the flow by the inner tag": (
        lambda one: not (one.ours and one.theirs) and one.pair in one.odd.wrapped
    ),
    "nfstream knows few link types, and libpcap stops where a capture changes its own": (
        lambda one: (
            (len(one.odd.link_types) > 1 or not one.odd.link_types <= _KNOWN) and min(_extra(one)) >= 0
        )
    ),
}


def _nfstream(python: str, paths: list[str], *, inner: bool) -> tuple[dict[str, list[Total]], dict[str, str]]:
    """Return nfstream's records by path, and what it said of captures that it cannot read."""
    asked = {"paths": paths, "idle_secs": IDLE_SECS, "active_secs": ACTIVE_SECS, "tunnels": inner}
    done = subprocess.run(
        [python, str(_HERE / "nfstream_flows.py")],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=True,
    )
    found: dict[str, list[Total]] = {path: [] for path in paths}
    refused = {}
    for path, *row in map(json.loads, done.stdout.splitlines()):
        if len(row) == 1:
            refused[path] = row[0]
            continue
        source, source_port, destination, destination_port, protocol, vlan, start, end, *sums = row
        ends = (source, source_port), (destination, destination_port)
        found[path].append(total(ends, protocol, vlan, (start, end), sums))
    return found, refused


def _equal(ours: list[Total], theirs: list[Total]) -> bool:
    """Return whether both have the same records, begun at the same millisecond."""
    return [(flow.start, flow.packets, flow.octets) for flow in ours] == [
        (flow.start, flow.packets, flow.octets) for flow in theirs
    ]


def compare(ours: list[Total], theirs: list[Total], odd: Odd) -> tuple[Counter[str], list[Difference]]:
    """Return how many records are equal (reason "") or differ for a reason, and the others."""
    by_name: dict[Name, tuple[list[Total], list[Total]]] = defaultdict(lambda: ([], []))
    strangers: dict[tuple[str, str], list[Total]] = defaultdict(list)
    for side, flows in enumerate((rejoined(ours, IDLE_SECS), theirs)):
        for flow in sorted(flows, key=lambda flow: flow.start):
            by_name[flow.name][side].append(flow)
    for flow in theirs:
        strangers[flow.name.low[0], flow.name.high[0]].append(flow)
    counts: Counter[str] = Counter()
    unexplained = []
    for name, (mine, other) in by_name.items():
        count = max(len(mine), len(other))
        if _equal(mine, other):
            counts[""] += count
            continue
        one = Difference(name, mine, other, strangers, odd)
        reason = next((text for text, holds in REASONS.items() if holds(one)), None)
        if reason is None:
            counts["no reason known"] += count
            unexplained.append(one)
        else:
            counts[reason] += count
    return counts, unexplained


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nfstream-python", default=os.environ.get("NFSTREAM_PYTHON", sys.executable))
    parser.add_argument("--captures", type=int, default=100, help="about how many, every n-th of all")
    parser.add_argument("--inner", action="store_true", help="compare what is inside tunnels")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    python = arguments.nfstream_python
    if subprocess.run([python, "-c", "import nfstream"], capture_output=True, check=False).returncode:
        print(f"{python} has no nfstream: give --nfstream-python", file=sys.stderr)
        return 2
    if not (DATA / "MANIFEST.tsv").exists():
        print(f"{DATA} is not here", file=sys.stderr)
        return 2
    paths = [str(DATA / path) for path in captures(arguments.captures)]
    theirs, refused = _nfstream(python, paths, inner=arguments.inner)
    counts: Counter[str] = Counter()
    shown = 0
    for path in paths:
        if path in refused:
            continue
        ours = totals(Path(path), TIMEOUTS, inner=arguments.inner)
        found, unexplained = compare(ours, theirs[path], oddities(Path(path)))
        counts += found
        for one in unexplained[: _SHOWN - shown]:
            shown += 1
            print(f"{Path(path).relative_to(DATA)}: {one.name}")
            for side, flows in (("ours", one.ours), ("theirs", one.theirs)):
                print(f"   {side:6}", [(flow.start, flow.packets, flow.octets) for flow in flows[:5]])
    every = counts.total()
    print(f"{len(paths) - len(refused)} captures, {len(refused)} that nfstream refuses; {every:,} records")
    for reason, count in counts.most_common():
        print(f"{count:>8,} {count / every:8.3%}  {reason or 'equal'}")
    return int(1 - counts["no reason known"] / every < _WANTED)


if __name__ == "__main__":
    sys.exit(main())
