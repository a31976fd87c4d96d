"""The course's own Python environment: made once, repaired when a set-up was killed, found at once afterwards.

Standard library only. The stamp inside `.venv` is written last, so whatever has no stamp is unfinished. One set-up
runs at a time: a lock of the operating system, which pip holds too, so that not even a killed start leaves two."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

from . import packages
from .packages import SetupError
from .paths import course_root

STAMP, OURS = "lessonlib.stamp", "lessonlib.made"
FULL_BYTES = {True: 4 * 10**9, False: 9 * 10**9}  # CPU torch: 1.6 GB measured; else CUDA libraries; plus pip's cache
NEEDED = ("pip", "torch", "transformers", "jupyterlab", "nbgrader", "pytest")
# Prints where lessonlib is found, when every package of the list given is there.
PROBE = """
import sys
from importlib.util import find_spec
print(find_spec("lessonlib").origin if all(map(find_spec, sys.argv[1:])) else "")
"""


def run_in_environment(argv: list[str]) -> int:
    """Run the command line in the course's environment, making it first when it is not there."""
    from . import cli

    problem = cli.problem_with(argv)
    if problem is not None:
        return problem
    if os.environ.get("LESSONLIB_ENV") == "current":  # Binder and containers bring all packages
        return cli.main(argv)
    root = course_root()
    if root is None:
        raise SetupError("this is not a checkout of the course: change into its folder (the one with pyproject.toml).")
    inside = Path(sys.prefix).resolve() == (root / ".venv").resolve()
    if inside and current_stamp(root) == wanted_stamp(root):
        return cli.main(argv)
    if inside:  # it cannot rebuild itself: the Python that it was made from does
        python = Path(getattr(sys, "_base_executable", sys.executable))
        if python == Path(sys.executable) or not python.exists():
            raise SetupError("the environment is out of date: leave it (deactivate) and start again with python3.")
    else:
        python = ensure(root)
    command = [str(python), "-m", "lessonlib", *argv]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(python, command)
    return subprocess.call(command)


def ensure(root: Path, say=print) -> Path:
    """The Python of `root`/.venv, after making or repairing the environment where it is missing, old or broken."""
    venv = root / ".venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if _usable(root, python):
        return python
    started = time.monotonic()
    try:
        with _lock(root, say) as lock:
            if _usable(root, python):  # another start finished it while this one waited
                return python
            _prepare(root, venv, python, say)
            old = current_stamp(root)
            (venv / STAMP).unlink(missing_ok=True)
            try:
                packages.install(root, python, say, lock)
            except SetupError:
                if old is not None and _works(root, python):  # pip changed nothing: keep what worked before
                    _write_stamp(venv, old)
                raise
            _write_stamp(venv, wanted_stamp(root))
            say(f"[3/3] ready after {time.monotonic() - started:.0f} s", flush=True)
    except OSError as error:
        raise SetupError(_explain(error, root)) from error
    return python


def wanted_stamp(root: Path) -> str:
    """A hash of what the environment is made from: constraints.txt and those tables of pyproject.toml that choose
    packages. Other settings there (an address, a linter's rules) ask for no new set-up."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    hatch = project.get("tool", {}).get("hatch", {})
    chosen = json.dumps([project.get("build-system"), project.get("project"), hatch], sort_keys=True)
    return hashlib.sha256(chosen.encode() + (root / "constraints.txt").read_bytes()).hexdigest()


def current_stamp(root: Path) -> str | None:
    """The stamp of the environment that is there, or None."""
    try:
        return (root / ".venv" / STAMP).read_text(encoding="utf-8")
    except OSError:
        return None


def _usable(root: Path, python: Path) -> bool:
    return current_stamp(root) == wanted_stamp(root) and _works(root, python)


def _works(root: Path, python: Path) -> bool:
    """Whether this Python starts, finds the main packages, and finds lessonlib in this checkout, not in another one
    (a moved or copied course)."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", PROBE, *NEEDED], cwd=root, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:  # a busy machine is no reason to throw an environment away
        return True
    except OSError:
        return False
    found = done.stdout.strip()
    return bool(found) and done.returncode == 0 and Path(found).resolve().is_relative_to(root.resolve())


def _prepare(root: Path, venv: Path, python: Path, say) -> None:
    """An environment of ours with a working pip: new, or the present one where only packages change."""
    if venv.is_symlink() or (venv.exists() and not (venv / OURS).exists()):
        _put_aside(venv, say)
    if venv.exists() and current_stamp(root) is not None and _works(root, python):
        say("Bringing the course's packages up to date.", flush=True)
        return
    say("Setting up the course (once; a few minutes).", flush=True)
    if venv.exists():
        say("[1/3] removing an unfinished or broken environment", flush=True)
        (venv / STAMP).unlink(missing_ok=True)
        for entry in venv.iterdir():  # the mark that it is ours goes last
            if entry.name != OURS:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    _check_disk(root)
    say("[1/3] making .venv", flush=True)
    venv.mkdir(exist_ok=True)
    (venv / OURS).write_text("Made by python3 -m lessonlib; may be deleted.\n", encoding="utf-8")
    _make_venv(venv)


def _make_venv(venv: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if not made.returncode:
        return
    words = (made.stdout + made.stderr).strip()
    if "ensurepip" in words or "No module named" in words:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise SetupError(f"this Python lacks the venv module: install it (Debian: sudo apt install {package}).")
    if "No space left" in words:
        raise SetupError("the disk is full: free some gigabytes and start again.")
    raise SetupError(f"the environment could not be made: {words.splitlines()[-1] if words else 'no reason given'}.")


def _put_aside(venv: Path, say) -> None:
    """An environment that we did not make is somebody's: keep it under another name."""
    number = 1
    while (kept := venv.with_name(f"{venv.name}.kept-{number}")).exists():
        number += 1
    venv.rename(kept)
    say(f"[1/3] .venv was not made by lessonlib: it is kept as {kept.name}", flush=True)


def _check_disk(root: Path) -> None:
    free, needed = shutil.disk_usage(root).free, FULL_BYTES[not packages.has_nvidia()]
    if free < needed:
        raise SetupError(
            f"the disk has {free / 1e9:.1f} GB free and the set-up may need {needed / 1e9:.0f} GB: "
            "free some space and start again."
        )


def _explain(error: OSError, root: Path) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full: free some gigabytes and start again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or root} cannot be written: use a copy of the course in a folder of your own."
    return f"the set-up stopped ({error}): start again."


def _write_stamp(venv: Path, stamp: str) -> None:
    partial = venv / (STAMP + ".part")
    partial.write_text(stamp, encoding="utf-8")
    partial.replace(venv / STAMP)


@contextmanager
def _lock(root: Path, say):
    """One set-up at a time; yields the open lock file. The operating system frees it when its last holder ends."""
    path = root / ".lessonlib" / "setup.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+b") as file:
        if not _try_lock(file):
            say("Another start is setting up the course: waiting for it.", flush=True)
            while not _try_lock(file):
                time.sleep(0.5)
        yield file


def _try_lock(file) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks (some network folders) must not stop a lone learner.
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)
    return True
