"""The fuzz targets: each turns any bytes into a value that plain Python and compiled kernels must agree on.

A target raises for what must never be: an exception out of a parser, or a
result that contradicts itself. Everything else about its value is free; values
are compared by their `repr`. A new parser is one line in `TARGETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import captures
import claims
import frames
import meters
import seeds

_DECODER = ("sensor/packet",)
_READER = ("sensor/sources",)
_METER = ("sensor/flow", "sensor/siphash.py")


class Target(NamedTuple):
    """One way into the parsers.

    Parameters
    ----------
    run
        Takes an input; raises when something is wrong.
    seeds
        Inputs to begin with.
    sources
        Files and folders whose constants make the dictionary.
    max_bytes
        Longest input.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], Iterator[bytes]]
    sources: tuple[str, ...]
    max_bytes: int


TARGETS = {
    "frame": Target(frames.frame, seeds.frame, _DECODER, 320),
    "tunnel": Target(frames.tunnel, seeds.tunnel, _DECODER, 320),
    "fragment": Target(frames.fragment, seeds.fragment, _DECODER, 512),
    "pcap": Target(captures.capture, seeds.pcap, _READER, 512),
    "pcapng": Target(captures.capture, seeds.pcapng, _READER, 640),
    "meter": Target(meters.meter, seeds.meter, _METER, 160),
    "claim": Target(claims.claim, seeds.claim, _DECODER, 640),
}
