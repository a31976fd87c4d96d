"""Put this folder on PYTHONPATH and a Python process, with all Python processes that it starts, talks to this machine
only:

    {**os.environ, "PYTHONPATH": "tests/support/blocked_network" (its full path), "LESSONLIB_NETWORK_LOG": "tried.log"}

Connections to other machines and look-ups of their names raise OSError, and each try is a line in the file that
LESSONLIB_NETWORK_LOG names: a test reads it, so that code which swallows the error is found out too. `tests/conftest.py`
loads the same file into the test process itself. It sees what goes through Python's `socket` module; a library with
sockets of its own (Rust, C++) passes by, which is why HF_HUB_OFFLINE=1 is set as well."""

import ipaddress
import os
import socket

_Socket = socket.socket
_connect, _connect_ex, _sendto = _Socket.connect, _Socket.connect_ex, _Socket.sendto
_look_ups = {name: getattr(socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")}


def is_local(host):
    """Whether a host name or address means this machine. Looks nothing up."""
    if host is None:
        return True
    host = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
    if host in ("", "localhost", socket.gethostname()) or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse(what):
    """Note the try and raise OSError."""
    log = os.environ.get("LESSONLIB_NETWORK_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")
    raise OSError(f"the network is blocked in this test: {what}")


def _guard(sock, address):
    if sock.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
        refuse(f"connect to {address[0]}:{address[1]}")


def connect(self, address):
    _guard(self, address)
    return _connect(self, address)


def connect_ex(self, address):
    _guard(self, address)
    return _connect_ex(self, address)


def sendto(self, data, *rest):
    _guard(self, rest[-1])
    return _sendto(self, data, *rest)


def _guarded(name):
    def look_up(host, *args, **kwargs):
        if not is_local(host):
            refuse(f"look up {host}")
        return _look_ups[name](host, *args, **kwargs)

    return look_up


_Socket.connect, _Socket.connect_ex, _Socket.sendto = connect, connect_ex, sendto
for _name in _look_ups:
    setattr(socket, _name, _guarded(_name))
