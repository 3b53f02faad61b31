"""The one way to a `Config`: file, then environment, then command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import yaml
from pydantic import ValidationError

from sensor.config.complaint import complaint
from sensor.config.document import Document, read_document
from sensor.config.models import Config
from sensor.config.override import apply_environment, apply_options, apply_sets


def load(
    path: Path | None = None,
    sets: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    options: Mapping[str, tuple[str, object]] = MappingProxyType({}),
) -> Config:
    """Return the configuration.

    Parameters
    ----------
    path
        YAML file, or None for the defaults.
    sets
        ``section.key=value`` texts.
    environment
        `SENSOR_SECTION__KEY` variables are taken from here.
    options
        Values of options of their own, such as ``{"capture.interface": ("-i",
        "eth1")}``; they win over everything.

    Raises
    ------
    ConfigError
        One line that names the place, the key and what is allowed.
    """
    document = Document() if path is None else read_document(path)
    apply_environment(document, environment)
    apply_sets(document, sets)
    apply_options(document, options)
    try:
        return Config.model_validate(document.values)
    except ValidationError as error:
        raise complaint(error, document) from error


def render(config: Config) -> str:
    """Return `config` as YAML that `load` reads back to an equal `Config`."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=False, width=100)
