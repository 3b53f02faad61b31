"""What was seen of an open flow, in bits, and how far apart TCP's numbers may be."""

#: Bits of `ENTRY.bits`. All but `ENDED` and `LAST_ACK_KNOWN` are for forward, and
#: shifted left by one for reverse.
SEEN = 0x01  # a packet of this direction
FIN_SEEN = 0x04
SEQ_KNOWN = 0x10  # next_seq is valid
ENDED = 0x40  # FIN from both sides, or RST
PAYLOAD_SEEN = 0x80  # in this record: its first payload is kept
CLAIM_READ = 0x200  # its first payload was asked what it claims: see `claims`
ACK_CHECKED = 0x800  # an ACK of this direction was compared with the other's next_seq
LAST_ACK_KNOWN = 0x2000  # the entry's last_ack is valid

MODULUS_MASK = 0xFFFF_FFFF
HALF = 0x8000_0000
#: Sequence numbers this far apart, either way, are of one connection: it is more than
#: what is under way at once, and one in eight of random ones.
NEAR = 1 << 28
