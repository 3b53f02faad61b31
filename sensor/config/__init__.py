"""YAML, environment and command line to one frozen `Config`.

In: a file, `SENSOR_*` variables, `--set` texts; later ones win. Out: a
`Config` whose every value was checked, or a `ConfigError` of one line that
names the file, the line, the key and what is allowed.

Rules: the defaults of the engine stand in `sensor.settings`; an unknown key is
an error; nothing here opens anything but the file itself.
"""
