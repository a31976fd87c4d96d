"""The set-up's decisions, on a machine where venv and pip only pretend: made once, repaired, never half done."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lessonlib import cli, environment, packages
from lessonlib.packages import SetupError

from .conftest import PYPROJECT, Disk

ROOT = Path(__file__).resolve().parents[2]


def test_first_start_makes_the_environment_and_stamps_it_last(setup):
    assert setup.ensure() == setup.python
    assert setup.made == 1 and len(setup.pip_calls) == 1
    assert environment.current_stamp(setup.root) == environment.wanted_stamp(setup.root)
    assert setup.said[0].startswith("Setting up the course") and setup.said[-1].startswith("[3/3] ready")


def test_second_start_calls_no_pip_and_says_nothing(setup):
    setup.ensure()
    setup.said.clear()
    setup.ensure()
    assert setup.made == 1 and len(setup.pip_calls) == 1 and setup.said == []


@pytest.mark.parametrize("when", ["in venv", "in pip"])
def test_a_killed_set_up_is_repaired(setup, monkeypatch, when):
    def killed(*_):
        (setup.venv / "half").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if when == "in venv":
            patch.setattr(environment, "_make_venv", killed)
        else:
            patch.setattr(setup, "on_pip", killed)
        with pytest.raises(KeyboardInterrupt):
            setup.ensure()
    assert environment.current_stamp(setup.root) is None
    setup.ensure()
    assert environment.current_stamp(setup.root) == environment.wanted_stamp(setup.root)
    assert not (setup.venv / "half").exists(), "what a killed set-up left must be gone"
    assert not list(setup.root.glob(".venv.kept*")), "our own unfinished environment is not somebody's"


def test_a_broken_environment_is_made_again(setup):
    setup.ensure()
    setup.python.unlink()
    (setup.venv / "left").write_text("x")
    setup.ensure()
    assert setup.made == 2 and setup.python.exists() and not (setup.venv / "left").exists()


def test_new_pins_update_the_packages_in_place(setup):
    setup.ensure()
    (setup.venv / "mine").write_text("a package that the learner added")
    (setup.root / "constraints.txt").write_text("torch==2.14.0\n")
    setup.ensure()
    assert setup.made == 1 and len(setup.pip_calls) == 2 and (setup.venv / "mine").exists()


def test_an_update_that_fails_keeps_what_worked(setup):
    setup.ensure()
    old = environment.current_stamp(setup.root)
    (setup.root / "constraints.txt").write_text("torch==2.14.0\n")

    def offline():
        raise SetupError(packages.OFFLINE)

    setup.on_pip = offline
    with pytest.raises(SetupError, match="registry cannot be reached"):
        setup.ensure()
    assert environment.current_stamp(setup.root) == old
    setup.on_pip = lambda: None
    setup.ensure()
    assert setup.made == 1, "the environment was whole: it must not be thrown away"


@pytest.mark.parametrize(
    "text, counts",
    [
        (PYPROJECT.replace('repository = ""', 'repository = "https://example.org/a"'), False),
        (PYPROJECT + "[tool.ruff]\nline-length = 100\n", False),
        (PYPROJECT.replace("torch>=2.6", "torch>=2.7"), True),
        (PYPROJECT + "[tool.hatch.version]\npath = 'x'\n", True),
    ],
)
def test_only_what_chooses_packages_asks_for_a_new_set_up(setup, text, counts):
    before = environment.wanted_stamp(setup.root)
    (setup.root / "pyproject.toml").write_text(text)
    assert (environment.wanted_stamp(setup.root) != before) == counts


def test_somebody_elses_venv_is_kept(setup):
    for content in ("first", "second"):
        setup.venv.mkdir()
        (setup.venv / "theirs").write_text(content)
        setup.ensure()
        (setup.venv / environment.OURS).unlink()  # as if it were another's again
        (setup.venv / environment.STAMP).unlink()
        setup.python.unlink()
        setup.venv.rename(setup.root / f"done-{content}")
    assert (setup.root / ".venv.kept-1" / "theirs").read_text() == "first"
    assert (setup.root / ".venv.kept-2" / "theirs").read_text() == "second"


def test_a_linked_venv_is_kept_and_its_target_untouched(setup, tmp_path_factory):
    target = tmp_path_factory.mktemp("shared")
    (target / environment.OURS).write_text("ours, of another checkout")
    (target / "package").write_text("x")
    setup.venv.symlink_to(target, target_is_directory=True)
    setup.ensure()
    assert (target / "package").exists() and not setup.venv.is_symlink()


def test_no_disk(setup, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: Disk(10**9))
    with pytest.raises(SetupError, match=r"1\.0 GB free and the set-up may need \d GB"):
        setup.ensure()
    assert setup.made == 0


@pytest.mark.parametrize(
    "number, says",
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "cannot be written: use a copy"),
        (errno.EIO, "stopped .*: start again"),
    ],
)
def test_errors_of_the_file_system_are_one_sentence(setup, number, says):
    def fail():
        raise OSError(number, os.strerror(number), "some/file")

    setup.on_pip = fail
    with pytest.raises(SetupError, match=says) as raised:
        setup.ensure()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "words, says",
    [
        (
            "ensurepip is not available. apt install python3.11-venv",
            r"lacks the venv module: install it \(Debian: sudo apt",
        ),
        ("/usr/bin/python3: No module named venv", "lacks the venv module"),
        ("Error: [Errno 28] No space left on device", "disk is full"),
        ("", "no reason given"),
    ],
)
def test_a_python_that_cannot_make_environments(course, monkeypatch, words, says):
    done = subprocess.CompletedProcess([], 1, words, "")
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(SetupError, match=says):
        environment._make_venv(course / ".venv")


def test_whether_an_environment_works_is_asked_of_its_python(tmp_path):
    python = Path(sys.executable)
    assert environment._works(ROOT, python)
    assert not environment._works(tmp_path, python), "lessonlib of another checkout is not this course's"
    assert not environment._works(ROOT, tmp_path / "none" / "python")
    unfit = tmp_path / "unfit"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(unfit)], check=True)
    assert not environment._works(ROOT, unfit / "bin" / "python"), "an empty environment lacks the packages"


def test_two_starts_at_once_make_one_environment(setup):
    """A second process holds the lock: this one waits, then finds the work done and does none."""
    setup.ensure()
    stamp = environment.wanted_stamp(setup.root)
    (setup.venv / environment.STAMP).unlink()
    code = f"""
        import sys, time
        from pathlib import Path
        from lessonlib import environment
        root = Path({str(setup.root)!r})
        with environment._lock(root, print):
            print("held", flush=True)
            sys.stdin.readline()
            environment._write_stamp(root / ".venv", {stamp!r})
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    said = setup.say

    def say(text="", **options):
        said(text, **options)
        if text.startswith("Another start"):
            other.stdin.write("go on\n")
            other.stdin.flush()

    setup.say = say
    setup.ensure()
    assert other.wait(timeout=30) == 0
    assert setup.said[-1].startswith("Another start") and len(setup.pip_calls) == 1


