"""What one window says of its hosts: the data that models and alerts read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import record_dtype

#: Who a host row is about, and what an alert says of it beside the features.
HOST_ROW = record_dtype(
    [
        ("hi", np.uint64),
        ("lo", np.uint64),
        ("mac", np.uint64),
        ("peer_out_hi", np.uint64),  # whom it sent to most
        ("peer_out_lo", np.uint64),
        ("peer_in_hi", np.uint64),  # who sent to it most
        ("peer_in_lo", np.uint64),
        ("out_hi", np.uint64),  # whom the latest flow it opened went to
        ("out_lo", np.uint64),
        ("in_hi", np.uint64),  # whom the latest flow it received came from
        ("in_lo", np.uint64),
        ("slot", np.int64),
        ("packets_out", np.int64),
        ("packets_in", np.int64),
        ("bytes_out", np.int64),
        ("bytes_in", np.int64),
        ("peer_out_share", np.float64),  # at least this share of what it sent went there
        ("peer_in_share", np.float64),
        ("port_in_share", np.float64),
        ("flows_out", np.int64),  # estimates while flows are shed
        ("flows_in", np.int64),
        ("port_out", np.uint16),
        ("port_in", np.uint16),
        ("vlan", np.uint16),
        ("out_src_port", np.uint16),
        ("out_dst_port", np.uint16),
        ("in_src_port", np.uint16),
        ("in_dst_port", np.uint16),
        ("out_protocol", np.uint8),
        ("in_protocol", np.uint8),
        ("ip_version", np.uint8),
        ("teaches", np.uint8),  # 1: sent and received in this window, and is known to be real
    ]
)

HostRows = npt.NDArray[np.void]


class HostWindow(NamedTuple):
    """The hosts active in one window.

    Parameters
    ----------
    rows
        `HOST_ROW`, shape (n,).
    x
        float64, shape (n, features): log(1 + value), the order of `HOST_FEATURES`.
    usual
        float64, shape (n, features): the upper limit of what is usual for that
        host, in the same scale; 0 without history, and where the value does not
        exceed its feature's floor, so that no limit matters.
    windows
        int32, shape (n,): in how many windows the host was judged normal so far.
    """

    rows: HostRows
    x: npt.NDArray[np.float64]
    usual: npt.NDArray[np.float64]
    windows: npt.NDArray[np.int32]
