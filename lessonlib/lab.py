"""`lessonlib lab`: JupyterLab on the course, with the learner's or the instructor's tools."""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
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
LITE_LESSONS = ("00_start_here", "05_kv_cache")
START_SECONDS = 60


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="lessonlib lab", description="Start JupyterLab on the course.")
    made.add_argument("--port", type=int, help="the port to serve on (default: 8888, or the next free one)")
    made.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    made.add_argument("--instructor", action="store_true", help="show formgrader, Create Assignment and Course List")
    made.add_argument(
        "--lite-check",
        action="store_true",
        help="start nothing: run lessons 00 and 05 headless and offline, and report",
    )
    return made


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status (2: a mistake in the command)."""
    options = parser().parse_args(argv)
    root = course_root()
    try:
        if root is None:
            raise ValueError("this is not a checkout of the course: change into its folder.")
        return lite_check(root) if options.lite_check else serve(root, options)
    except ValueError as error:
        print(f"lessonlib lab: {error}", file=sys.stderr)
        return 2


def serve(root: Path, options) -> int:
    """Start JupyterLab, print its address when it answers, and wait until it ends."""
    port = choose_port(options.port)
    token = secrets.token_hex(16)
    process = subprocess.Popen(command(port, token), cwd=root, env=environment(root, options.instructor))
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
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def command(port: int, token: str) -> list[str]:
    """The server's command line."""
    return [
        sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}", "--log-level=WARN", "--expose-app-in-browser",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]  # fmt: skip


def environment(root: Path, instructor: bool) -> dict:
    """The server's environment: a project-local Jupyter configuration with the profile, offline unless told otherwise,
    and this Python's programs first on the path (nbgrader calls some by name)."""
    profile = root / ".lessonlib" / ("jupyter-instructor" if instructor else "jupyter-learner")
    page_config = profile / "labconfig" / "page_config.json"
    page_config.parent.mkdir(parents=True, exist_ok=True)
    disabled = (NEWS,) if instructor else (NEWS, *INSTRUCTOR)
    page_config.write_text(json.dumps({"disabledExtensions": dict.fromkeys(disabled, True)}), encoding="utf-8")
    (root / ".lessonlib" / "exchange").mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(profile),
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def choose_port(asked: int | None) -> int:
    """`asked` when it is free, else (nothing asked) the first free one from 8888. ValueError when it is taken."""
    if asked is not None:
        if not 1 <= asked <= 65535:
            raise ValueError(f"--port {asked} is no port: give a number from 1 to 65535.")
        if not _free(asked):
            raise ValueError(f"port {asked} is taken: stop what uses it, or give another --port.")
        return asked
    return next(port for port in range(8888, 65536) if _free(port))


def answers(port: int, process: subprocess.Popen) -> bool:
    """Wait until the server answers; False when it ended or stayed silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def first_page(root: Path) -> str:
    """The path of the first lesson in JupyterLab, when it is there."""
    page = "notebooks/00_start_here/00_start_here.ipynb"
    return f"/tree/{page}" if (root / page).is_file() else ""


def lite_check(root: Path) -> int:
    """Run the first lessons as a learner would, without exercises solved; 0 when only open exercises stop."""
    failed = 0
    for lesson in LITE_LESSONS:
        started = time.monotonic()
        problems, gaps = run_learner_edition(root / "notebooks" / lesson / f"{lesson}.ipynb")
        seconds = time.monotonic() - started
        state = f"{len(problems)} problems" if problems else "ok"
        print(f"{lesson}: {state}, {gaps} exercise cells open, {seconds:.0f} s", flush=True)
        for problem in problems:
            print(f"    {problem}", file=sys.stderr)
        failed += bool(problems)
    scale = 1024 if sys.platform != "darwin" else 1  # ru_maxrss is in KiB on Linux and in bytes on macOS
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * scale
    print(
        f"largest process: {peak / 1e6:.0f} MB. {'Something is wrong; see above.' if failed else 'Your machine works.'}"
    )
    return 1 if failed else 0


def run_learner_edition(path: Path) -> tuple[list[str], int]:
    """Execute a learner notebook: (errors other than open exercises, number of cells that stop at an open one)."""
    import nbformat

    from .course.execute import execute

    if not path.is_file():
        return [f"{path.name} is missing: run lessonlib build."], 0
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, allow_errors=True)
    problems, gaps = [], 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename == "NotImplementedError":
                gaps += 1
            elif output.output_type == "error":
                problems.append(f"cell {cell.id}: {output.ename}: {output.evalue}")
    return problems, gaps


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
