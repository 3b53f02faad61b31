"""Flow records of captures as nfstream sees them, one JSON array a line: run by the Python that has nfstream.

In: a JSON object on standard input, `paths`, `idle_secs`, `active_secs`, `tunnels`.
"""

# ruff: noqa: T201  (a command line prints)

import json
import sys

from nfstream import NFStreamer

IP_OCTETS = 1

asked = json.load(sys.stdin)
for path in asked["paths"]:
    try:
        for flow in NFStreamer(
            source=path,
            decode_tunnels=asked["tunnels"],
            idle_timeout=asked["idle_secs"],
            active_timeout=asked["active_secs"],
            accounting_mode=IP_OCTETS,
            n_dissections=0,
            statistical_analysis=False,
            n_meters=1,
        ):
            ends = (flow.src_ip, flow.src_port, flow.dst_ip, flow.dst_port, flow.protocol, flow.vlan_id)
            times = (flow.bidirectional_first_seen_ms, flow.bidirectional_last_seen_ms)
            sums = (flow.src2dst_packets, flow.src2dst_bytes, flow.dst2src_packets, flow.dst2src_bytes)
            print(json.dumps((path, *ends, *times, *sums)))
    except (ValueError, TypeError, OSError) as error:
        print(json.dumps((path, str(error))))
