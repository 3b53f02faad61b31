"""What file sources count: one row that the kernels add to, and the link types seen."""

from __future__ import annotations

import numpy as np

#: Plain counters; each name is what `counters()` shows.
TALLY = np.dtype(
    [
        ("files", np.int64),  # opened or tried
        ("files_damaged", np.int64),  # with an entry in `warnings`
        ("packets", np.int64),
        ("bytes", np.int64),  # captured bytes of those packets
        ("wirelen_raised", np.int64),  # claimed fewer bytes on the wire than were captured
        ("timestamps_clamped", np.int64),  # before 1970 or after the year 2116
        ("frames_without_time", np.int64),  # simple packet blocks: given the last time seen
        ("frames_without_interface", np.int64),  # dropped: interface not described, or beyond the cap
        ("frames_dropped", np.int64),  # by the interface or the capturing system, as the capture says
        ("sections", np.int64),  # pcapng sections
        ("interfaces", np.int64),  # described, a classic capture being one
        ("interfaces_ignored", np.int64),  # beyond the cap
        ("blocks_skipped_name_resolution", np.int64),
        ("blocks_skipped_statistics", np.int64),
        ("blocks_skipped_secrets", np.int64),
        ("blocks_skipped_custom", np.int64),
        ("blocks_skipped_other", np.int64),
    ]
)

#: Link types counted by number; a file can name 65,536 of them.
_LINK_TYPES_CAP = 64


class Tally:
    """Counters of one source.

    Attributes
    ----------
    rows
        `TALLY`, shape (1,): what kernels write to.
    """

    def __init__(self) -> None:
        self.rows = np.zeros(1, TALLY)
        self._link_types: dict[int, int] = {}
        self._link_types_other = 0

    def add(self, name: str, count: int = 1) -> None:
        """Add to one counter."""
        self.rows[name][0] += count

    def add_interface(self, link_type: int) -> None:
        """Count a described interface and its LINKTYPE_* number."""
        self.add("interfaces")
        if link_type in self._link_types or len(self._link_types) < _LINK_TYPES_CAP:
            self._link_types[link_type] = self._link_types.get(link_type, 0) + 1
        else:
            self._link_types_other += 1

    def counters(self) -> dict[str, int]:
        """Return all counters; `link_type_<n>` is the number of interfaces of that type."""
        row = self.rows[0]
        counts = {name: int(row[name]) for name in TALLY.names or ()}
        counts["blocks_skipped"] = sum(n for name, n in counts.items() if name.startswith("blocks_skipped_"))
        for link_type, count in sorted(self._link_types.copy().items()):
            counts[f"link_type_{link_type}"] = count
        if self._link_types_other:
            counts["link_type_other"] = self._link_types_other
        return counts
