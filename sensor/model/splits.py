"""What `lookup` looks up: splits by column and ends by bit, worked out from the masses of trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, kernel
from sensor.model.detector import Floats

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

#: [0, 1] in so many cells, each of which knows the splits below it.
CELLS = 512
WORD = 64
#: Words that are worked on at a time; those of a forest begin at a whole number of them.
QUAD = 4
#: River goes on below a node with at least this share of a window's rows.
_LIMIT = 0.1
_MOST_A_LEVEL = 10
_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
#: A de Bruijn sequence: times a lone bit, its upper six bits are another number for each bit.
_DE_BRUIJN = np.uint64(0x03F7_9D71_B4CB_0A89)
_UPPER_SIX = np.uint64(58)


class Splits(NamedTuple):
    """Splits by column and ends by bit: F forests over C columns, T trees of L leaves in all.

    A column's *codes* are the splits on it in use, in ascending order, and one
    more: code k is a value that is at or above k of them.
    """

    r_mass: Ints  # (T, L)
    column: Ints  # (C,) of X
    order: Ints  # (T (L - 1),) all nodes that split, by column, then by threshold; counted over all trees
    ordered: Floats  # (T (L - 1),) their thresholds
    begin: Ints  # (C + 1,) where each column's begin in `order`
    nodes: Ints  # (3, T, 2 L - 1) mass; first bit, -1 beyond an end; number of bits
    is_split: npt.NDArray[np.bool_]  # (T (2 L - 1),) whether a node is a split in use
    first: Ints  # (C + 1,) where each column's codes begin in `split` and `cut`
    split: Ints  # (codes,) the split above each code
    cut: Floats  # (2 codes,) its threshold; inf above a column's last (and room to look further)
    grid: npt.NDArray[np.uint32]  # (C, cells + 1) code at each cell's lower end; most splits in a cell
    looks: Ints  # (F, C + 1) a forest's columns: how many, then which
    place: Ints  # (F, C) where a column's lowest code stands in a forest's part of `left`
    quads: Ints  # (F + 1,) where the quads of words of each forest begin
    parts: Ints  # (F + 1,) where each forest's part of `left` begins
    used: Words  # (words,) the bits that are ends
    log_mass: Floats  # (words x 64,) log(mass / its maximum) at each end
    mass: Floats  # (words x 64,) River's sum of mass x 2^depth: integers below 2^53, hence exact


@kernel
def cell_of(x: float) -> np.uint64:
    """Return the cell of a value; never less for a higher one, the last for NaN, which goes right."""
    place = x * CELLS
    if place < 0.0:
        return np.uint64(0)
    return np.uint64(place) if place < CELLS else np.uint64(CELLS - 1)


@kernel
def slot_of(bit: np.uint64) -> np.uint64:
    """Return where in its word's 64 values a lone bit's value stands."""
    return (bit * _DE_BRUIJN) >> _UPPER_SIX


@kernel
def _number_tree(splits: Splits, tree: Int, free: Int, window_size: int) -> None:
    """Give the ends of a tree bits from `free` on, and their values."""
    n_leaves = splits.r_mass.shape[1]
    inner = n_leaves - 1
    largest = float(window_size * (2 * n_leaves - 1))
    mass, first, count = splits.nodes[0, tree], splits.nodes[1, tree], splits.nodes[2, tree]
    is_split = splits.is_split[tree * (2 * inner + 1) :]
    scale, level_end = 1, 0
    first[0], is_split[0] = free, False
    for node in range(inner + n_leaves):
        if node > level_end:
            scale *= 2
            level_end = 2 * level_end + 2
        if node > 0:
            parent = (node - 1) // 2
            is_split[node] = False
            if not is_split[parent]:
                first[node] = -1  # beyond an end
                continue
            first[node] = first[parent] if node % 2 == 1 else first[parent] + count[node - 1]
            mass[node] = mass[parent] + mass[node] * scale  # now the sum on the way
        if count[node] > 1:
            is_split[node] = True
        else:
            word = first[node] // WORD
            bit = _ONE << np.uint64(first[node] % WORD)
            at = word * WORD + np.int64(slot_of(bit))
            splits.used[word] |= bit
            splits.mass[at] = mass[node]
            splits.log_mass[at] = np.log(mass[node] / largest) if mass[node] > 0 else 0.0


@kernel
def number_ends(splits: Splits, window_size: int) -> None:
    """Give every end its bit and its values.

    A tree's bits lie side by side, in one word if they fit, so that each word
    has the same number of bits left for every row.
    """
    n_trees, n_leaves = splits.r_mass.shape
    n_forests = splits.looks.shape[0]
    inner = n_leaves - 1
    limit = _LIMIT * window_size  # River's `size_limit`
    splits.used[:] = 0
    free = 0
    for tree in range(n_trees):
        mass, count = splits.nodes[0, tree], splits.nodes[2, tree]
        for leaf in range(n_leaves):
            mass[inner + leaf] = splits.r_mass[tree, leaf]
            count[inner + leaf] = 1
        for node in range(inner - 1, -1, -1):
            mass[node] = mass[2 * node + 1] + mass[2 * node + 2]
            count[node] = count[2 * node + 1] + count[2 * node + 2] if mass[node] >= limit else 1
        if tree % (n_trees // n_forests) == 0:
            free += -free % (QUAD * WORD)
            splits.quads[tree // (n_trees // n_forests)] = free // (QUAD * WORD)
        elif free % WORD + count[0] > WORD:
            free += -free % WORD
        _number_tree(splits, tree, free, window_size)
        free += count[0]
    splits.quads[n_forests] = (free + QUAD * WORD - 1) // (QUAD * WORD)


@kernel
def sort_in(splits: Splits) -> None:
    """Find the splits in use and their order in each column, and each forest's room in `left`."""
    code = 0
    for index in range(splits.column.shape[0]):
        splits.first[index] = code
        for place in range(splits.begin[index], splits.begin[index + 1]):
            if splits.is_split[splits.order[place]]:
                splits.split[code], splits.cut[code] = splits.order[place], splits.ordered[place]
                code += 1
        splits.split[code], splits.cut[code] = -1, np.inf
        code += 1
        _divide(splits.cut[splits.first[index] : code - 1], splits.grid[index])
    splits.first[splits.column.shape[0]] = code
    room = 0
    for forest in range(splits.looks.shape[0]):
        splits.parts[forest] = room
        codes = 0
        for number in range(1, splits.looks[forest, 0] + 1):
            index = splits.looks[forest, number]
            splits.place[forest, index] = codes * QUAD
            codes += splits.first[index + 1] - splits.first[index]
        room += codes * QUAD * (splits.quads[forest + 1] - splits.quads[forest])
    splits.parts[splits.looks.shape[0]] = room


