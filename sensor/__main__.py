"""``python -m sensor``, and the `sensor` command."""

from __future__ import annotations

from sensor.cli.program import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
