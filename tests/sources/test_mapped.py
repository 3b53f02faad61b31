import os
from pathlib import Path

import psutil
import pytest

from sensor.sources.mapped import RELEASE_BYTES, MappedWindow

FILE_BYTES = 5 * RELEASE_BYTES


@pytest.fixture
def window(tmp_path: Path):
    path = tmp_path / "large"
    piece = os.urandom(1 << 20)
    with path.open("wb") as out:
        for _ in range(FILE_BYTES // len(piece)):
            out.write(piece)
    window = MappedWindow(os.open(path, os.O_RDONLY), FILE_BYTES)
    yield window
    window.close()


def test_pages_behind_the_position_are_given_back(window):
    process = psutil.Process()
    before = process.memory_info().rss
    most = 0
    step = 1 << 20
    while window.position < FILE_BYTES:
        window.settle()
        assert window.data[window.position : window.position + step].max() == 255
        window.position += step
        most = max(most, process.memory_info().rss - before)
    assert most < 2 * RELEASE_BYTES
    assert window.data[:step].max() == 255  # given back, not gone


def test_all_bytes_are_there_from_the_start(window):
    assert window.stop == FILE_BYTES
    assert not window.more(100)
    window.position = 77
    assert window.offset == window.consumed == 77


def test_the_map_outlives_the_window(window):
    data = window.data
    window.close()
    window.close()
    assert data[:100].size == 100
