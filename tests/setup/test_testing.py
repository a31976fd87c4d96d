"""`lessonlib test`: what pytest is told, and what happens to tests whose program is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from lessonlib import testing

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = testing.Tool(("no-such-program-a", "no-such-program-b"), "no-such-package", "browser")


def arguments(*argv):
    options, rest = testing.parser().parse_known_args(argv)
    return testing.pytest_arguments(ROOT, options, rest)


@pytest.mark.parametrize(
    "argv, told",
    [
        ([], ["-n", "2", "--dist", "loadfile"]),
        (["--lesson", "05"], ["-m", "l05"]),
        (["--lesson", "5"], ["-m", "l05"]),
        (["--lesson", "05_kv_cache"], ["-m", "l05"]),
        (["-k", "bytes"], ["-k", "bytes"]),
        (["--lesson", "0", "-m", "not slow", "-x"], ["-x", "-m", "(not slow) and l00"]),
        (["tests/calc", "-x", "--durations=3"], ["tests/calc", "-x", "--durations=3"]),
    ],
)
def test_what_pytest_is_told(argv, told):
    assert arguments(*argv) == told


def test_an_unknown_lesson_is_named_with_those_there_are(capsys):
    assert testing.main(["--lesson", "42"]) == 2
    assert "there is no lesson '42'; there are 00, " in capsys.readouterr().err


def test_the_status_is_pytests(monkeypatch):
    calls = []
    monkeypatch.setattr(testing, "provide", lambda tools: [])
    monkeypatch.setattr(testing.subprocess, "call", lambda command, cwd: calls.append((command, cwd)) or 5)
    assert testing.main(["-k", "x"]) == 5
    assert calls == [([sys.executable, "-m", "pytest", "-k", "x"], ROOT)]


@pytest.fixture
def apt(monkeypatch):
    """An apt-get that is asked by root; returns its calls and the status it gives, in order."""
    calls, statuses = [], []
    monkeypatch.setattr(testing.os, "geteuid", lambda: 0)
    monkeypatch.setattr(testing.shutil, "which", lambda name: "apt-get" if name == "apt-get" else None)

    def call(command, env, **_):
        assert env["DEBIAN_FRONTEND"] == "noninteractive"
        calls.append(command[2:])
        return statuses.pop(0)

    monkeypatch.setattr(testing.subprocess, "call", call)
    return calls, statuses


def test_root_gets_missing_packages(apt):
    calls, statuses = apt
    statuses += [0]
    testing.provide([NOWHERE])
    assert calls == [["install", "-y", "no-such-package"]]


def test_lists_are_fetched_once_when_apt_does_not_know_the_package(apt, capsys):
    calls, statuses = apt
    statuses += [100, 0, 100]
    assert testing.provide([NOWHERE]) == [NOWHERE]
    assert [call[0] for call in calls] == ["install", "update", "install"]
    assert "could not install them (status 100)" in capsys.readouterr().err


def test_others_than_root_install_nothing(apt, monkeypatch):
    monkeypatch.setattr(testing.os, "geteuid", lambda: 1000)
    assert testing.provide([NOWHERE]) == [NOWHERE] and apt[0] == []


def test_what_is_there_is_not_installed(apt, monkeypatch):
    monkeypatch.setattr(testing.shutil, "which", lambda name: f"/bin/{name}")
    assert testing.provide(testing.TOOLS) == [] and apt[0] == []


@pytest.mark.parametrize("value, strict", [("true", True), ("1", True), ("", False), ("false", False), ("0", False)])
def test_ci_is_strict(monkeypatch, value, strict):
    monkeypatch.setenv("CI", value)
    assert testing.strict() == strict


PROBE = """
import pytest

@pytest.mark.browser
def test_needs_it():
    pass

def test_needs_nothing():
    pass
"""


@pytest.mark.parametrize("ci", ["", "true"])
def test_tests_whose_program_is_missing(tmp_path, ci):
    """The real conftest in a run of its own, with a table in which the program is missing."""
    (tmp_path / "test_probe.py").write_text(PROBE)
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from lessonlib import testing\n"
        "testing.TOOLS = (testing.Tool(('no-such-program',), 'no-such-package', 'browser'),)\n"
        "from tests.conftest import *\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / "pyproject.toml"),
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}"], capture_output=True, text=True, env={**testing.os.environ, "CI": ci}
    )
    line = "sudo apt-get install no-such-package"
    assert line in done.stdout, done.stdout + done.stderr
    if ci:
        assert done.returncode == 1 and "1 passed, 1 error" in done.stdout
    else:
        assert done.returncode == 0 and "1 passed, 1 skipped" in done.stdout
        loud = done.stdout.split("LEFT OUT")[1]
        assert "test_probe.py::test_needs_it" in loud and line in loud
