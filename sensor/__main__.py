"""``python -m sensor``, and the `sensor` command."""

from __future__ import annotations

import gc

# Nearly all that start-up makes stays: looking through it again and again would be a tenth of
# the time it takes. `sensor.cli.started.started_up` ends this.
gc.disable()

from sensor.cli.program import main  # noqa: E402  (what is imported is what is not to be looked through)

__all__ = ["main"]

if __name__ == "__main__":
    main()
