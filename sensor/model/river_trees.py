"""River's tree objects to flat arrays, and back.

River orders a row's features by the string order of their names, so column i
is called by its number in four digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from river.anomaly import HalfSpaceTrees as RiverHalfSpaceTrees
from river.tree.padded import PaddedBranch, PaddedLeaf

from sensor.model.detector import Floats
from sensor.model.forest import Forest
from sensor.model.half_space_trees import HalfSpaceTrees


def key(column: int) -> str:
    """Return the name River knows a column by.

    >>> key(7)
    '0007'
    """
    return f"{column:04d}"


def grow(detector: HalfSpaceTrees) -> tuple[npt.NDArray[np.int32], Floats]:
    """Let River grow the detector's trees from its seed.

    Returns
    -------
    feature, threshold
        (T, 2^H - 1) each, heap order.
    """
    river = RiverHalfSpaceTrees(
        n_trees=detector.n_trees,
        height=detector.height,
        window_size=detector.window_size,
        seed=detector.seed,
    )
    # River grows at the first row; its values do not matter, its keys do.
    river.learn_one(dict.fromkeys(map(key, detector.columns), 0.5))
    columns = {key(column): column for column in detector.columns}
    nodes = [_heap(tree) for tree in river.trees]
    inner = 2**detector.height - 1
    feature = np.array([[columns[node.feature] for node in tree[:inner]] for tree in nodes], np.int32)
    threshold = np.array([[node.threshold for node in tree[:inner]] for tree in nodes], np.float64)
    return feature, threshold


def to_river(detector: HalfSpaceTrees) -> RiverHalfSpaceTrees:
    """Return a River model that knows what `detector` knows and goes on from there.

    Its rows are dicts ``{key(column): value}`` over ``detector.columns``.
    """
    river = RiverHalfSpaceTrees(
        n_trees=detector.n_trees,
        height=detector.height,
        window_size=detector.window_size,
        seed=detector.seed,
    )
    if not detector._grown:  # noqa: SLF001  (this module is the other half of that class)
        return river
    forest = detector._forest  # noqa: SLF001
    river.trees = [_branch(forest, tree, 0) for tree in range(detector.n_trees)]
    river._tree_nodes = [list(tree.iter_dfs()) for tree in river.trees]  # noqa: SLF001
    river.counter = detector.counter
    river._first_window = not detector.ready  # noqa: SLF001
    return river


def from_river(river: RiverHalfSpaceTrees, keys: list[str]) -> HalfSpaceTrees:
    """Return a detector that knows what `river` knows; column i of its rows is ``keys[i]``.

    Raises
    ------
    ValueError
        If a tree splits on a key that is not among `keys`, or if its masses do
        not add up (then it is not River's).
    """
    detector = HalfSpaceTrees(
        len(keys),
        n_trees=river.n_trees,
        height=river.height,
        window_size=river.window_size,
        seed=river.seed,
    )
    if not river.trees:
        return detector
    columns = {name: column for column, name in enumerate(keys)}
    forest = detector._forest  # noqa: SLF001
    inner = 2**river.height - 1
    for index, root in enumerate(river.trees):
        nodes = _heap(root)
        for position, node in enumerate(nodes[:inner]):
            if node.feature not in columns:
                raise ValueError(f"the River model splits on {node.feature!r}, which is not a given key")
            children = (nodes[2 * position + 1], nodes[2 * position + 2])
            if any(sum(getattr(c, m) for c in children) != getattr(node, m) for m in ("l_mass", "r_mass")):
                raise ValueError("a node's mass is not the sum of its children's")
            forest.feature[index, position] = columns[node.feature]
            forest.threshold[index, position] = node.threshold
        forest.l_mass[index] = [leaf.l_mass for leaf in nodes[inner:]]
        forest.r_mass[index] = [leaf.r_mass for leaf in nodes[inner:]]
    detector.counter = river.counter
    # River does not count its pivots; one is all that "ready" needs.
    detector.generation = int(not river._first_window)  # noqa: SLF001
    detector.trained_rows = river.counter + river.window_size * detector.generation
    detector._adopt()  # noqa: SLF001
    return detector


def _heap(root: Any) -> list[Any]:
    """Return a complete tree's nodes level by level, left to right."""
    nodes = [root]
    for node in nodes:  # grows while it is walked; a complete tree ends it
        nodes.extend(getattr(node, "children", ()))
    return nodes


def _branch(forest: Forest, tree: int, node: int) -> Any:
    """Return River's node number `node` (heap order) with all below it."""
    inner = forest.feature.shape[1]
    if node >= inner:
        leaf = node - inner
        return PaddedLeaf(l_mass=int(forest.l_mass[tree, leaf]), r_mass=int(forest.r_mass[tree, leaf]))
    left = _branch(forest, tree, 2 * node + 1)
    right = _branch(forest, tree, 2 * node + 2)
    return PaddedBranch(
        left,
        right,
        feature=key(int(forest.feature[tree, node])),
        threshold=float(forest.threshold[tree, node]),
        l_mass=left.l_mass + right.l_mass,
        r_mass=left.r_mass + right.r_mass,
    )
