"""The office as a fixture: built once a test file, taken down after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.network import Network, missing_tools, sh
from lab.office import office_network, start_servers
from lab.record import TOOLS


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Path]]:
    """Yield the built network, its servers running, and the folder that holds their files and the SSH key.

    Programs that listen to the mirror port are started with
    ``network.sensor.start(...)`` and end with the fixture at the latest.
    """
    if reason := missing_tools(*TOOLS):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("office")
    with office_network() as network:
        start_servers(network, folder)
        yield network, folder
        namespaces = {host.namespace for host in network.hosts.values()}
    assert not namespaces & set(sh("ip", "netns", "list").split())
    assert not [path for path in Path("/etc").glob("netns/*") if path.name in namespaces]
