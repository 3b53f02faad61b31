"""`sensor run`: watch an interface."""

from __future__ import annotations

import signal

import typer

from sensor.cli.options import ConfigFile, Filter, Interface, Json, Quiet, Seed, Sets, Verbose, log_level
from sensor.cli.started import started_up


def run(
    *,
    config: ConfigFile = None,
    interface: Interface = None,
    bpf: Filter = None,
    sets: Sets = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Watch an interface until SIGTERM or Ctrl-C.

    Alerts go to the configured sinks. Without any, or with --json, they are
    written to standard output. SIGHUP takes the sinks of the changed
    configuration, SIGUSR1 logs the statistics.

    [bold]Examples[/bold]

      sensor run -i eth1

      sensor run -i eth1 -F 'not port 22' --json | jq .message

      sensor run -c /etc/sensor/config.yaml -i eth1
    """
    from sensor.cli.output import standard_output
    from sensor.cli.settings import read_config
    from sensor.log import configure_log

    settings = read_config(config, sets, interface=interface, bpf=bpf, seed=seed)
    configure_log(log_level(settings.logging.level, quiet=quiet, verbose=verbose), settings.logging.format)

    from sensor.preflight import require_capture

    require_capture(settings)

    from sensor.app import Live, observer
    from sensor.signals import Signals

    printers = []
    if as_json or not settings.sinks:
        seen_by = observer(settings, settings.capture.interface)
        printers.append(standard_output(seen_by, as_json=as_json))
    live = Live(
        settings, lambda: read_config(config, sets, interface=interface, bpf=bpf, seed=seed), printers
    )
    started_up()
    with Signals(service=True) as signals:
        live.run(signals)
    if signals.stop == signal.SIGINT:
        raise typer.Exit(130)
