"""What a forest's reference says of a row, without walking its trees.

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

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, kernel
from sensor.model.detector import Floats
from sensor.model.forest import Forest

#: Rows looked up at a time: their codes stay in the first-level cache.
_BLOCK = 128
#: [0, 1] in so many cells, each of which knows the splits below it.
_CELLS = 512
#: River goes on below a node with at least this share of a window's rows.
_LIMIT = 0.1
_MOST_A_LEVEL = 10
_WORD = 64
#: Words that are worked on at a time.
_QUAD = 4
# What `Lookup.state` holds: words in use, and words from one code to the next.
_WORDS, _STRIDE = 0, 1
_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
#: A de Bruijn sequence: times a lone bit, its upper six bits are another number for each bit.
_DE_BRUIJN = np.uint64(0x03F7_9D71_B4CB_0A89)
_UPPER_SIX = np.uint64(58)


class Lookup(NamedTuple):
    """Splits by column and ends by bit; C columns, T trees, L leaves a tree.

    A column's *codes* are its splits in use, in ascending order, and one more:
    code k is a value that is at or above k of them.
    """

    column: npt.NDArray[np.int64]  # (C,) of X
    order: npt.NDArray[np.int32]  # (T (L - 1),) all nodes that split, by column, then by threshold
    begin: npt.NDArray[np.int64]  # (C + 1,) where each column's begin in `order`
    nodes: npt.NDArray[np.int64]  # (3, T, 2 L - 1) mass; first bit, -1 beyond an end; number of bits
    first: npt.NDArray[np.int64]  # (C,) each column's first code
    last: npt.NDArray[np.uint64]  # (C,) and its last: unsigned, so that no index is checked for its sign
    split: npt.NDArray[np.int32]  # (codes,) the split above each code
    cut: Floats  # (2 codes,) its threshold; inf above the last
    grid: npt.NDArray[np.uint32]  # (C, cells + 1) code at each cell's lower end; most splits in a cell
    used: npt.NDArray[np.uint64]  # (words,) the bits that are ends
    left: npt.NDArray[np.uint64]  # (codes x words,) the bits that each code leaves
    log_mass: Floats  # (words x 64,) log(mass / its maximum) at each end
    mass: Floats  # (words x 64,) River's sum of mass x 2^depth: integers below 2^53, hence exact
    state: npt.NDArray[np.int64]  # (2,) see above
    codes: npt.NDArray[np.uint64]  # (C, block) scratch: where a block's rows stand in `left`
    bits: npt.NDArray[np.uint64]  # (block, quad) scratch: what their columns leave


@kernel
def _cell_of(x: float) -> np.uint64:
    """Return the cell of a value; never less for a higher one, the last for NaN, which goes right."""
    place = x * _CELLS
    if place < 0.0:
        return np.uint64(0)
    return np.uint64(place) if place < _CELLS else np.uint64(_CELLS - 1)


@kernel
def _slot_of(bit: np.uint64) -> np.uint64:
    """Return where in its word's 64 values a lone bit's value stands."""
    return (bit * _DE_BRUIJN) >> _UPPER_SIX


@kernel
def _code(lookup: Lookup, X: Floats, index: Int) -> None:
    """Write the codes of a block of rows in one column, as places in `left`."""
    column, last = lookup.column[index], lookup.last[index]
    grid, steps, cut = lookup.grid[index], np.int64(lookup.grid[index, _CELLS]), lookup.cut
    codes, stride = lookup.codes[index], np.uint64(lookup.state[_STRIDE])
    for i in range(X.shape[0]):
        x = X[i, column]
        code = np.uint64(grid[_cell_of(x)])
        # Where nothing is left to pass, the next is infinity; what passes that is sent back.
        code += np.uint64(not x < cut[code])
        code += np.uint64(not x < cut[code])
        for _ in range(2, steps):
            code += np.uint64(not x < cut[code])
        codes[i] = min(code, last) * stride


@kernel
def _keep_common(lookup: Lookup, n_rows: Int, quad: Int) -> None:
    """Write the bits that all columns leave of four words, for a block of rows."""
    codes, left, bits = lookup.codes, lookup.left, lookup.bits
    b, c, d = np.uint64(1), np.uint64(2), np.uint64(3)
    quad = np.uint64(quad)
    for i in range(n_rows):
        place = codes[0, i] + quad
        left0, left1, left2, left3 = left[place], left[place + b], left[place + c], left[place + d]
        for index in range(1, codes.shape[0]):
            place = codes[index, i] + quad
            left0 &= left[place]
            left1 &= left[place + b]
            left2 &= left[place + c]
            left3 &= left[place + d]
        bits[i, 0], bits[i, 1], bits[i, 2], bits[i, 3] = left0, left1, left2, left3


@kernel
def look_up(lookup: Lookup, X: Floats, values: Floats, out: Floats) -> None:
    """Fill `out` (n,) with the sums over trees of `values` (`log_mass` or `mass`) at the rows' ends."""
    out[:] = 0.0
    for start in range(0, X.shape[0], _BLOCK):
        rows, sums = X[start : start + _BLOCK], out[start : start + _BLOCK]
        for index in range(lookup.column.shape[0]):
            _code(lookup, rows, index)
        for quad in range(0, lookup.state[_STRIDE], _QUAD):
            _keep_common(lookup, rows.shape[0], quad)
            for i in range(rows.shape[0]):
                total = sums[i]
                for word in range(min(lookup.state[_WORDS] - quad, _QUAD)):
                    bits = lookup.bits[i, word]
                    while bits != 0:
                        bit = bits & (~bits + _ONE)
                        total += values[np.uint64((quad + word) * _WORD) + _slot_of(bit)]
                        bits ^= bit
                sums[i] = total


