"""A real JupyterLab on a copy of the course, for all browser tests, and a headless Chromium for each file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import pytest

from lessonlib import lab, testing

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240_000  # milliseconds: only a hang takes longer, whatever else the machine does
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Kernels of the copy must not sit on each other's cores, and must not leave guesses in somebody's home.
QUIET = {"LESSON_DEVICE": "cpu", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1", "LESSONLIB_PROGRESS": "off"}


@dataclass
class Site:
    """The running JupyterLab: its course copy, address, and what the browser complained about or asked elsewhere."""

    root: Path
    address: str
    token: str
    errors: list = field(default_factory=list)
    foreign: list = field(default_factory=list)

    def open(self, browser, path: str):
        """A page with the notebook `path` open and its kernel ready."""
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("request", lambda r: self._note(r.url))
        page.goto(f"{self.address}/lab/workspaces/t{abs(hash(path)) % 10**6}/tree/{path}?token={self.token}&reset")
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
        ready = "async () => {const w = jupyterapp.shell.currentWidget; await w.context.ready; await w.sessionContext.ready}"
        page.evaluate(ready)
        return page

    def _note(self, address: str) -> None:
        parts = urlparse(address)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("localhost", "127.0.0.1"):
            self.foreign.append(address)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """JupyterLab with the learner's profile, started as `lessonlib lab` starts it."""
    root = tmp_path_factory.mktemp("lab") / "course"
    root.mkdir()
    for name in ("pyproject.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, root / name)
    for folder in ("notebooks", "solutions"):
        shutil.copytree(ROOT / folder, root / folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**lab.environment(root, instructor=False, token="t"), **QUIET}
    log = open(root / "lab.log", "w", encoding="utf-8")
    process = subprocess.Popen(lab.command(port), cwd=root, env=environment, stdout=log, stderr=log)
    try:
        assert lab.answers(port, process), (root / "lab.log").read_text(encoding="utf-8")
        yield Site(root, f"http://localhost:{port}", "t")
    finally:
        lab.stop(process)
        log.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """The system's Chromium, with a profile of its own.

    One for each file: until it ends, Playwright's event loop counts as running in this thread, and files that call
    asyncio.run would fail if they came after in the same process."""
    from playwright.sync_api import sync_playwright

    program = next(tool for tool in testing.TOOLS if tool.mark == "browser").found()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")), executable_path=program, headless=True, args=FLAGS,
            viewport={"width": 1280, "height": 1000},
            env={**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))},
        )  # fmt: skip
        yield context
        context.close()
