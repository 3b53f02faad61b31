"""A Bloom filter of two generations, each a set of bit positions."""

BLOCK_BITS = 512
BLOCKS = (1 << 22) // BLOCK_BITS
LIMIT = 300_000


class NaiveFilter:
    def __init__(self, limit=LIMIT):
        self.young, self.old = set(), set()
        self.taken = 0
        self.limit = limit

    def first_seen(self, hashed):
        block = (hashed >> 48) % BLOCKS * BLOCK_BITS
        positions = {block + (hashed >> 9 * number) % BLOCK_BITS for number in range(4)}
        if positions <= self.young:
            return False
        known = positions <= self.old
        self.young |= positions
        self.taken += 1
        if self.taken == self.limit:
            self.young, self.old = set(), self.young
            self.taken = 0
        return not known
