"""What the reference of forests says of a row, without walking their trees.

River stops at the first node with less than a tenth of a window's mass. At most
ten nodes of a level have more, so that of a tree's 2^H leaves only a few dozen
*ends* can be told apart, behind as few *splits*. Each end is a bit. A row's
value in one column rules out, by every split on that column, the ends on the
split's other side; what all columns leave is one bit a tree, the row's end
(after QuickScorer; Lucchese et al., SIGIR 2015). The bits that a column leaves
depend only on which two neighbouring splits the value lies between: they are
worked out once a window, and a row costs one look a column instead of H steps
a tree. Values are compared with River's own thresholds, and what is added up
at the ends is added in the order of trees, so results are equal to a walk's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sensor.kernel import Int, kernel
from sensor.model.detector import Floats
from sensor.model.forest import Forest
from sensor.model.splits import (
    CELLS,
    QUAD,
    WORD,
    Splits,
    Words,
    cell_of,
    fill_left,
    number_ends,
    room_for,
    slot_of,
    sort_in,
)

#: Rows looked up at a time: their codes stay in the first-level cache.
_BLOCK = 128
_ONE = np.uint64(1)
_QUAD = np.uint64(QUAD)


class Scratch(NamedTuple):
    """What `look_up` needs for a block of rows: kernels cannot allocate."""

    codes: Words  # (C, block) as places in `left`
    bits: Words  # (block, quad)


@kernel
def _code(splits: Splits, X: Floats, index: Int, codes: Words) -> None:
    """Write the codes of a block of rows in one column.

    Indexes are unsigned, so that none is checked for its sign.
    """
    column, begin, end = splits.column[index], splits.first[index], splits.first[index + 1]
    grid, steps, cut = splits.grid[index], np.int64(splits.grid[index, CELLS]), splits.cut[begin:]
    last = np.uint64(end - begin - 1)
    for i in range(X.shape[0]):
        x = X[i, column]
        code = np.uint64(grid[cell_of(x)])
        # Where nothing is left to pass, the next is infinity; what passes that is sent back.
        code += np.uint64(not x < cut[code])
        code += np.uint64(not x < cut[code])
        for _ in range(2, steps):
            code += np.uint64(not x < cut[code])
        codes[i] = min(code, last) * _QUAD


@kernel
def _keep_common(codes: Words, left: Words, bits: Words, n_rows: Int, is_first: Int) -> None:
    """Keep of four words the bits that one column leaves, for a block of rows."""
    b, c, d = np.uint64(1), np.uint64(2), np.uint64(3)
    if is_first:
        for i in range(n_rows):
            place = codes[i]
            left0, left1, left2, left3 = left[place], left[place + b], left[place + c], left[place + d]
            bits[i, 0], bits[i, 1], bits[i, 2], bits[i, 3] = left0, left1, left2, left3
        return
    for i in range(n_rows):
        place = codes[i]
        left0, left1 = left[place] & bits[i, 0], left[place + b] & bits[i, 1]
        left2, left3 = left[place + c] & bits[i, 2], left[place + d] & bits[i, 3]
        bits[i, 0], bits[i, 1], bits[i, 2], bits[i, 3] = left0, left1, left2, left3


@kernel
def _add_up(values: Floats, bits: Words, sums: Floats) -> None:
    """Add the values of the bits of four words, for a block of rows."""
    for i in range(sums.shape[0]):
        total = sums[i]
        for word in range(QUAD):
            some = bits[i, word]
            while some != 0:
                bit = some & (~some + _ONE)
                total += values[np.uint64(word * WORD) + slot_of(bit)]
                some ^= bit
        sums[i] = total


@kernel
def look_up(splits: Splits, left: Words, scratch: Scratch, X: Floats, values: Floats, out: Floats) -> None:
    """Fill `out` (F, n) with each forest's sums over trees of `values` at the rows' ends."""
    out[:] = 0.0
    for start in range(0, X.shape[0], _BLOCK):
        rows = X[start : start + _BLOCK]
        for index in range(splits.column.shape[0]):
            _code(splits, rows, index, scratch.codes[index])
        for forest in range(splits.looks.shape[0]):
            quads = splits.quads[forest + 1] - splits.quads[forest]
            part = left[splits.parts[forest] : splits.parts[forest + 1]]
            for quad in range(quads):
                for number in range(1, splits.looks[forest, 0] + 1):
                    index = splits.looks[forest, number]
                    here = part[quad * (part.shape[0] // quads) + splits.place[forest, index] :]
                    _keep_common(scratch.codes[index], here, scratch.bits, rows.shape[0], number == 1)
                begin = (splits.quads[forest] + quad) * QUAD * WORD
                _add_up(values[begin:], scratch.bits, out[forest, start : start + _BLOCK])


class Lookup:
    """What the references of forests say of rows.

    Parameters
    ----------
    forests
        F of them, grown, of as many trees of one height.
    columns
        Each one's.
    window_size
        Rows of a full window, of each.
    """

    def __init__(self, forests: Sequence[Forest], columns: Sequence[Sequence[int]], window_size: int) -> None:
        self._forests = list(forests)
        self._window_size = window_size
        feature = np.concatenate([forest.feature for forest in forests])
        threshold = np.concatenate([forest.threshold for forest in forests])
        self._splits = room_for(feature, threshold, columns)
        self._left = np.zeros(0, np.uint64)
        n_columns = len(self._splits.column)
        self._scratch = Scratch(np.zeros((n_columns, _BLOCK), np.uint64), np.zeros((_BLOCK, QUAD), np.uint64))

    def settle(self) -> None:
        """Work out anew what the forests' references, which have changed, say."""
        splits = self._splits
        np.concatenate([forest.r_mass for forest in self._forests], out=splits.r_mass)
        number_ends(splits, self._window_size)
        sort_in(splits)
        room = int(splits.parts[-1]) + len(splits.used)
        if len(self._left) < room:
            self._left = np.zeros(room, np.uint64)
        for forest in range(len(self._forests)):
            fill_left(splits, self._left, forest)

    def masses(self, X: Floats, out: Floats) -> None:
        """Fill `out` (F, n) with River's sums of mass x 2^depth: whole numbers below 2^53, hence exact."""
        look_up(self._splits, self._left, self._scratch, X, self._splits.mass, out)

    def log_masses(self, X: Floats, out: Floats) -> None:
        """Fill `out` (F, n) with the sums over trees of log(mass / its maximum)."""
        look_up(self._splits, self._left, self._scratch, X, self._splits.log_mass, out)
