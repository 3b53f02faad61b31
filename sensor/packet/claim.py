r"""What the first bytes of a flow claim: names, versions, fingerprints, one row a flow.

Everything in a `CLAIM` row is the word of whoever sent the packet: a server name
can be any text, a browser's name too, and nothing of it was verified. Text is
printable ASCII (0x20 to 0x7E) alone: other bytes, and the backslash itself, are
written ``\xNN``, so that a claim can be printed, logged and compared as it is.
A text that has no room is cut between two characters and its cut flag set; one
that the capture or the segment cut off is absent, never guessed.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from sensor.kernel import record_dtype
from sensor.packet.application import Application

NAME_ROOM = 255
TARGET_ROOM = 96
AGENT_ROOM = 96
SERVER_ROOM = 48
ALPN_ROOM = 16
METHOD_ROOM = 16
JA4_BYTES = 36


class ClaimFlag(enum.IntFlag):
    """What was seen, and what of it is not the whole."""

    QUERY = 0x0001  # DNS query, client's hello, request
    RESPONSE = 0x0002  # DNS response, server's hello, status line
    NAME_CUT = 0x0004  # the name is longer than its room
    TARGET_CUT = 0x0008
    AGENT_CUT = 0x0010
    SERVER_CUT = 0x0020
    SPLIT = 0x0040  # a TLS hello that goes on in a later segment: what it said after is not here
    ALPN_CHOSEN = 0x0080  # `alpn` is the server's choice; else the client's first offer
    MALFORMED = 0x0100  # lengths or pointers in it contradict each other
    RETRY = 0x0200  # the server asked for another hello (TLS 1.3)


#: One flow's claims. A text is its first ``*_bytes`` bytes.
CLAIM = record_dtype(
    [
        ("claim_flags", np.uint16),  # ClaimFlag (a record's `flags` are numpy's own)
        ("dns_type", np.uint16),  # of the first question; 0 none
        ("dns_answers", np.uint16),  # the response's answer count
        ("tls_offered", np.uint16),  # highest version that the client offered; 0 unknown
        ("tls_version", np.uint16),  # the server's choice; 0 unknown
        ("tls_cipher", np.uint16),  # the server's choice; valid when tls_version != 0
        ("http_status", np.uint16),  # HTTP, SIP or RTSP status of the first response; 0 none
        ("application", np.uint8),  # Application that the first call said
        ("filled", np.uint8),  # 1: the row holds more than the application's number
        ("dns_rcode", np.uint8),  # the response's
        ("name_bytes", np.uint8),
        ("target_bytes", np.uint8),
        ("agent_bytes", np.uint8),
        ("server_bytes", np.uint8),
        ("method_bytes", np.uint8),
        ("alpn_bytes", np.uint8),
        ("ja4_bytes", np.uint8),  # 0 or JA4_BYTES
        ("name", np.uint8, (NAME_ROOM,)),  # question's name, TLS server name, HTTP Host; lower case
        ("target", np.uint8, (TARGET_ROOM,)),  # HTTP target, SIP or RTSP URI, RDP cookie, TFTP file
        ("agent", np.uint8, (AGENT_ROOM,)),  # the client's software: User-Agent, SSH banner
        ("server", np.uint8, (SERVER_ROOM,)),  # the server's software: SSH banner, Server header
        ("ja4", np.uint8, (JA4_BYTES,)),
        ("alpn", np.uint8, (ALPN_ROOM,)),
        ("method", np.uint8, (METHOD_ROOM,)),
    ]
)

#: Working memory that `read_claim` is lent: what is in it means nothing between calls.
CLAIM_SCRATCH = record_dtype(
    [
        ("state", np.uint32, (8,)),  # SHA-256: the chaining value
        ("schedule", np.uint32, (64,)),
        ("block", np.uint8, (64,)),
        ("block_bytes", np.int64),  # of the block, filled
        ("total_bytes", np.int64),  # of the message so far
        ("codes", np.uint16, (512,)),  # a hello's extensions, to be sorted, and what goes with them
        ("ciphers_at", np.int64),  # where a hello's lists stand in the batch, and how long they are
        ("ciphers_bytes", np.int64),
        ("signatures_at", np.int64),
        ("signatures_bytes", np.int64),
        ("alpn_at", np.int64),
        ("alpn_bytes", np.int64),
        ("extensions", np.int64),  # how many `codes` are
        ("highest", np.int64),  # largest and smallest number among the versions; 0 none
        ("lowest", np.int64),
        ("client", np.int64),  # 1: the hello is a client's; 0: a server's; -1: there is none
        ("hello_at", np.int64),  # the hello: where it begins, what of it is here, and its end
        ("hello_stop", np.int64),
        ("hello_end", np.int64),
        ("server_name", np.int64),  # 1: there is such an extension
    ]
)

Claims = npt.NDArray[np.void]


def claim_rows(count: int) -> Claims:
    """Return `count` blank `CLAIM` rows."""
    return np.zeros(count, CLAIM)


def claim_scratch() -> Claims:
    """Return a `CLAIM_SCRATCH` array of one row: hand ``scratch[0]`` to `read_claim`."""
    return np.zeros(1, CLAIM_SCRATCH)


#: DNS query types by number (IANA), those that are seen.
DNS_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT",
    28: "AAAA", 29: "LOC", 32: "NB", 33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS",
    44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 64: "SVCB",
    65: "HTTPS", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}  # fmt: skip
_NETBIOS_TYPES = {32: "NB", 33: "NBSTAT"}

#: DNS response codes by number (IANA).
DNS_RCODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
    6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE",
}  # fmt: skip

_TLS_VERSIONS = {
    0x0002: "2.0", 0x0300: "3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3",
    0xFEFF: "1.0", 0xFEFD: "1.2", 0xFEFC: "1.3",
}  # fmt: skip

_DNS_LIKE = {Application.DNS, Application.MDNS, Application.LLMNR, Application.NBNS}
_CUTS = {
    ClaimFlag.NAME_CUT: "name",
    ClaimFlag.TARGET_CUT: "target",
    ClaimFlag.AGENT_CUT: "agent",
    ClaimFlag.SERVER_CUT: "server",
}

Fields = dict[str, str | int]


def claim_text(claim: np.void, field: str) -> str:
    """Return one text of a `CLAIM` row (`name`, `target`, `agent` ...); "" when absent."""
    return bytes(claim[field][: int(claim[f"{field}_bytes"])]).decode("ascii")


def claim_fields(claim: np.void) -> Fields:
    """Return what a `CLAIM` row holds under ECS names (or names like them), absent fields left out.

    Parameters
    ----------
    claim
        One `CLAIM` row that `read_claim` was given.

    Returns
    -------
    fields
        For instance ``{"dns.question.name": "example.org", ...}``; text is
        printable ASCII. ``claim.cut`` names the texts that did not fit.
    """
    application = int(claim["application"])
    fields: Fields = {}
    if application in _DNS_LIKE:
        fields = _dns(claim, application)
    elif application in (Application.TLS, Application.DTLS):
        fields = _tls(claim)
    elif application in (Application.HTTP, Application.SSDP):
        fields = _http(claim)
    elif application in (Application.SIP, Application.RTSP):
        fields = _request(claim, "sip" if application == Application.SIP else "rtsp")
    elif application == Application.SSH:
        fields = {"ssh.client": claim_text(claim, "agent"), "ssh.server": claim_text(claim, "server")}
    elif application == Application.RDP:
        fields = {"rdp.cookie": claim_text(claim, "target")}
    elif application == Application.TFTP:
        fields = {"file.name": claim_text(claim, "target")}
    cuts = [name for flag, name in _CUTS.items() if claim["claim_flags"] & flag]
    fields["claim.cut"] = ",".join(cuts)
    return {name: value for name, value in fields.items() if value != ""}


def _dns(claim: np.void, application: int) -> Fields:
    """Return the fields of a DNS, mDNS, LLMNR or NetBIOS name service exchange."""
    fields: Fields = {"dns.question.name": claim_text(claim, "name")}
    kind, rcode = int(claim["dns_type"]), int(claim["dns_rcode"])
    if kind:
        names = _NETBIOS_TYPES if application == Application.NBNS else DNS_TYPES
        fields["dns.question.type"] = names.get(kind, f"TYPE{kind}")
    if claim["claim_flags"] & ClaimFlag.RESPONSE:
        fields["dns.response_code"] = DNS_RCODES.get(rcode, f"RCODE{rcode}")
        fields["dns.answers_count"] = int(claim["dns_answers"])
    return fields


def _tls(claim: np.void) -> Fields:
    """Return the fields of a TLS or DTLS handshake."""
    fields: Fields = {
        "tls.client.server_name": claim_text(claim, "name"),
        "tls.client.ja4": claim_text(claim, "ja4"),
        "tls.next_protocol": claim_text(claim, "alpn"),
    }
    version, offered = int(claim["tls_version"]), int(claim["tls_offered"])
    if version:
        fields["tls.version"] = _TLS_VERSIONS.get(version, f"0x{version:04x}")
        fields["tls.cipher"] = f"0x{int(claim['tls_cipher']):04x}"
    if offered:
        fields["tls.client.version"] = _TLS_VERSIONS.get(offered, f"0x{offered:04x}")
    return fields


def _http(claim: np.void) -> Fields:
    """Return the fields of an HTTP/1 or SSDP exchange."""
    path, _, query = claim_text(claim, "target").partition("?")
    domain, port = _authority(claim_text(claim, "name"))
    fields: Fields = {
        "http.request.method": claim_text(claim, "method"),
        "url.path": path,
        "url.query": query,
        "url.domain": domain,
        "user_agent.original": claim_text(claim, "agent"),
        "http.response.server": claim_text(claim, "server"),
    }
    if port:
        fields["url.port"] = port
    if claim["http_status"]:
        fields["http.response.status_code"] = int(claim["http_status"])
    return fields


def _authority(text: str) -> tuple[str, int]:
    """Return host and port (0: none) of an authority such as ``example.org:8080`` (RFC 3986, 3.2)."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and len(port) <= 5 and (":" not in host or host.endswith("]")):
        return host, int(port)
    return text, 0


def _request(claim: np.void, protocol: str) -> Fields:
    """Return the fields of a SIP or RTSP exchange."""
    fields: Fields = {
        f"{protocol}.request.method": claim_text(claim, "method"),
        f"{protocol}.request.uri": claim_text(claim, "target"),
        "user_agent.original": claim_text(claim, "agent"),
    }
    if claim["http_status"]:
        fields[f"{protocol}.response.status_code"] = int(claim["http_status"])
    return fields
