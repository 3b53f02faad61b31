"""The `sensor` command: its sub-commands, and how errors end."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from sensor.cli import check, flows, replay, run, version
from sensor.errors import SensorError
from sensor.printer import ReaderGoneError

_INTERRUPTED = 130  # 128 + SIGINT

_EPILOG = (
    "Start: [bold]sensor replay capture.pcap[/bold] needs no configuration and no privilege. "
    "Then [bold]sensor check -c config.yaml -i eth1[/bold], and [bold]sensor run[/bold] with the same."
)

app = typer.Typer(
    name="sensor",
    help="Find anomalies in the traffic of a mirror (SPAN) port, or in a capture file.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("flows")(flows.flows)
app.command("check")(check.check)
app.command("version")(version.version)


def main() -> NoReturn:
    """Run the command line and exit; an error is one line on standard error, never a traceback."""
    try:
        app()
    except ReaderGoneError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's last flush complains
        sys.exit(error.exit_code)
    except SensorError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end("interrupted", _INTERRUPTED)
    except OSError as error:
        _end(f"{error.filename or 'input or output'}: {error.strerror}", 1)
    except MemoryError:
        _end("out of memory; flow.capacity and feature.hosts set how much is reserved", 1)
    except Exception as error:  # top of the main thread: a defect ends here, as one line
        if os.environ.get("SENSOR_TRACEBACK"):
            raise
        _end(f"defect: {type(error).__name__}: {error} (SENSOR_TRACEBACK=1 shows where)", 1)
    sys.exit(0)


def _end(message: str, code: int) -> NoReturn:
    print(f"sensor: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201  (the program's last word)
    sys.exit(code)
