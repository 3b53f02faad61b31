"""The configuration as the command line asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sensor.config.load import load
from sensor.config.models import Config


def read_config(
    path: Path | None,
    sets: Sequence[str] | None,
    *,
    interface: str | None = None,
    bpf: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
) -> Config:
    """Return file, environment, ``--set`` and options together; None stands for "not given".

    Raises
    ------
    ConfigError
        See `load`.
    """
    given = {
        "capture.interface": ("-i", interface),
        "capture.bpf": ("-F", bpf),
        "sensor.seed": ("--seed", seed),
        "capture.workers": ("--workers", workers),
    }
    options = {key: (name, value) for key, (name, value) in given.items() if value is not None}
    return load(path, sets or (), options=options)
