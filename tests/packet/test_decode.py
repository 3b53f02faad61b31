import craft
import numpy as np
import pytest

from sensor.packet.batch import PacketBatch, empty_batch
from sensor.packet.columns import DecodeError, PacketKind
from sensor.packet.decode import JUMP, MAX_ROWS, Decoder


def test_rows_are_borrowed_and_the_buffer_grows_only_for_a_larger_batch():
    decoder = Decoder(2)
    frame = craft.ethernet(craft.ipv4(craft.tcp()))
    first = decoder.decode(craft.batch([frame] * 2))
    assert np.shares_memory(first, decoder.decode(craft.batch([frame])))
    larger = decoder.decode(craft.batch([frame] * 5))
    assert not np.shares_memory(first, larger)
    assert np.shares_memory(larger, decoder.decode(craft.batch([frame] * 5)))
    assert len(decoder.decode(empty_batch(5))) == 0


def test_limits_of_the_buffer():
    for capacity in (0, -1, MAX_ROWS + 1):
        with pytest.raises(ValueError, match="capacity"):
            Decoder(capacity)
    one = craft.batch([b"x"])
    many = PacketBatch(one.data, np.broadcast_to(one.frames, MAX_ROWS + 1), 0)
    with pytest.raises(ValueError, match="cut batches"):
        Decoder(1).decode(many)


def test_source_memory_is_neither_written_nor_required_to_be_writable():
    packets = craft.batch([craft.ethernet(craft.ipv4(craft.tcp()))])
    packets.data.flags.writeable = False
    assert Decoder(1).decode(packets)[0].src_port == 40000
    assert craft.batch([b"x"]).data.flags.writeable


def test_times_never_go_back():
    decoder = Decoder(8)
    assert decoder.latest == 0
    frame = craft.ethernet(craft.ipv4(craft.tcp()))
    assert list(decoder.decode(craft.batch([frame] * 4, [50, 40, 50, 60]))["time"]) == [50, 50, 50, 60]
    assert list(decoder.decode(craft.batch([frame] * 2, [10, 61]))["time"]) == [60, 61]
    assert decoder.latest == 61
    assert decoder.counters()["late_packets"] == 2
    assert decoder.counters()["time_jumps"] == 0


def test_a_tick_makes_earlier_packets_late():
    decoder = Decoder(8)
    decoder.advance(100)
    assert decoder.latest == 0
    frame = craft.ethernet(craft.ipv4(craft.tcp()))
    decoder.decode(craft.batch([frame], [50]))
    decoder.advance(40)
    assert decoder.latest == 50
    decoder.advance(70)
    assert list(decoder.decode(craft.batch([frame] * 2, [60, 80]))["time"]) == [70, 80]
    assert decoder.counters()["late_packets"] == 1


def test_jumps_ahead_are_counted():
    decoder = Decoder(8)
    frame = craft.ethernet(craft.ipv4(craft.tcp()))
    times = [-5, JUMP - 5, 2 * JUMP - 4, 2**63 - 1, 2**63 - 1, 0]
    rows = decoder.decode(craft.batch([frame] * 6, times))
    assert list(rows["time"]) == [*times[:5], 2**63 - 1]
    assert (decoder.counters()["time_jumps"], decoder.counters()["late_packets"]) == (2, 1)


def test_counters_account_for_every_frame():
    decoder = Decoder(8)
    good = craft.ethernet(craft.ipv4(craft.udp(b"x" * 60), proto=craft.UDP))
    arp = craft.ethernet(craft.arp(), ethertype=0x0806)
    lldp = craft.ethernet(bytes(46), ethertype=0x88CC)
    packets = craft.batch([good, good[:60], arp, lldp, b"", good[:10]], wirelens=[102, 102, 42, 60, 60, 102])
    decoder.decode(packets)
    counters = decoder.counters()
    assert counters["frames"] == 6
    assert counters["bytes"] == 102 + 102 + 42 + 60 + 60 + 102
    assert counters["truncated"] == 3
    assert [counters[f"kind_{kind.name.lower()}"] for kind in PacketKind] == [2, 1, 1, 2, 0]
    errors = {name: count for name, count in counters.items() if name.startswith("error_") and count}
    assert errors == {"error_empty_frame": 1, "error_truncated_link": 1}
    assert len([name for name in counters if name.startswith("error_")]) == len(DecodeError) - 1


@pytest.mark.parametrize(
    ("offset", "caplen"), [(-1, 10), (-(2**62), 10), (0, 11), (10, 1), (2**62, 5), (9, 2**32 - 1)]
)
def test_a_frame_outside_its_batch_is_not_read(offset, caplen):
    packets = craft.batch([bytes(10)])
    packets.frames["offset"], packets.frames["caplen"] = offset, caplen
    row = Decoder(1).decode(packets)[0]
    assert (row.error, row.caplen, row.wirelen) == (DecodeError.EMPTY_FRAME, 0, 10)
