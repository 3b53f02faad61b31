"""JA4 against published values: of the specification, and of captures that others fingerprinted."""

from pathlib import Path

import payloads
import pytest
from naive import hello as naive

from sensor.packet.claim import claim_rows, claim_scratch, claim_text
from sensor.packet.decode import Decoder
from sensor.packet.first_bytes import read_claim
from sensor.packet.hello import hello
from sensor.packet.tls import tls
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
NDPI = "ntop+nDPI/tests/cfgs/default/pcap"

CHROME = (
    "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
    "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015",
    "0403,0804,0401,0503,0805,0501,0806,0601",
)
FIREFOX = (
    "1301,1303,1302,c02b,c02f,cca9,cca8,c02c,c030,c00a,c009,c013,c014,009c,009d,002f,0035",
    "0000,0017,ff01,000a,000b,0023,0010,0005,0022,0033,002b,000d,002d,001c,0015",
    "0403,0503,0603,0804,0805,0806,0401,0501,0601,0203,0201",
)

#: Fingerprints that are published with captures: by FoxIO, Suricata's and nDPI's tests.
PUBLISHED = [
    ("FoxIO-LLC+ja4/pcap/tls12.pcap", "t13d1715h2_5b57614c22b0_3d5424432f57"),
    ("OISF+suricata-verify/tests/ja4-tls/input.pcap", "t12i1810s1_27d4652c4487_06a4338d0495"),
    (f"{NDPI}/tls_alert.pcap", "t10d0909h2_61c4dbd01224_cc731f12afbb"),
    (f"{NDPI}/443-safari.pcap", "t12d2010h2_2a284e3b0c56_f05fdf8c38a9"),
    (f"{NDPI}/dtls_certificate_fragments.pcap", "dd2i800500_9cedc1f1428b_a1e935682795"),
    (f"{NDPI}/dtls_certificate_fragments.pcap", "dd2i120700_7c0e62f61317_d9dd6182da81"),
    (f"{NDPI}/alexa-app.pcapng", "t12d1510h2_f0daf39aad75_e69ac49eb88f"),
    (f"{NDPI}/alexa-app.pcapng", "t12d1511h2_f0daf39aad75_7ed7223c468c"),
    (f"{NDPI}/alexa-app.pcapng", "t12d220500_5fd681855ab9_c70a3c84db07"),
    (f"{NDPI}/tls_esni_sni_both.pcap", "t13d031100_55b375c5d22e_77359c92d649"),
    (f"{NDPI}/firefox.pcap", "t13d1813h2_e8a523a41297_84e5d5db657c"),
    (f"{NDPI}/firefox.pcap", "t13d1814h2_e8a523a41297_d267a5f792d4"),
    (f"{NDPI}/zattoo.pcap", "t12d020300_798dd72d0aaa_b23915e3e4f5"),
    (f"{NDPI}/smtp-starttls.pcap", "t12d150900_073e58a039a6_b44afb9f0e6a"),
    (f"{NDPI}/encrypted_sni.pcap", "t13i1813h2_29a2cd9e9f10_0d6ff543c596"),
    (f"{NDPI}/googledns_android10.pcap", "t12d150700_0707305c9f76_0f3b2bcde21d"),
    (f"{NDPI}/googledns_android10.pcap", "t12d150800_0707305c9f76_120e542614af"),
    (f"{NDPI}/dns_doh.pcap", "t13d1814h2_29a2cd9e9f10_d267a5f792d4"),
    (f"{NDPI}/tor.pcap", "t10d360300_77f462745360_33a13ba74d1c"),
]


def fingerprint(body):
    """Return the JA4 of a hello's body, by way of a record."""
    data = payloads.np_bytes(payloads.record(body))
    row, scratch = claim_rows(1)[0], claim_scratch()[0]
    tls(data, 0, len(data), scratch)
    hello(data, row, scratch)
    return claim_text(row, "ja4")


