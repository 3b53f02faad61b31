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
import pytest

from sensor.packet.application import Application
from sensor.packet.batch import empty_batch
from sensor.packet.claim import (
    AGENT_ROOM,
    SERVER_ROOM,
    TARGET_ROOM,
    ClaimFlag,
    claim_rows,
    claim_scratch,
    claim_text,
)
from sensor.packet.decode import Decoder
from sensor.packet.first_bytes import read_claim
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CLASSES = {"variety", "attack", "benign", "mixed"}
FRAMES_PER_FILE = 150
LINK_TYPES = [1, 113, 276, 101, 12, 14, 228, 229, 0, 108]
AGGREGATOR = "\x1f"

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


class Difference(NamedTuple):
    """One value of one packet that is not what tshark says."""

    field: str
    ours: str
    theirs: str
    layers: list[str]
    payload: bytes


def goes_on(payload):
    """Return whether the last TLS record of a payload goes on in the next segment."""
    at = 0
    while at + 5 <= len(payload):
        at += 5 + int.from_bytes(payload[at + 3 : at + 5], "big")
    return at != len(payload)


FIRST_LINE = re.compile(rb"[A-Z_-]{1,16} |HTTP/\d\.\d |NOTIFY|M-SEARCH")

#: What the two may disagree about: the reason, and whether it holds for a `Difference`.
DIFFERENCES = {
    "tshark goes by the port, or by what it saw in the stream before": (
        lambda d: not d.theirs and not {"tls", "http", "ssdp"} & set(d.layers)
    ),
    "tshark holds a hello back while its record goes on in the next segment": (
        lambda d: not d.theirs and "tls" in d.layers and goes_on(d.payload)
    ),
    "the first line was in an earlier segment, or is none by RFC 9112": (
        lambda d: not d.ours and "http" in d.layers and not FIRST_LINE.match(d.payload)
    ),
    "a line that goes on in the next segment counts only if it fills its field": (
        lambda d: not d.ours and d.theirs.removesuffix("\\r").encode() in d.payload.rpartition(b"\n")[2]
    ),
    "tshark writes bytes outside ASCII in other ways": (lambda d: "\\x" in d.ours),
    "a name is longer than its field": (lambda d: len(d.ours) == 255 and d.theirs.startswith(d.ours)),
    "an ALPN value is longer than its field": (
        lambda d: d.field == "alpn" and len(d.ours) == 16 and d.theirs.startswith(d.ours)
    ),
    "what QUIC carries is not decrypted": (lambda d: not d.ours and "quic" in d.layers),
    "a proxy's greeting stands before the hello": (lambda d: not d.ours and "proxy" in d.layers),
    "only the first record of a segment is read, here a change of ciphers": (
        lambda d: not d.ours and d.payload[0] == 20
    ),
    "hellos of drafts of TLS 1.3 are not read": (
        lambda d: d.field == "cipher" and not d.ours and d.payload[9] == 0x7F
    ),
    "on this port tshark reads as DNS what is none": (
        lambda d: d.field.startswith("dns") and (b"HTTP/1" in d.payload or d.payload[2] & 0x78 > 0x30)
    ),
    "tshark gives no URI with the preface of HTTP/2, nor between two spaces in a row": (
        lambda d: not d.theirs and (d.payload.startswith(b"PRI *") or b"  " in d.payload[:40])
    ),
    "tshark takes the version for the URI where there is no URI": (
        lambda d: d.field == "uri" and d.theirs.startswith("HTTP/")
    ),
    "a status is three digits and not 000": (lambda d: d.field == "status" and len(d.theirs) < 3),
}


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


def first(fields, name):
    return fields[name][0] if fields[name] else ""


def number(text):
    """Return a number as decimal text, whatever base tshark writes it in."""
    return str(int(text, 0)) if text else ""


