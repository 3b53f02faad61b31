"""First bytes against their plain twin: samples of every protocol, damaged ones, every cut of each."""

import craft
import payloads
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import claim as naive

from sensor.packet.application import Application
from sensor.packet.claim import ClaimFlag, claim_rows, claim_scratch, claim_text
from sensor.packet.decode import Decoder
from sensor.packet.first_bytes import TCP_PORTS, UDP_PORTS, read_claim

DECODER, SCRATCH = Decoder(8), claim_scratch()  # reused, so that what a packet left behind would show
PORTS = [80, 443, 1900, 40000, *TCP_PORTS, *UDP_PORTS]
IDS = [f"{number}-{sample.application}" for number, sample in enumerate(payloads.SAMPLES)]


def packet(sample, captured=None):
    """Return (bytes, PACKET row) of a sample of which `captured` payload bytes are there."""
    build = {craft.TCP: craft.tcp, craft.UDP: craft.udp}[sample.proto]
    transport = build(sample.payload, sample.src_port, sample.dst_port)
    frame = craft.ethernet(craft.ipv4(transport, proto=sample.proto))
    missing = 0 if captured is None else len(sample.payload) - captured
    batch = craft.batch([frame[: len(frame) - missing]], wirelens=[len(frame)])
    data = batch.data.view()
    data.flags.writeable = False
    return data, DECODER.decode(batch)[0]


def as_dict(row):
    claim = {name: claim_text(row, name) for name in naive.TEXTS}
    claim |= {name: int(row[name]) for name in naive.NUMBERS}
    claim["application"] = Application(row["application"]).name
    claim["flags"] = {flag.name for flag in ClaimFlag if row["claim_flags"] & flag}
    return claim


def kernel_read(samples):
    """Return (applications, claim) of (sample, captured, reverse) that go into one claim."""
    row, found = claim_rows(1)[0], []
    for sample, captured, reverse in samples:
        data, columns = packet(sample, captured)
        found.append(Application(read_claim(data, columns, reverse, row, SCRATCH[0])).name)
    return found, as_dict(row)


def twin_read(samples):
    claim, found = naive.blank(), []
    for sample, captured, reverse in samples:
        seen = sample.payload if captured is None else sample.payload[:captured]
        ports = (sample.src_port, sample.dst_port)
        found.append(naive.read(seen, len(sample.payload), sample.proto, ports, reverse, claim))
    return found, claim


def test_every_application_has_a_sample():
    assert {sample.application for sample in payloads.SAMPLES} == {one.name for one in Application}


def test_ports_are_those_of_the_twin():
    for ours, theirs in ((TCP_PORTS, naive.TCP_ASKED), (UDP_PORTS, naive.UDP_ASKED)):
        listed = {port: name for name, ports in theirs.items() for port in ports}
        assert {port: asked.name for port, asked in ours.items()} == listed


@pytest.mark.parametrize("sample", payloads.SAMPLES, ids=IDS)
def test_samples_are_recognised(sample):
    found, claim = kernel_read([(sample, None, 0)])
    assert found == [sample.application]
    assert claim["application"] == sample.application
    assert (found, claim) == twin_read([(sample, None, 0)])


@pytest.mark.parametrize("sample", payloads.SAMPLES, ids=IDS)
def test_a_port_alone_names_nothing(sample):
    other = sample._replace(payload=b"\x01\x00\x00\x00 neither one nor the other")
    assert kernel_read([(other, None, 0)])[0] == ["UNKNOWN"]


@pytest.mark.parametrize("sample", payloads.SAMPLES, ids=IDS)
def test_of_every_cut_a_field_is_that_of_the_whole_or_absent(sample):
    _, whole = kernel_read([(sample, None, 1)])
    for captured in range(len(sample.payload)):
        cut = kernel_read([(sample, captured, 1)])
        assert cut == twin_read([(sample, captured, 1)])
        for name in (*naive.TEXTS, *naive.NUMBERS, "application"):
            assert cut[1][name] in (whole[name], "", 0, "UNKNOWN"), (name, captured)
        assert cut[1]["flags"] <= whole["flags"] | {"SPLIT"}


