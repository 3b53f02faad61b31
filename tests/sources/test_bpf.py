from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from sensor.errors import ConfigError
from sensor.sources.bpf import compile_filter, keep_all


def test_an_empty_expression_keeps_everything_up_to_the_snapshot_length():
    assert compile_filter(" ", 1, 96).tolist() == [(6, 0, 0, 96)]
    assert keep_all(0).tolist() == [(6, 0, 0, 0)]


def test_the_snapshot_length_is_what_a_match_returns():
    program = compile_filter("tcp port 80", 1, 100)
    assert {row["k"].item() for row in program if row["code"] == 6} == {0, 100}


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")
@pytest.mark.parametrize("expression", ["tcp port 80 or arp", "ip6 host fd77::1 or host 200.0.0.1"])
def test_equals_what_tcpdump_compiles(expression):
    text = subprocess.run(
        ["tcpdump", "-ddd", "-y", "EN10MB", "-s", "65535", expression],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    expected = [tuple(map(int, line.split())) for line in text.splitlines()[1:]]
    if not expected:
        pytest.skip("tcpdump compiles nothing here")
    assert compile_filter(expression, 1, 65535).tolist() == expected


@pytest.mark.parametrize("expression", ["tcp prot 80", "host", "(", "ether[0", "vlan 5", "tcp and vlan"])
def test_a_bad_expression_is_named(expression):
    with pytest.raises(ConfigError) as error:
        compile_filter(expression, 1)
    assert repr(expression) in str(error.value)


def test_raw_ip_frames_have_their_own_offsets():
    assert compile_filter("ip", 101, 50).tolist() != compile_filter("ip", 1, 50).tolist()


def test_a_missing_libpcap_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "scapy.libs.winpcapy", None)
    with pytest.raises(ConfigError, match=r"libpcap0\.8"):
        compile_filter("ip", 1)


def test_scapy_is_not_imported_without_an_expression():
    code = (
        "import sys, sensor.sources.af_packet, sensor.sources.bpf as bpf\n"
        "bpf.compile_filter('', 1, 9)\n"
        "print('scapy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