@kernel
def _divide(cut: Floats, grid: npt.NDArray[np.uint32]) -> None:
    """Fill a column's grid from its thresholds, ascending."""
    code, most = 0, 0
    for cell in range(CELLS):
        grid[cell] = code
        before = code
        while code < cut.shape[0] and cell_of(cut[code]) == np.uint64(cell):
            code += 1
        most = max(most, code - before)
    grid[CELLS] = most


@kernel
def _rule_out(left: Words, step: Int, begin: Int, end: Int) -> None:
    """Clear the bits from `begin` up to `end`; a quad of words stands `step` words behind the one before."""
    for word in range(begin // WORD, (end - 1) // WORD + 1):
        low, high = max(begin - word * WORD, 0), min(end - word * WORD, WORD)
        at = word // QUAD * step + word % QUAD
        left[at] &= ~((_ALL >> np.uint64(WORD - (high - low))) << np.uint64(low))


@kernel
def fill_left(splits: Splits, left: Words, forest: Int) -> None:
    """Work out a forest's part of `left`: the bits that each code of each of its columns leaves.

    Upwards: at or above a split, what is on its left is out. Then downwards:
    below a split, what is on its right is out.
    """
    n_forests = splits.looks.shape[0]
    n_nodes, n_trees = splits.nodes.shape[2], splits.nodes.shape[1] // n_forests
    first, count = splits.nodes[1], splits.nodes[2]
    begin, quads = splits.quads[forest] * QUAD, splits.quads[forest + 1] - splits.quads[forest]
    part, out = left[splits.parts[forest] : splits.parts[forest + 1]], left[splits.parts[n_forests] :]
    step = part.shape[0] // quads
    for number in range(1, splits.looks[forest, 0] + 1):
        index = splits.looks[forest, number]
        column, split = part[splits.place[forest, index] :], splits.split[splits.first[index] :]
        codes = splits.first[index + 1] - splits.first[index]
        for code in range(codes):
            for word in range(quads * QUAD):
                at = word // QUAD * step + code * QUAD + word % QUAD
                column[at] = column[at - QUAD] if code > 0 else splits.used[begin + word]
            tree, node = split[code - 1] // n_nodes, split[code - 1] % n_nodes
            if code > 0 and tree // n_trees == forest:
                low = first[tree, node] - begin * WORD
                _rule_out(column[code * QUAD :], step, low, low + count[tree, 2 * node + 1])
        out[: quads * QUAD] = _ALL
        for code in range(codes - 2, -1, -1):
            tree, node = split[code] // n_nodes, split[code] % n_nodes
            if tree // n_trees == forest:
                high = first[tree, node] + count[tree, node] - begin * WORD
                _rule_out(out, QUAD, high - count[tree, 2 * node + 2], high)
            for word in range(quads * QUAD):
                column[word // QUAD * step + code * QUAD + word % QUAD] &= out[word]


def room_for(feature: npt.NDArray[np.int32], threshold: Floats, columns: Sequence[Sequence[int]]) -> Splits:
    """Return room for the splits of forests that are grown.

    Parameters
    ----------
    feature, threshold
        (T, L - 1) of their trees, as many for each, one forest's after another's.
    columns
        Each forest's.
    """
    n_trees, inner = feature.shape
    height = inner.bit_length()
    most = sum(min(2**level, _MOST_A_LEVEL) for level in range(height))
    order = np.lexsort((threshold.ravel(), feature.ravel()))
    column = sorted(set().union(*columns))
    codes = n_trees * most + len(column)
    quads = len(columns) * -(-(n_trees // len(columns)) * -(-(most + 1) // WORD) // QUAD)
    looks = np.zeros((len(columns), len(column) + 1), np.int64)
    for own, look in zip(columns, looks, strict=True):
        look[: len(own) + 1] = len(own), *(column.index(one) for one in own)
    return Splits(
        r_mass=np.zeros((n_trees, inner + 1), np.int64),
        column=np.array(column, np.int64),
        order=(order // inner * (2 * inner + 1) + order % inner).astype(np.int64),
        ordered=threshold.ravel()[order],
        begin=np.searchsorted(feature.ravel()[order], (*column, column[-1] + 1)).astype(np.int64),
        nodes=np.zeros((3, n_trees, 2 * inner + 1), np.int64),
        is_split=np.zeros(n_trees * (2 * inner + 1), np.bool_),
        first=np.zeros(len(column) + 1, np.int64),
        split=np.zeros(codes, np.int64),
        cut=np.zeros(2 * codes),
        grid=np.zeros((len(column), CELLS + 1), np.uint32),
        looks=looks,
        place=np.zeros((len(columns), len(column)), np.int64),
        quads=np.zeros(len(columns) + 1, np.int64),
        parts=np.zeros(len(columns) + 1, np.int64),
        used=np.zeros(quads * QUAD, np.uint64),
        log_mass=np.zeros(quads * QUAD * WORD),
        mass=np.zeros(quads * QUAD * WORD),
    )
