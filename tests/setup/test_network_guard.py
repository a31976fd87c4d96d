"""The guard behind "no lesson opens a connection to another machine" sees what it must see."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

BLOCKED = Path(__file__).resolve().parents[1] / "support" / "blocked_network"
TRIES = {
    "a name": "socket.create_connection(('example.org', 443), timeout=1)",
    "an address": "socket.create_connection(('192.0.2.1', 443), timeout=1)",
    "an IPv6 address": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))",
    "connect_ex": "socket.socket().connect_ex(('192.0.2.1', 443))",
    "a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "a look-up": "socket.gethostbyname('example.org')",
    "asyncio": "import asyncio; asyncio.run(asyncio.open_connection('192.0.2.1', 443))",
    "urllib": "import urllib.request; urllib.request.urlopen('http://example.org')",
    "a grandchild": "import subprocess, sys; subprocess.run("
    "[sys.executable, '-c', 'import socket; socket.create_connection((\"192.0.2.1\", 1))'], check=True)",
}


def guarded(code: str, log: Path) -> subprocess.CompletedProcess:
    """Run code in a process with the guard."""
    environment = {**os.environ, "PYTHONPATH": str(BLOCKED), "LESSONLIB_NETWORK_LOG": str(log)}
    for name in [n for n in environment if n.lower().endswith("_proxy")]:
        del environment[name]
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", TRIES)
def test_another_machine_is_out_of_reach_and_the_try_is_noted(name, tmp_path):
    log = tmp_path / "log"
    done = guarded(f"import socket\n{TRIES[name]}", log)
    assert done.returncode != 0 and "the network is blocked in this test" in done.stderr, done.stderr
    assert len(log.read_text().splitlines()) == 1


def test_a_swallowed_error_is_in_the_log(tmp_path):
    log = tmp_path / "log"
    code = "import socket\ntry:\n    socket.create_connection(('example.org', 1))\nexcept OSError:\n    pass"
    assert guarded(code, log).returncode == 0
    assert log.read_text() == "look up example.org\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_in_reach(tmp_path, host):
    log = tmp_path / "log"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        done = guarded(f"import socket; socket.create_connection(({host!r}, {server.getsockname()[1]})).close()", log)
    assert done.returncode == 0, done.stderr
    assert not log.exists()


def test_a_kernel_is_guarded_too(tmp_path):
    """As gate 5 uses it: through the environment of a notebook's kernel."""
    import nbformat

    from lessonlib.course.execute import execute

    log = tmp_path / "log"
    cells = [nbformat.v4.new_code_cell("import socket\nsocket.create_connection(('example.org', 1))")]
    made = nbformat.v4.new_notebook(cells=cells)
    execute(made, allow_errors=True, extra={"PYTHONPATH": str(BLOCKED), "LESSONLIB_NETWORK_LOG": str(log)})
    assert made.cells[0].outputs[0].ename == "OSError" and log.read_text() == "look up example.org\n"


def test_the_test_process_is_guarded():
    with pytest.raises(OSError, match="the network is blocked in this test"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://example.org", timeout=1)


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.8.8.8", True), ("::1", True), (b"localhost", True), ("a.localhost", True), ("", True), (None, True),
        ("0.0.0.0", True), ("10.0.0.1", False), ("192.168.0.1", False), ("8.8.8.8", False), ("fe80::1%eth0", False),
        ("localhost.example.org", False), ("example.org", False),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(network_guard, host, local):
    assert network_guard.is_local(host) == local
