"""A program that calls home: one small HTTPS request at (almost) regular intervals.

Run as ``python -m lab.beacon SERVER EVERY_SECS JITTER SECONDS SEED``.
"""

from __future__ import annotations

import http.client
import random
import ssl
import sys
import time


def main() -> None:
    server = sys.argv[1]
    every_secs, jitter, seconds = (float(value) for value in sys.argv[2:5])
    rng = random.Random(int(sys.argv[5]))
    trusting = ssl._create_unverified_context()  # noqa: S323  (the lab's certificate is self-signed)
    end = time.monotonic() + seconds
    due = time.monotonic()
    while due < end:
        time.sleep(max(due - time.monotonic(), 0))
        connection = http.client.HTTPSConnection(server, 443, timeout=5, context=trusting)
        try:
            connection.request("POST", "/upload", rng.randbytes(rng.randint(60, 90)).hex())
            connection.getresponse().read()
        except OSError as error:
            print(error, file=sys.stderr)  # noqa: T201  (this program's log)
        finally:
            connection.close()
        due += every_secs * (1 + rng.uniform(-jitter, jitter))


if __name__ == "__main__":
    main()
