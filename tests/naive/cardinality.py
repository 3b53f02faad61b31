"""HyperLogLog as the paper writes it: a register holds the longest run of zeros, plus one, 48 at most."""

import math

REGISTERS = 128


class NaiveCounter:
    def __init__(self):
        self.registers = [0] * REGISTERS

    def add(self, hashed):
        bits = f"{hashed >> 7:057b}"
        run = len(bits) - len(bits.rstrip("0"))
        self.registers[hashed % REGISTERS] = max(self.registers[hashed % REGISTERS], min(run + 1, 48))

    def estimate(self):
        alpha = 0.7213 / (1 + 1.079 / REGISTERS)
        raw = alpha * REGISTERS**2 / sum(2.0**-rank for rank in self.registers)
        empty = self.registers.count(0)
        if empty and raw <= 2.5 * REGISTERS:
            return round(REGISTERS * math.log(REGISTERS / empty))
        return round(raw)