def theirs(fields):
    """Return tshark's view of a packet's first message, by our names."""
    query = first(fields, "dns.qry.name").lower()
    answered = first(fields, "dns.flags.response") in ("1", "True")
    name = first(fields, "tls.handshake.extensions_server_name")
    hello = first(fields, "tls.handshake.type")
    return {
        "dns.name": "." if query == "<root>" else query,
        "dns.type": number(first(fields, "dns.qry.type")),
        "dns.rcode": number(first(fields, "dns.flags.rcode")),
        "dns.answers": number(first(fields, "dns.count.answers")) if answered else "",
        "sni": (name or first(fields, "dtls.handshake.extensions_server_name")).lower(),
        "alpn": first(fields, "tls.handshake.extensions_alpn_str"),
        "cipher": number(first(fields, "tls.handshake.ciphersuite")) if hello == "2" else "",
        "method": first(fields, "http.request.method"),
        "uri": first(fields, "http.request.uri")[:TARGET_ROOM],
        "host": first(fields, "http.host").lower(),
        "agent": first(fields, "http.user_agent")[:AGENT_ROOM],
        "status": number(first(fields, "http.response.code")),
        "server": first(fields, "http.server")[:SERVER_ROOM],
        "ssh": first(fields, "ssh.protocol")[:AGENT_ROOM],
    }


def ours(claim, application):
    """Return our view of a packet, by the same names."""
    found = dict.fromkeys(theirs({name: [] for name in FIELDS}), "")
    name = claim_text(claim, "name")
    if application in (Application.DNS, Application.MDNS, Application.LLMNR):
        found.update({"dns.name": name, "dns.type": str(claim["dns_type"]) if name else ""})
        if claim["claim_flags"] & ClaimFlag.RESPONSE:
            found.update({"dns.rcode": str(claim["dns_rcode"]), "dns.answers": str(claim["dns_answers"])})
    elif application in (Application.TLS, Application.DTLS):
        chosen = application == Application.TLS and claim["tls_version"]
        cipher = str(claim["tls_cipher"]) if chosen else ""
        found.update(sni=name, alpn=claim_text(claim, "alpn"), cipher=cipher)
    elif application in (Application.HTTP, Application.SSDP):
        found.update(method=claim_text(claim, "method"), uri=claim_text(claim, "target"), host=name)
        found.update(agent=claim_text(claim, "agent"), server=claim_text(claim, "server"))
        found.update(status=str(claim["http_status"]) if claim["http_status"] else "")
    elif application == Application.SSH:
        found["ssh"] = claim_text(claim, "agent")
    return found


def comparable(row, layers):
    """Return whether a packet has payload behind one IP header and one transport header."""
    networks = sum(layers.count(name) for name in ("ip", "ipv6"))
    transports = sum(layers.count(name) for name in ("tcp", "udp"))
    return row.payload_offset >= 0 and row.protocol in (6, 17) and networks == transports == 1


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "MANIFEST.tsv").exists(), reason="the folder of real captures is not here")
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_claims_of_real_packets_are_what_tshark_says(tmp_path):
    frames = real_frames()
    seen = dissect(frames, tmp_path / "frames.pcapng")
    batch = craft.batch(
        [frame[3] for frame in frames],
        link_type=[frame[1] for frame in frames],
        wirelens=[frame[2] for frame in frames],
    )
    data = batch.data.view()
    data.flags.writeable = False
    rows, scratch = Decoder(len(frames)).decode(batch), claim_scratch()
    equal, explained, unexplained = Counter(), Counter(), []
    for (path, *_), row, fields in zip(frames, rows, seen, strict=True):
        layers = first(fields, "frame.protocols").split(":")
        if not comparable(row, layers):
            continue
        claim = claim_rows(1)[0]
        application = read_claim(data, row, 0, claim, scratch[0])
        payload = data[row.payload_offset : row.payload_offset + row.payload_captured].tobytes()
        expected = theirs(fields)
        for field, value in ours(claim, application).items():
            if application == Application.NBNS and field == "dns.rcode":
                continue
            if value == expected[field]:
                equal[field] += bool(value)
                continue
            difference = Difference(field, value, expected[field], layers, payload)
            reason = next((text for text, holds in DIFFERENCES.items() if holds(difference)), None)
            explained[reason] += 1
            if reason is None:
                unexplained.append((path, *difference[:-1], payload[:60]))
    assert not unexplained, "\n".join(map(str, unexplained))
    assert set(explained) == set(DIFFERENCES), "a reason that explains nothing is to be removed"
    assert all(equal.values())
    assert equal.total() >= 10_000
