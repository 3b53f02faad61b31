"""`sensor check`: is the configuration right, and can this machine do it."""

from __future__ import annotations

import json

import typer

from sensor.cli.options import FLAG, ConfigFile, Filter, Interface, Json, Quiet, Sets


def check(
    *,
    config: ConfigFile = None,
    interface: Interface = None,
    bpf: Filter = None,
    sets: Sets = None,
    schema: bool = typer.Option(
        False, "--schema", metavar=FLAG, help="Print the JSON Schema of the configuration and end."
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Validate the configuration, print it as it takes effect, and look at interface, permission and sinks.

    Receivers are not contacted. Ends with 0 when the sensor can start, 78 for
    a wrong configuration, 77 for a missing permission.

    [bold]Examples[/bold]

      sensor check -c config.yaml -i eth1

      SENSOR_ALERT__P_VALUE=1e-5 sensor check --set flow.capacity=500000

      sensor check --schema > span-sensor.schema.json
    """
    from sensor.cli.settings import read_config
    from sensor.config.load import render
    from sensor.config.models import Config

    if schema:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
        return
    effective = read_config(config, sets, interface=interface, bpf=bpf)

    from sensor.preflight import preflight

    findings = preflight(effective)
    if as_json:
        found = [
            {"subject": one.subject, "ok": not one.problem, "text": one.problem or one.warning or one.note}
            for one in findings
        ]
        typer.echo(json.dumps({"config": effective.model_dump(mode="json"), "findings": found}))
    elif not quiet:
        typer.echo(render(effective), nl=False)
    for one in findings:
        if one.problem:
            typer.echo(f"sensor: {one.subject}: {one.problem}", err=True)
        elif not quiet and not as_json:
            typer.echo(
                f"{one.subject}: warning: {one.warning}" if one.warning else f"{one.subject}: {one.note}",
                err=True,
            )
    raise typer.Exit(next((one.exit_code for one in findings if one.problem), 0))
