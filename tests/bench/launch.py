"""Run a command and print what it used, as JSON: `python -S launch.py LOG COMMAND...`.

A process of its own, and a small one: the kernel counts a parent's memory to a
child that was forked from it, so a large parent would hide a small program's
peak. The same goes for this one: no peak below its own 10 MB can be seen.
"""

import json
import os
import sys
import time

log, *command = sys.argv[1:]
output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
null = os.open(os.devnull, os.O_RDONLY)
started = time.monotonic()
child = os.fork()
if child == 0:
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        os.execvp(command[0], command)  # noqa: S606  (that is what this is for)
    finally:
        os._exit(127)
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - started
usage = {
    "wall": wall,
    "cpu": used.ru_utime + used.ru_stime,
    "peak_bytes": used.ru_maxrss * 1024,
    "exit": os.waitstatus_to_exitcode(status),
}
sys.stdout.write(json.dumps(usage))
