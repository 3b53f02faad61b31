"""`sensor version`."""

from __future__ import annotations

import importlib.metadata
import json
import platform

import typer

import sensor
from sensor.cli.options import Json

_LIBRARIES = ("numpy", "numba", "river", "scapy", "pyshark", "pydantic", "PyYAML", "requests")


def version(*, as_json: Json = False) -> None:
    """Show the versions of the sensor and of what it stands on."""
    versions = {"sensor": sensor.__version__, "python": platform.python_version()}
    versions |= {name.lower(): importlib.metadata.version(name) for name in _LIBRARIES}
    if as_json:
        typer.echo(json.dumps(versions))
        return
    for name, number in versions.items():
        typer.echo(f"{name:<9} {number}")
