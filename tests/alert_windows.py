"""Windows of hosts and scores of them, made by hand, and a policy to judge them."""

import numpy as np

from sensor.alert.alert import Model, ModelState
from sensor.alert.policy import Policy, Scored
from sensor.feature.row import HOST_ROW, HostWindow
from sensor.feature.schema import HOST_FEATURES, names
from sensor.packet.columns import V4_MAPPED
from sensor.settings import AlertSettings

NAMES = names(HOST_FEATURES)
FLOORS = {feature.name: feature.floor for feature in HOST_FEATURES}
SECOND = 10**9
START = 1_700_000_000
LIVE = Model(ModelState.LIVE, 3, 900)


def v4(number):
    return 0, V4_MAPPED | 0x0A00_0000 + number


def community_id(source, target, protocol, ports, version):
    return f"1:{source[1] & 0xFF}-{target[1] & 0xFF}-{protocol}-{ports[0]}-{ports[1]}-{version}"


def host(number=5, values=None, p=1e-6, *, peer=9, share=1.0, windows=0, usual=0.0, **fields):
    """Return one host's part of a window: `values` are (value, p-value) by feature."""
    row = {"hi": 0, "lo": v4(number)[1], "ip_version": 4, "mac": 0x0200_0000_0000 + number, "teaches": 1}
    for side in ("out", "in"):
        row |= {f"peer_{side}_lo": v4(peer)[1], f"peer_{side}_share": share, f"{side}_lo": v4(peer)[1]}
        row |= {f"{side}_protocol": 6, f"{side}_src_port": 40_000, f"{side}_dst_port": 80}
        row |= {f"packets_{side}": 100, f"bytes_{side}": 6000}
    return {"row": row | fields, "values": values or {}, "p": p, "windows": windows, "usual": usual}


SCAN = {"services_out": (1000, 1e-6), "unanswered_out": (900, 1e-5)}
FLOOD = {"flows_in": (9000, 1e-7)}


def judge(policy, hosts, seconds=0, expected=0.0, model=LIVE):
    n, d = len(hosts), len(NAMES)
    rows, x, feature_p = np.zeros(n, HOST_ROW), np.zeros((n, d)), np.ones((n, d))
    for i, one in enumerate(hosts):
        for name, value in one["row"].items():
            rows[i][name] = value
        for name, (value, p_value) in one["values"].items():
            x[i, NAMES.index(name)], feature_p[i, NAMES.index(name)] = np.log1p(value), p_value
    p_values = np.array([one["p"] for one in hosts], np.float64)
    usual = np.log1p([[one["usual"]] * d for one in hosts]).reshape(n, d)
    closed = HostWindow(rows, x, usual, np.array([one["windows"] for one in hosts], np.int32))
    scored = Scored(
        p_values=p_values,
        detector_p=np.stack([p_values, np.sqrt(p_values)], axis=1),
        detector_scores=np.stack([-np.log10(p_values), np.full(n, 0.5)], axis=1),
        detectors=("deviation", "half_space_trees"),
        feature_p=feature_p,
        expected=np.full(d, np.log1p(expected)),
        model=model,
    )
    return policy.judge(closed, scored, (START + seconds) * SECOND)


def a_policy(seed=1, **changes):
    return Policy(AlertSettings(**({"close_after_secs": 100.0} | changes)), seed, 10.0, community_id)
