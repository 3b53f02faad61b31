"""Arrays that take long to make and depend on code alone, kept beside the compiled kernels.

What is kept is numpy's own format, never pickle, in a folder that only its
owner can write to (see `kernel`). A file that cannot be read is made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from sensor.kernel import CACHE

Arrays = tuple[npt.NDArray[np.generic], ...]


def kept(key: str, make: Callable[[], Arrays]) -> Arrays:
    """Return what `make` returned when it was last called for `key`, or call it.

    Parameters
    ----------
    key
        Everything the result depends on, the versions of libraries included.
    make
        Returns the arrays.
    """
    if CACHE is None:
        return make()
    path = CACHE / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return tuple(stored[f"arr_{number}"] for number in range(len(stored.files)))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        arrays = make()
    temporary = path.with_suffix(f".{id(arrays):x}.tmp")  # another process may be at the same
    try:
        with temporary.open("wb") as file:
            np.savez(file, *arrays)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
    return arrays