@kernel
def _number(forest: Forest, lookup: Lookup, window_size: int) -> None:
    """Give every end its bit and its values, and count the words that the bits take.

    A tree's bits lie side by side, in one word if they fit, so that each word
    has the same number of bits left for every row.
    """
    n_trees, n_leaves = forest.r_mass.shape
    inner = n_leaves - 1
    limit = _LIMIT * window_size  # River's `size_limit`
    largest = float(window_size * (2 * n_leaves - 1))
    free = 0
    lookup.used[:] = 0
    for tree in range(n_trees):
        mass, first, count = lookup.nodes[0, tree], lookup.nodes[1, tree], lookup.nodes[2, tree]
        for leaf in range(n_leaves):
            mass[inner + leaf] = forest.r_mass[tree, leaf]
            count[inner + leaf] = 1
        for node in range(inner - 1, -1, -1):
            mass[node] = mass[2 * node + 1] + mass[2 * node + 2]
            count[node] = count[2 * node + 1] + count[2 * node + 2] if mass[node] >= limit else 1
        if free % _WORD + count[0] > _WORD:
            free += -free % _WORD
        scale, level_end = 1, 0
        first[0] = free
        for node in range(inner + n_leaves):
            if node > level_end:
                scale *= 2
                level_end = 2 * level_end + 2
            if node > 0:
                parent = (node - 1) // 2
                if first[parent] < 0 or count[parent] == 1:
                    first[node] = -1  # beyond an end
                    continue
                first[node] = first[parent] if node % 2 == 1 else first[parent] + count[node - 1]
                mass[node] = mass[parent] + mass[node] * scale  # now the sum on the way
            if count[node] == 1:
                word = first[node] // _WORD
                bit = _ONE << np.uint64(first[node] % _WORD)
                at = word * _WORD + np.int64(_slot_of(bit))
                lookup.used[word] |= bit
                lookup.mass[at] = mass[node]
                lookup.log_mass[at] = np.log(mass[node] / largest) if mass[node] > 0 else 0.0
        free += count[0]
    lookup.state[_WORDS] = (free + _WORD - 1) // _WORD
    lookup.state[_STRIDE] = (lookup.state[_WORDS] + _QUAD - 1) // _QUAD * _QUAD


