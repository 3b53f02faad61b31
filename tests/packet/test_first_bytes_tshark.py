"""Claims of real packets against what another dissector, tshark, says of the same packets.

Frames of all captures go into one file, so that tshark starts once; it is told
not to put segments together, since claims are of single segments. A value that
only one of the two has, or that differs, has to be listed in `DIFFERENCES` with
its reason, and there may be few.
"""

import csv
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import craft
import craft_capture
import numpy as np
import pytest

from sensor.packet.application import Application
from sensor.packet.batch import empty_batch
from sensor.packet.claim import ClaimFlag, claim_rows, claim_scratch, claim_text
from sensor.packet.decode import Decoder
from sensor.packet.first_bytes import read_claim
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CLASSES = {"variety", "attack", "benign", "mixed"}
FRAMES_PER_FILE = 150
LINK_TYPES = [1, 113, 276, 101, 12, 14, 228, 229, 0, 108]
AGGREGATOR, QUOTE = "\x1f", "\x1e"

PREFERENCES = [
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
    "http.desegment_headers:FALSE",
    "http.desegment_body:FALSE",
    "tls.desegment_ssl_records:FALSE",
]

FIELDS = [
    *("frame.protocols", "tcp.len", "dns.qry.name", "dns.qry.type", "dns.flags.response", "dns.flags.rcode"),
    *("dns.count.answers", "nbns.name", "tls.handshake.type", "tls.handshake.extensions_server_name"),
    *("tls.handshake.extensions_alpn_str", "tls.handshake.ciphersuite", "tls.record.content_type"),
    *("http.request.method", "http.request.uri", "http.host", "http.user_agent", "http.response.code"),
    *("http.server", "ssh.protocol", "dtls.handshake.extensions_server_name"),
]


class Seen(NamedTuple):
    """One packet in both views."""

    path: str
    row: np.record
    claim: np.record
    application: int
    fields: dict[str, list[str]]
    payload: bytes
    layers: list[str]


def real_frames():
    """Return (path, link type, wire length, bytes) of the first frames of every capture."""
    with (DATA / "MANIFEST.tsv").open() as lines:
        listed = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    frames = []
    for path in sorted(row["path"] for row in listed if row["class"].split(":")[0] in CLASSES):
        source = CaptureFiles([DATA / path], batch_frames=FRAMES_PER_FILE)
        batch = next(iter(source), empty_batch(0))
        for frame in batch.frames[:FRAMES_PER_FILE]:
            if frame.link_type in LINK_TYPES:
                data = batch.data[frame.offset : frame.offset + frame.caplen].tobytes()
                frames.append((path, int(frame.link_type), int(frame.wirelen), data))
        source.close()
    return frames


def dissect(frames, path):
    """Return tshark's fields, a dict of lists of strings for each frame."""
    captured = [
        craft_capture.Captured(10**18 + i, data, wire, LINK_TYPES.index(link_type))
        for i, (_, link_type, wire, data) in enumerate(frames)
    ]
    path.write_bytes(craft_capture.pcapng_bytes(captured, link_types=LINK_TYPES))
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a"]
    command += ["-E", f"aggregator={AGGREGATOR}"]
    command += [word for preference in PREFERENCES for word in ("-o", preference)]
    command += [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, timeout=200, check=True)
    lines = done.stdout.decode("latin-1").removesuffix("\n").split("\n")
    assert len(lines) == len(frames)
    return [
        {
            name: value.split(AGGREGATOR) if value else []
            for name, value in zip(FIELDS, line.split("\t"), strict=True)
        }
        for line in lines
    ]


def read_all(frames):
    """Return our view: rows, claims and applications; each packet by itself, as a flow's first."""
    batch = craft.batch([f[3] for f in frames], link_type=[f[1] for f in frames], wirelens=[f[2] for f in frames])
    data = batch.data.view()
    data.flags.writeable = False
    rows, claims, scratch = Decoder(len(frames)).decode(batch), claim_rows(len(frames)), claim_scratch()
    found = [read_claim(data, row, 0, claim, scratch[0]) for row, claim in zip(rows, claims, strict=True)]
    return batch.data, rows, claims, found
