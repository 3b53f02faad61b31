import os
from pathlib import Path

import psutil

from sensor.sources.mapped import RELEASE_BYTES, MappedWindow

STEP = 1 << 20


def mapped(path: Path, steps: int) -> MappedWindow:
    piece = os.urandom(STEP)
    with path.open("wb") as out:
        for _ in range(steps):
            out.write(piece)
    return MappedWindow(os.open(path, os.O_RDONLY), steps * STEP)


def test_pages_behind_the_position_are_given_back(tmp_path):
    window = mapped(tmp_path / "large", 4 * RELEASE_BYTES // STEP)
    process = psutil.Process()
    before = process.memory_info().rss
    most = 0
    while window.position < window.stop:
        window.settle()
        assert window.data[window.position : window.position + STEP].max() == 255
        window.position += STEP
        most = max(most, process.memory_info().rss - before)
    assert most < 2 * RELEASE_BYTES
    assert window.data[:STEP].max() == 255  # given back, not gone
    window.close()


def test_all_bytes_are_there_from_the_start(tmp_path):
    window = mapped(tmp_path / "small", 1)
    assert window.stop == STEP
    assert not window.more(100)
    window.position = 77
    assert window.offset == window.consumed == 77
    window.close()


def test_the_map_outlives_the_window(tmp_path):
    window = mapped(tmp_path / "small", 1)
    data = window.data
    window.close()
    window.close()
    assert data.max() == 255