def built(lists, *, first_alpn=b"h2", grease=()):
    """Return a hello's body with these lists of codes, and GREASE strewn in."""
    ciphers, extensions, signatures = ([int(code, 16) for code in text.split(",")] for text in lists)
    known = {
        0: payloads.server_name(b"example.org"),
        13: payloads.signatures(*signatures),
        16: payloads.alpn(first_alpn),
        43: payloads.versions(*grease, 0x0304, 0x0303),
    }
    parts = [known.get(code, payloads.extension(code, b"")) for code in [*grease, *extensions, *grease]]
    return payloads.client_hello([*grease, *ciphers, *grease], parts)


@pytest.mark.parametrize("grease", [(), (0x0A0A,), (0xFAFA, 0x3A3A)])
def test_the_specification_s_example(grease):
    assert fingerprint(built(CHROME, grease=grease)) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_a_published_firefox():
    assert fingerprint(built(FIREFOX)) == "t13d1715h2_5b57614c22b0_3d5424432f57"


def test_without_signature_algorithms_nothing_follows_the_extensions():
    ciphers, extensions, signatures = CHROME
    body = built((ciphers, extensions, signatures))
    bare = body.replace(payloads.signatures(*naive.numbers(bytes.fromhex(signatures.replace(",", "")))), b"")
    assert bare != body
    expected = naive.digest(extensions_of(CHROME, without=("0000", "0010", "000d")))
    parts = [payloads.extension(int(code, 16), b"") for code in extensions.split(",") if code != "000d"]
    assert fingerprint(payloads.client_hello(extensions=parts)).endswith(expected)


def extensions_of(lists, without):
    return ",".join(sorted(code for code in lists[1].split(",") if code not in without))


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"h", "hh"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
        (b"", "00"),
        (b"a.", "6e"),
        (b"Zz", "Zz"),
        (b"@a", "41"),
        (b"a@", "60"),
        (b"{a", "71"),
    ],
)
def test_ends_of_the_first_alpn_value(value, ends):
    assert fingerprint(payloads.client_hello(extensions=[payloads.alpn(value)]))[8:10] == ends


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (0x0304, "13"),
        (0x0303, "12"),
        (0x0302, "11"),
        (0x0301, "10"),
        (0x0300, "s3"),
        (0x7F1C, "00"),
        (2, "s2"),
    ],
)
def test_the_highest_listed_version(version, text):
    body = payloads.client_hello(extensions=[payloads.versions(0x1A1A, 1, version)])
    assert fingerprint(body)[1:3] == text


def test_empty_lists_are_zeros():
    body = payloads.client_hello(ciphers=[0x0A0A], extensions=[payloads.server_name(b"a.b")])
    assert fingerprint(body) == "t12d000100_000000000000_000000000000"
    assert fingerprint(payloads.client_hello(extensions=None))[4:10] == "050000"


def test_counts_end_at_99_but_every_code_is_hashed():
    body = payloads.client_hello(ciphers=range(1, 151), extensions=None)
    assert fingerprint(body) == f"t12i990000_{naive.digest(naive.hexes(range(1, 151)))}_000000000000"


@pytest.mark.parametrize("count", [256, 257, 5000])
def test_a_hello_with_too_many_of_anything_has_none(count):
    assert bool(fingerprint(payloads.client_hello(ciphers=[7] * count))) == (count == 256)
    many = [payloads.extension(0x7777, b"")] * count
    assert bool(fingerprint(payloads.client_hello(extensions=many))) == (count < 256)
    signed = payloads.client_hello(extensions=[payloads.signatures(*[7] * count)])
    assert bool(fingerprint(signed)) == (count == 256)


def capture_fingerprints(path):
    found, scratch = set(), claim_scratch()
    for batch in CaptureFiles([path], batch_frames=1000):
        data = batch.data.view()
        data.flags.writeable = False
        for packet in Decoder(1000).decode(batch):
            row = claim_rows(1)[0]
            read_claim(data, packet, 0, row, scratch[0])
            found.add(claim_text(row, "ja4"))
    return found


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "MANIFEST.tsv").exists(), reason="the folder of real captures is not here")
@pytest.mark.parametrize("path", sorted({path for path, _ in PUBLISHED}))
def test_captures_have_their_published_fingerprints(path):
    assert {ja4 for name, ja4 in PUBLISHED if name == path} <= capture_fingerprints(DATA / path)
