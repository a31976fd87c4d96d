"""The course's own Python environment: made once, repaired when a set-up was killed, found at once afterwards.

Standard library only. The stamp inside `.venv` is written last, so whatever has no stamp is unfinished."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from .paths import course_root

STAMP, OURS = "lessonlib.stamp", "lessonlib.made"
NEEDED_BYTES = 4 * 10**9  # 1.6 GB measured on Linux with CPU wheels; room for pip's cache and a larger torch
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
EXTRAS = ".[lab,dev]"


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do, in a sentence."""


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
    if Path(sys.prefix).resolve() == (root / ".venv").resolve():
        if current_stamp(root) == wanted_stamp(root):
            return cli.main(argv)
        # The environment cannot replace itself: let the Python it was made from do it.
        base = Path(getattr(sys, "_base_executable", sys.executable))
        raise SetupError(f"the environment is out of date: run {base} -m lessonlib {' '.join(argv)}.")
    python = ensure(root)
    command = [str(python), "-m", "lessonlib", *argv]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(python, command)
    return subprocess.call(command)


def ensure(root: Path, say=print) -> Path:
    """The Python of `root`/.venv, after making or repairing the environment where its stamp is missing or old."""
    venv = root / ".venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if _usable(root, python):
        return python
    with _lock(root, say):
        if _usable(root, python):  # another start finished it while this one waited
            return python
        say("Setting up the course (once; a few minutes).", flush=True)
        _check_disk(root)
        if venv.exists() and not (venv / OURS).exists():
            _put_aside(venv, say)
        if venv.exists() and (current_stamp(root) is None or not _runs(python)):
            say("[1/3] removing an unfinished environment", flush=True)
            shutil.rmtree(venv)
        if not venv.exists():
            say("[1/3] making .venv", flush=True)
            _make_venv(venv)
        (venv / STAMP).unlink(missing_ok=True)
        _install(root, python, say)
        partial = venv / (STAMP + ".part")
        partial.write_text(wanted_stamp(root), encoding="utf-8")
        partial.replace(venv / STAMP)
        say("[3/3] ready", flush=True)
    return python


def wanted_stamp(root: Path) -> str:
    """A hash of what the environment is made from: pyproject.toml, constraints.txt and the Python version."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def current_stamp(root: Path) -> str | None:
    """The stamp of the environment that is there, or None."""
    try:
        return (root / ".venv" / STAMP).read_text(encoding="utf-8")
    except OSError:
        return None


def pip_command(root: Path, python: Path, cpu_index: bool) -> list[str]:
    """The one install command. With `cpu_index`, PyTorch's CPU wheels are preferred to the large CUDA ones."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-c", str(root / "constraints.txt"), "-e", EXTRAS]
    if cpu_index:
        command += ["--extra-index-url", TORCH_CPU_INDEX]
    return command


def wants_cpu_wheels() -> bool:
    """Whether this machine should get PyTorch's CPU wheels: Linux without an NVIDIA driver, and the index answers.

    An index that does not answer would make pip retry for seconds, so it is asked first; pip then takes what its own
    configuration offers."""
    if sys.platform != "linux" or shutil.which("nvidia-smi"):
        return False
    host = TORCH_CPU_INDEX.split("/")[2]
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return False
    return True


def explain_pip(log: str) -> str:
    """What a failed install means, as one sentence with the way out."""
    if "No space left on device" in log:
        return "the disk is full: free some gigabytes and start again."
    if re.search(r"name resolution|NewConnectionError|Network is unreachable|ConnectTimeout|Connection refused", log):
        return "the package registry cannot be reached: the first set-up needs the network; connect and start again."
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    return f"pip could not install the packages ({(errors or ['no reason given'])[0]}); see .lessonlib/setup.log."


def _usable(root: Path, python: Path) -> bool:
    return current_stamp(root) == wanted_stamp(root) and python.exists()


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([str(python), "-c", "import pip"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _check_disk(root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"the disk has {free / 1e9:.1f} GB free and the set-up may need {NEEDED_BYTES / 1e9:.0f} GB: free some space."
        )


def _put_aside(venv: Path, say) -> None:
    """An environment that we did not make is somebody's: keep it under another name."""
    number = 1
    while (kept := venv.with_name(f"{venv.name}.kept-{number}")).exists():
        number += 1
    venv.rename(kept)
    say(f"[1/3] .venv was not made by lessonlib: it is kept as {kept.name}", flush=True)


def _make_venv(venv: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        words = made.stdout + made.stderr
        if "ensurepip" in words:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise SetupError(
                f"this Python lacks the venv module: install it (Debian: apt install python{version}-venv)."
            )
        raise SetupError(
            f"the environment could not be made: {words.strip().splitlines()[-1] if words.strip() else '?'}"
        )
    (venv / OURS).write_text("Made by python3 -m lessonlib; may be deleted.\n", encoding="utf-8")


def _install(root: Path, python: Path, say) -> None:
    log = root / ".lessonlib" / "setup.log"
    log.parent.mkdir(exist_ok=True)
    command = pip_command(root, python, wants_cpu_wheels())
    started, count, lines = time.monotonic(), 0, []
    tty = sys.stdout.isatty()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with log.open("w", encoding="utf-8") as file:
        for line in process.stdout:
            file.write(line)
            lines.append(line)
            count += line.startswith("Collecting ")
            installing = "Installing collected packages" in line
            if installing or (line.startswith("Collecting ") and (tty or count % 25 == 1)):
                now = "installing them" if installing else line.split()[1]
                text = f"[2/3] packages: {count} found, {now} ({time.monotonic() - started:.0f} s)"
                say(f"\r{text:<78}" if tty else text, end="" if tty and not installing else "\n", flush=True)
    if process.wait():
        raise SetupError(explain_pip("".join(lines)))


@contextmanager
def _lock(root: Path, say):
    """One set-up at a time. The lock names its process, so that a killed one does not block the next."""
    path = root / ".lessonlib" / "setup.lock"
    path.parent.mkdir(exist_ok=True)
    told = False
    while True:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            if not _alive(path):
                path.unlink(missing_ok=True)
                continue
            if not told:
                say("Another start is setting up the course: waiting for it.", flush=True)
                told = True
            time.sleep(1)
    os.write(handle, str(os.getpid()).encode())
    os.close(handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _alive(lock: Path) -> bool:
    try:
        text = lock.read_text(encoding="utf-8")
        if not text:  # just made: its process has not written its number yet
            return time.time() - lock.stat().st_mtime < 10
        os.kill(int(text), 0)
        return True
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