@pytest.mark.parametrize("sample", payloads.SAMPLES, ids=IDS)
def test_of_every_first_segment_a_field_is_that_of_the_whole_or_absent(sample):
    """A segment that ends where the next begins is not a cut capture: its sizes agree."""
    if sample.proto != craft.TCP:
        pytest.skip("datagrams are not split")
    _, whole = kernel_read([(sample, None, 0)])
    for size in range(1, len(sample.payload)):
        part = sample._replace(payload=sample.payload[:size])
        cut = kernel_read([(part, None, 0)])
        assert cut == twin_read([(part, None, 0)])
        for name in naive.TEXTS:
            assert cut[1][name] in (whole[name], ""), (name, size)


@pytest.mark.parametrize("sample", payloads.SAMPLES, ids=IDS)
def test_with_any_bit_of_its_head_flipped_a_sample_is_read_as_the_plain_twin_reads_it(sample):
    data, columns = packet(sample)
    for place in range(min(48, len(sample.payload))):
        for bit in range(8):
            changed = data.copy()
            changed[columns.payload_offset + place] ^= 1 << bit
            row = claim_rows(1)[0]
            changed.flags.writeable = False
            found = Application(read_claim(changed, columns, 0, row, SCRATCH[0])).name
            flipped = bytearray(sample.payload)
            flipped[place] ^= 1 << bit
            other = sample._replace(payload=bytes(flipped))
            assert ([found], as_dict(row)) == twin_read([(other, None, 0)]), (place, bit)


@st.composite
def damaged(draw):
    """Draw a sample, some of its bytes changed, doubled or left out, and how much of it was captured."""
    sample = draw(st.sampled_from(payloads.SAMPLES))
    data = bytearray(sample.payload)
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 4]))):
        at = draw(st.integers(0, max(0, min(len(data), 120) - 1)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at : at + 1] = bytes([draw(st.sampled_from([0, 1, 2, 13, 10, 32, 63, 64, 192, 255]))])
        elif kind == 1:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 2:
            del data[at : at + draw(st.integers(1, 4))]
        else:
            data[at:at] = draw(st.binary(max_size=8)) or data[at : at + 40]
    ports = (sample.src_port, sample.dst_port)
    if draw(st.integers(0, 9)) == 0:
        ports = (draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS)))
    proto = draw(st.sampled_from([sample.proto] * 9 + [craft.TCP, craft.UDP]))
    captured = draw(st.one_of(st.none(), st.none(), st.integers(0, len(data))))
    changed = payloads.Sample("", proto, *ports, bytes(data))
    return changed, captured, draw(st.integers(0, 1))


@settings(max_examples=1500, deadline=None)
@given(st.lists(damaged(), min_size=1, max_size=3))
def test_damaged_samples_are_read_as_the_plain_twin_reads_them(samples):
    assert kernel_read(samples) == twin_read(samples)


@settings(max_examples=600, deadline=None)
@given(
    st.binary(max_size=80),
    st.sampled_from([craft.TCP, craft.UDP]),
    st.sampled_from(PORTS),
)
def test_random_bytes_are_read_as_the_plain_twin_reads_them(data, proto, port):
    samples = [(payloads.Sample("", proto, 40001, port, data), None, 0)]
    assert kernel_read(samples) == twin_read(samples)


@settings(max_examples=300, deadline=None)
@given(st.lists(damaged(), min_size=1, max_size=2))
def test_text_is_printable(samples):
    _, claim = kernel_read(samples)
    for name in naive.TEXTS:
        assert all(" " <= letter <= "~" for letter in claim[name])


def test_fragments_and_packets_without_payload_claim_nothing():
    row = claim_rows(1)[0]
    data, columns = packet(payloads.SAMPLES[0])
    columns.fragment_offset = 8
    assert read_claim(data, columns, 0, row, SCRATCH[0]) == Application.UNKNOWN
    data, columns = packet(payloads.SAMPLES[0]._replace(payload=b""))
    assert read_claim(data, columns, 0, row, SCRATCH[0]) == Application.UNKNOWN
    assert not row["filled"]
