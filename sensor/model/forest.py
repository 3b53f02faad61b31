"""Complete binary trees as flat arrays, and the kernel that counts learned rows in them.

In heap order the children of node i are 2i + 1 and 2i + 2, so a tree of height
H is 2^H - 1 splits and 2^H leaves without a pointer. Only leaves are counted:
an inner node's mass is the sum of its leaves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.model.detector import Floats

#: Rows walked through one tree before the next: rows and tree stay in the first-level cache.
_BLOCK = 128


class Forest(NamedTuple):
    """The trees: T trees of height H, L = 2^H leaves each."""

    feature: npt.NDArray[np.int32]  # (T, L - 1) column of X, heap order
    threshold: Floats  # (T, L - 1) left if x < threshold, so NaN goes right
    l_mass: npt.NDArray[np.int64]  # (T, L) rows of this window
    r_mass: npt.NDArray[np.int64]  # (T, L) rows of the last full window
    nodes: npt.NDArray[np.uint64]  # (block,) scratch of `count_rows`: kernels cannot allocate


@kernel
def count_rows(forest: Forest, X: Floats) -> None:
    """Send every row through every tree and count it in `l_mass`.

    A block of rows goes down a tree level by level: the steps of different
    rows do not wait for one another, which is four times as fast as row by row.
    """
    n_trees = forest.feature.shape[0]
    inner = np.uint64(forest.feature.shape[1])
    one, two = np.uint64(1), np.uint64(2)  # unsigned, so that no index is checked for being negative
    nodes = forest.nodes
    for start in range(0, X.shape[0], _BLOCK):
        rows = X[start : start + _BLOCK]
        n_rows = rows.shape[0]
        for tree in range(n_trees):
            feature, threshold = forest.feature[tree], forest.threshold[tree]
            nodes[:] = 0
            level_width = one
            while level_width <= inner:
                for i in range(n_rows):
                    node = nodes[i]
                    is_left = rows[i, np.uint64(feature[node])] < threshold[node]
                    nodes[i] = two * node + two - np.uint64(is_left)
                level_width *= two
            for i in range(n_rows):
                forest.l_mass[tree, nodes[i] - inner] += 1


def empty_forest(n_trees: int, height: int) -> Forest:
    """Return trees that split nowhere yet and have no mass."""
    leaves = 2**height
    return Forest(
        np.zeros((n_trees, leaves - 1), np.int32),
        np.zeros((n_trees, leaves - 1)),
        np.zeros((n_trees, leaves), np.int64),
        np.zeros((n_trees, leaves), np.int64),
        np.zeros(_BLOCK, np.uint64),
    )