@kernel
def _rule_out(left: npt.NDArray[np.uint64], begin: Int, end: Int) -> None:
    """Clear the bits from `begin` up to `end`."""
    for word in range(begin // _WORD, (end - 1) // _WORD + 1):
        low, high = max(begin - word * _WORD, 0), min(end - word * _WORD, _WORD)
        left[word] &= ~((_ALL >> np.uint64(_WORD - (high - low))) << np.uint64(low))


@kernel
def settle(forest: Forest, lookup: Lookup, window_size: int) -> None:
    """Work everything out anew from `r_mass`."""
    _number(forest, lookup, window_size)
    words, stride, inner = lookup.state[_WORDS], lookup.state[_STRIDE], forest.feature.shape[1]
    code = 0
    for index in range(lookup.column.shape[0]):
        lookup.first[index] = code
        left = lookup.left[code * stride :]
        for word in range(words):
            left[word] = lookup.used[word]
        for place in range(lookup.begin[index], lookup.begin[index + 1]):
            tree, node = lookup.order[place] // inner, lookup.order[place] % inner
            first, count = lookup.nodes[1, tree], lookup.nodes[2, tree]
            if first[node] < 0 or count[node] == 1:
                continue
            lookup.split[code] = lookup.order[place]
            lookup.cut[code] = forest.threshold[tree, node]
            code += 1
            above = lookup.left[code * stride :]
            for word in range(words):
                above[word] = left[word]
            left = above
            _rule_out(left, first[node], first[node] + count[2 * node + 1])
        lookup.cut[code] = np.inf
        # Downwards again: at or below a split, what is on its right is out.
        right = lookup.left[(code + 1) * stride :]  # lent by the next column
        right[:words] = _ALL
        for below in range(code - 1, lookup.first[index] - 1, -1):
            tree, node = lookup.split[below] // inner, lookup.split[below] % inner
            first, count = lookup.nodes[1, tree], lookup.nodes[2, tree]
            _rule_out(right, first[2 * node + 2], first[node] + count[node])
            for word in range(words):
                lookup.left[below * stride + word] &= right[word]
        lookup.last[index] = code
        code += 1
    _divide(lookup)


@kernel
def _divide(lookup: Lookup) -> None:
    """Fill the grid from the splits' thresholds."""
    for index in range(lookup.column.shape[0]):
        code, last = lookup.first[index], np.int64(lookup.last[index])
        most = 0
        for cell in range(_CELLS):
            lookup.grid[index, cell] = code
            before = code
            while code < last and _cell_of(lookup.cut[code]) == cell:
                code += 1
            most = max(most, code - before)
        lookup.grid[index, _CELLS] = most


def lookup_of(forest: Forest, columns: tuple[int, ...]) -> Lookup:
    """Return room for what `settle` works out of trees that are grown and split on `columns` only."""
    n_trees, n_leaves = forest.r_mass.shape
    height = n_leaves.bit_length() - 1
    splits = sum(min(2**level, _MOST_A_LEVEL) for level in range(height))
    order = np.lexsort((forest.threshold.ravel(), forest.feature.ravel()))
    begin = np.searchsorted(forest.feature.ravel()[order], (*columns, np.iinfo(np.int32).max))
    codes = n_trees * splits + len(columns) + 1
    words = n_trees * -(-(splits + 1) // _WORD)
    words += -words % _QUAD
    return Lookup(
        column=np.array(columns, np.int64),
        order=order.astype(np.int32),
        begin=begin.astype(np.int64),
        nodes=np.zeros((3, n_trees, 2 * n_leaves - 1), np.int64),
        first=np.zeros(len(columns), np.int64),
        last=np.zeros(len(columns), np.uint64),
        split=np.zeros(codes, np.int32),
        cut=np.zeros(2 * codes),  # `_code` may look beyond the last column
        grid=np.zeros((len(columns), _CELLS + 1), np.uint32),
        used=np.zeros(words, np.uint64),
        left=np.zeros(codes * words, np.uint64),
        log_mass=np.zeros(words * _WORD),
        mass=np.zeros(words * _WORD),
        state=np.zeros(2, np.int64),
        codes=np.zeros((len(columns), _BLOCK), np.uint64),
        bits=np.zeros((_BLOCK, _QUAD), np.uint64),
    )
