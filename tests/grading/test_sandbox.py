"""The walls, seen from inside and as a program for the kernel."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys

import pytest

from lessonlib.grading import sandbox, seccomp

needs_sandbox = pytest.mark.sandbox
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, EACCES, ENOMEM = (0x50000 | e for e in (errno.EPERM, errno.ENOSYS, errno.EACCES, errno.ENOMEM))


def verdict(machine: str, call: int, *arguments: int, arch: int | None = None) -> int:
    """Run the filter as the kernel does (the few instructions that it uses)."""
    code = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    words = [call, arch or seccomp.MACHINES[machine][1], 0, 0]
    for value in (*arguments, *[0] * 6)[:6]:
        words += [value & 0xFFFFFFFF, value >> 32]
    at = accumulator = 0
    while True:
        kind, yes, no, k = code[at]
        at += 1
        if kind == 0x20:
            accumulator = words[k // 4]
        elif kind == 0x54:
            accumulator &= k
        elif kind in (0x15, 0x35):
            at += yes if (accumulator == k if kind == 0x15 else accumulator >= k) else no
        else:
            return k


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_the_filter(machine):
    column = seccomp.MACHINES[machine][0]

    def number(name):
        return (seccomp.CALLS | seccomp.CHECKED)[name][column]

    for name in seccomp.CALLS:
        if number(name) is not None:
            assert verdict(machine, number(name)) == EPERM, name
    assert verdict(machine, number("clone"), 17) == ALLOW  # fork
    for flag in (0x20000, 0x10000000, 0x20000000, 0x40000000, 0x80, 0x02000000, 0x04000000, 0x08000000):
        assert verdict(machine, number("clone"), flag | 17) == EPERM
    assert verdict(machine, number("clone3")) == ENOSYS
    assert verdict(machine, number("socket"), 1) == ALLOW
    assert {verdict(machine, number("socket"), family) for family in (0, 2, 10, 16, 17, 40)} == {EACCES}
    assert verdict(machine, number("mmap"), 0, 4096, 3, 0x22) == ALLOW  # private and anonymous
    assert verdict(machine, number("mmap"), 0, 4096, 3, 0x1) == ALLOW  # shared, of a file
    assert verdict(machine, number("mmap"), 0, 4096, 3, 0x21) == ENOMEM
    assert verdict(machine, number("mmap"), 0, 4096, 3, 0x122) == ENOMEM  # grows downwards, like a stack
    assert verdict(machine, number("mmap"), 0, 4096, 3, 0x20022) == ALLOW  # the C library's mark for a thread's stack
    assert verdict(machine, number("socketpair"), 1) == ALLOW and verdict(machine, number("socketpair"), 30) == EACCES
    assert verdict(machine, number("ioctl"), 0, 0x5412) == verdict(machine, number("ioctl"), 0, 0x541C) == EPERM
    assert verdict(machine, number("ioctl"), 0, 0x5401) == ALLOW
    assert verdict(machine, 1 if machine == "x86_64" else 64) == ALLOW  # write
    assert verdict(machine, 1, arch=0x40000003) == KILL  # the 32-bit calls have other numbers
    if machine == "x86_64":
        assert verdict(machine, 0x40000000 | 1) == ENOSYS


def test_the_numbers_are_distinct():
    for column in range(2):
        known = [n[column] for n in (seccomp.CALLS | seccomp.CHECKED).values() if n[column] is not None]
        assert len(known) == len(set(known))


def test_other_machines_have_no_filter():
    with pytest.raises(ValueError, match="riscv64"):
        seccomp.program("riscv64")


HEADER = next(
    (p for p in ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h") if os.path.exists(p)),
    "",
)


@pytest.mark.skipif(not HEADER, reason="no kernel headers")
def test_the_numbers_of_x86_64_are_those_of_the_kernels_headers():
    lines = [line.split() for line in open(HEADER, encoding="ascii")]
    there = {w[1].removeprefix("__NR_"): int(w[2]) for w in lines if len(w) == 3 and w[1].startswith("__NR_")}
    ours = {name: numbers[0] for name, numbers in (seccomp.CALLS | seccomp.CHECKED).items() if name in there}
    assert ours == {name: there[name] for name in ours} and len(ours) > 50


@pytest.mark.skipif(not os.path.exists("/usr/include/asm-generic/unistd.h"), reason="no headers")
def test_the_numbers_of_arm64_are_the_generic_ones():
    lines = [line.split() for line in open("/usr/include/asm-generic/unistd.h", encoding="ascii")]
    there = {}
    for words in lines:
        if len(words) >= 3 and words[0] == "#define" and words[2].isdigit():
            there[words[1].removeprefix("__NR3264_").removeprefix("__NR_")] = int(words[2])
    ours = {name: numbers[1] for name, numbers in (seccomp.CALLS | seccomp.CHECKED).items() if numbers[1] is not None}
    ours = {name: number for name, number in ours.items() if name in there}
    assert ours == {name: there[name] for name in ours} and len(ours) > 50


@needs_sandbox
def test_what_the_servers_sandbox_shows():
    code = (
        "import os, lessonlib, sys; print(sorted(os.listdir('/')));"
        "root = os.path.dirname(os.path.dirname(lessonlib.__file__)); print(os.listdir(root) if root != '/usr' else []);"
        "print(sorted(os.environ)); print(os.path.exists('/etc/passwd'), os.path.exists('/etc/shadow'))"
    )
    done = subprocess.run(
        sandbox.command([sys.executable, "-c", code]),
        capture_output=True,
        text=True,
        env={**os.environ, "A_SECRET": "1"},
    )
    assert done.returncode == 0, done.stderr
    top, beside, environment, accounts = done.stdout.splitlines()
    assert "solutions" not in beside and "tests" not in beside and "A_SECRET" not in environment
    assert accounts == "False False" and "'home'" not in top or "home" in sys.prefix


def test_check_machine_names_what_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = {f.name: f for f in sandbox.check_machine()}
    assert not found["bubblewrap"].ok and "apt-get install bubblewrap" in found["bubblewrap"].fix
    assert "namespaces" not in found  # not tried without it
    with pytest.raises(RuntimeError, match="bubblewrap"):
        sandbox.command(["true"])


def test_check_machine_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    found = {f.name: f for f in sandbox.check_machine()}
    assert not found["operating system"].ok and "Linux" in found["operating system"].fix


def test_a_sandbox_that_does_not_start_says_why(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = {f.name: f for f in sandbox.check_machine()}
    assert not found["namespaces"].ok and "No permissions" in found["namespaces"].says and found["namespaces"].fix
