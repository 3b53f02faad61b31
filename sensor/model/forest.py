"""Complete binary trees as flat arrays, and the two kernels that walk and weigh them.

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

#: What `walk` does at the leaves; may be added.
SCORE = 1
LEARN = 2


class Forest(NamedTuple):
    """The trees: T trees of height H, L = 2^H leaves each."""

    feature: npt.NDArray[np.int32]  # (T, L - 1) column of X, heap order
    threshold: Floats  # (T, L - 1) left if x < threshold, so NaN goes right
    l_mass: npt.NDArray[np.int64]  # (T, L) rows of this window
    r_mass: npt.NDArray[np.int64]  # (T, L) rows of the last full window
    path_mass: npt.NDArray[np.int64]  # (T, L) River's sum of r_mass x 2^depth on the way to each leaf
    log_mass: Floats  # (T, L) log(path_mass / its maximum)
    nodes: npt.NDArray[np.uint64]  # (block,) scratch of `walk`: kernels cannot allocate
    sums: npt.NDArray[np.int64]  # (3, 2L - 1) scratch of `weigh`


@kernel
def walk(forest: Forest, X: Floats, mass: npt.NDArray[np.int64], logs: Floats, task: int) -> None:
    """Send every row through every tree; add to `mass` and `logs` (n,), count in `l_mass`, as `task` says.

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
            if task & SCORE:
                for i in range(n_rows):
                    mass[start + i] += forest.path_mass[tree, nodes[i] - inner]
                    logs[start + i] += forest.log_mass[tree, nodes[i] - inner]
            if task & LEARN:
                for i in range(n_rows):
                    forest.l_mass[tree, nodes[i] - inner] += 1


@kernel
def weigh(forest: Forest, window_size: int) -> None:
    """Work out `path_mass` and `log_mass` from `r_mass`, River's early stop included."""
    n_trees, n_leaves = forest.r_mass.shape
    inner = n_leaves - 1
    limit = 0.1 * window_size  # River's `size_limit`
    largest = float(window_size * (2 * n_leaves - 1))
    node_mass, total, stopped = forest.sums[0], forest.sums[1], forest.sums[2]
    for tree in range(n_trees):
        for leaf in range(n_leaves):
            node_mass[inner + leaf] = forest.r_mass[tree, leaf]
        for node in range(inner - 1, -1, -1):
            node_mass[node] = node_mass[2 * node + 1] + node_mass[2 * node + 2]
        scale = 1
        level_end = 0
        for node in range(inner + n_leaves):
            if node > level_end:
                scale *= 2
                level_end = 2 * level_end + 2
            parent = (node - 1) // 2
            before = total[parent] if node else 0
            halted = node > 0 and stopped[parent] != 0
            total[node] = before if halted else before + node_mass[node] * scale
            stopped[node] = halted or node_mass[node] < limit
        for leaf in range(n_leaves):
            forest.path_mass[tree, leaf] = total[inner + leaf]
            if total[inner + leaf] > 0:
                forest.log_mass[tree, leaf] = np.log(total[inner + leaf] / largest)


def empty_forest(n_trees: int, height: int) -> Forest:
    """Return trees that split nowhere yet and have no mass."""
    leaves = 2**height
    return Forest(
        np.zeros((n_trees, leaves - 1), np.int32),
        np.zeros((n_trees, leaves - 1)),
        np.zeros((n_trees, leaves), np.int64),
        np.zeros((n_trees, leaves), np.int64),
        np.zeros((n_trees, leaves), np.int64),
        np.zeros((n_trees, leaves)),
        np.zeros(_BLOCK, np.uint64),
        np.zeros((3, 2 * leaves - 1), np.int64),
    )
