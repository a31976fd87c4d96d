"""`lessonlib lab`: JupyterLab on the course, with the learner's or the instructor's tools. Standard library only, so
that mistakes in the command are told before a set-up; the run of `--lite-check` stands in `lite_check.py`."""

from __future__ import annotations

import argparse
import errno
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from .paths import course_root

# Learners see Validate and Assignment List; the tools of an instructor and the news pop-up stay away.
NEWS = "@jupyterlab/apputils-extension:announcements"
INSTRUCTOR = ("@jupyter/nbgrader:create-assignment", "@jupyter/nbgrader:formgrader", "@jupyter/nbgrader:course-list")
FIRST_PORT, LAST_PORT = 8888, 8987
START_SECONDS = 90  # a first start compiles every package


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="lessonlib lab", description="Start JupyterLab on the course.")
    made.add_argument("--port", type=int, help=f"the port to serve on (default: {FIRST_PORT}, or the next free one)")
    made.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    made.add_argument("--instructor", action="store_true", help="show formgrader, Create Assignment and Course List")
    made.add_argument(
        "--lite-check",
        action="store_true",
        help="start nothing: run lessons 00 and 05 headless and offline, and report",
    )
    return made


def check(argv: list[str]) -> None:
    """Raise ValueError for a port that cannot be had, and end as argparse does for other mistakes and --help."""
    options = parser().parse_args(argv)
    if not options.lite_check:
        choose_port(options.port)


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status (2: a mistake in the command)."""
    options = parser().parse_args(argv)
    root = course_root()
    try:
        if root is None:
            raise ValueError("this is not a checkout of the course: change into its folder.")
        if options.lite_check:
            from .lite_check import lite_check

            return lite_check(root)
        return serve(root, options)
    except ValueError as error:
        print(f"lessonlib lab: {error}", file=sys.stderr)
        return 2


def serve(root: Path, options) -> int:
    """Start JupyterLab, print its address when it answers, and wait until it ends."""
    port, token = choose_port(options.port), secrets.token_hex(16)
    print("Starting JupyterLab ...", flush=True)
    old = signal.signal(signal.SIGTERM, _interrupt)  # ended from outside, it must not leave the server behind
    process = subprocess.Popen(command(port), cwd=root, env=environment(root, options.instructor, token))
    try:
        if not answers(port, process):
            print("lessonlib lab: JupyterLab did not start; its own words stand above.", file=sys.stderr)
            return 1
        address = f"http://localhost:{port}/lab{first_page(root)}?token={token}"
        print(f"\nThe course is open at\n    {address}\nStop it with Ctrl-C.", flush=True)
        if not options.no_browser:
            import webbrowser

            webbrowser.open(address)
        return process.wait()
    except KeyboardInterrupt:
        print("\nStopping JupyterLab.", flush=True)
        return 0
    finally:
        signal.signal(signal.SIGTERM, old)
        stop(process)


def command(port: int) -> list[str]:
    """The server's command line."""
    return [
        sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
        "--log-level=WARN", "--expose-app-in-browser",
        "--LabApp.extension_manager=readonly",  # the other one asks a registry
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]  # fmt: skip


def environment(root: Path, instructor: bool, token: str) -> dict:
    """The server's environment: a project-local Jupyter configuration with the profile, offline unless told otherwise,
    the token (not on a command line, where others could read it), and this Python's programs first on the path
    (nbgrader calls some by name)."""
    profile = root / ".lessonlib" / ("jupyter-instructor" if instructor else "jupyter-learner")
    write_profile(profile, instructor)
    (root / ".lessonlib" / "exchange").mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(profile),
        "JUPYTER_TOKEN": token,
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def write_profile(folder: Path, instructor: bool = False) -> None:
    """Write the profile into a Jupyter configuration folder. Extensions that somebody disabled or enabled there by
    hand keep their state."""
    path = folder / "labconfig" / "page_config.json"
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        page = {}
    disabled = dict.fromkeys((NEWS,) if instructor else (NEWS, *INSTRUCTOR), True)
    page["disabledExtensions"] = disabled | page.get("disabledExtensions", {})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")


def choose_port(asked: int | None) -> int:
    """`asked` when it is free, else (nothing asked) the first free one from 8888. ValueError when it cannot be had."""
    if asked is None:
        free = (port for port in range(FIRST_PORT, LAST_PORT + 1) if _refusal(port) is None)
        port = next(free, None)
        if port is None:
            raise ValueError(f"the ports from {FIRST_PORT} to {LAST_PORT} are all taken: give another --port.")
        return port
    if not 1 <= asked <= 65535:
        raise ValueError(f"--port {asked} is no port: give a number from 1 to 65535.")
    refusal = _refusal(asked)
    if refusal == errno.EACCES:
        raise ValueError(f"port {asked} is for administrators: give a --port of 1024 or more.")
    if refusal is not None:
        raise ValueError(f"port {asked} is taken: stop what uses it, or give another --port.")
    return asked


def answers(port: int, process: subprocess.Popen) -> bool:
    """Wait until the server answers; False when it ended or stayed silent."""
    open_directly = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # never through a proxy
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with open_directly(f"http://127.0.0.1:{port}/api", timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def first_page(root: Path) -> str:
    """The path of the first lesson in JupyterLab, when it is there."""
    page = "notebooks/00_start_here/00_start_here.ipynb"
    return f"/tree/{page}" if (root / page).is_file() else ""


def stop(process: subprocess.Popen) -> None:
    """End the server and its kernels, gently first."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _interrupt(number, frame):
    raise KeyboardInterrupt


def _refusal(port: int) -> int | None:
    """Why this port cannot be served on: the system's error number, or None when it can."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:  # somebody answers there
            return errno.EADDRINUSE
    with socket.socket() as probe:
        if os.name != "nt":  # a port that was just left is free; on Windows the option would take over others' ports
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return None
