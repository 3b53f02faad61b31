"""The command line: one file a sub-command, plus what they show.

Standard output carries data (alerts, flows, the answer of `check`), standard
error everything else. Heavy modules are imported inside the functions that
need them, so that `--help` and usage errors are quick.

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 `--fail-on` was reached, 65
nothing readable, 69 a receiver is unreachable, 77 no permission, 78 wrong
configuration, 130 interrupted.
"""