def test_a_lock_left_by_a_killed_start_holds_nobody_up(setup):
    lock = setup.root / ".lessonlib" / "setup.lock"
    lock.parent.mkdir()
    lock.write_text("4242")
    setup.ensure()
    assert not [line for line in setup.said if line.startswith("Another start")]


def test_pip_keeps_the_lock_when_its_parent_is_killed(course):
    """The next start must not remove an environment into which an orphaned pip is still writing."""
    with (course / "lock").open("a+b") as first, (course / "lock").open("a+b") as second:
        assert environment._try_lock(first)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[first.fileno()])
        first.close()
        assert not environment._try_lock(second)
        child.communicate(b"\n")
        assert environment._try_lock(second)


# --- which Python runs the command


@pytest.fixture
def dispatched(monkeypatch):
    """What run_in_environment hands over to: ("here", argv) or ("exec", command)."""
    seen = []

    def replace(python, command):
        seen.append(("exec", command))
        sys.exit(0)  # the real one never comes back

    monkeypatch.setattr(cli, "main", lambda argv: seen.append(("here", argv)) or 0)
    monkeypatch.setattr(environment.os, "execv", replace)
    monkeypatch.delenv("LESSONLIB_ENV", raising=False)
    return seen


def test_a_bare_python_hands_over_to_the_environment(setup, dispatched, monkeypatch):
    monkeypatch.chdir(setup.root)
    with pytest.raises(SystemExit):
        environment.run_in_environment(["build", "05"])
    assert dispatched == [("exec", [str(setup.python), "-m", "lessonlib", "build", "05"])]


def test_the_environment_itself_runs_the_command(setup, dispatched, monkeypatch):
    setup.ensure()
    monkeypatch.chdir(setup.root)
    monkeypatch.setattr(environment.sys, "prefix", str(setup.venv))
    assert environment.run_in_environment(["build"]) == 0
    assert dispatched == [("here", ["build"])] and len(setup.pip_calls) == 1


def test_an_activated_but_old_environment_is_renewed_by_the_python_it_came_from(
    setup, dispatched, monkeypatch, tmp_path
):
    setup.ensure()
    (setup.root / "constraints.txt").write_text("torch==2.14.0\n")
    base = tmp_path / "base-python"
    base.touch()
    monkeypatch.chdir(setup.root)
    monkeypatch.setattr(environment.sys, "prefix", str(setup.venv))
    monkeypatch.setattr(environment.sys, "_base_executable", str(base))
    with pytest.raises(SystemExit):
        environment.run_in_environment(["build"])
    assert dispatched == [("exec", [str(base), "-m", "lessonlib", "build"])] and len(setup.pip_calls) == 1


def test_binder_and_containers_use_what_they_have(setup, dispatched, monkeypatch):
    monkeypatch.chdir(setup.root)
    monkeypatch.setenv("LESSONLIB_ENV", "current")
    assert environment.run_in_environment(["build"]) == 0
    assert dispatched == [("here", ["build"])] and setup.made == 0


def test_outside_a_checkout(dispatched, monkeypatch):
    monkeypatch.setattr(environment, "course_root", lambda: None)
    with pytest.raises(SetupError, match="not a checkout of the course: change into its folder"):
        environment.run_in_environment(["build"])
    assert dispatched == []
