"""The one pip call of the set-up: what it is, where torch comes from, its progress, and its failures in words.

Standard library only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
WAIT = 3  # seconds that an index may take to answer; pip itself would go on trying for much longer
REQUIREMENT = ".[lab,dev]"
# Settings with which pip would install somewhere else than into the environment.
ELSEWHERE = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH")
FULL = "the disk is full (here or in the folder for temporary files): free some gigabytes and start again."
OFFLINE = "the package registry cannot be reached: new packages need the network; connect and start again."
NO_TORCH = (
    "there is no torch of the version in constraints.txt for this Python and processor: "
    "use Python 3.11 to 3.13 on 64-bit Linux, Windows or an Apple-silicon Mac."
)
NETWORK = (
    r"name resolution|Name or service not known|getaddrinfo failed|nodename nor servname|NewConnectionError"
    r"|Network is unreachable|ConnectTimeout|ReadTimeout|Connection refused|ProxyError|Max retries exceeded"
)


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do, in a sentence."""


def install(root: Path, python: Path, say, lock=None) -> None:
    """Install the course and its packages into the environment of `python`, with progress lines; pip's own words go
    to .lessonlib/setup.log. The child holds `lock` as well. SetupError says in a sentence what went wrong."""
    log = root / ".lessonlib" / "setup.log"
    log.parent.mkdir(exist_ok=True)
    command = pip_command(root, python, wants_cpu_wheels(say))
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", errors="replace",
        pass_fds=[lock.fileno()] if lock is not None and os.name == "posix" else (),
    )  # fmt: skip
    lines, progress = [], Progress(say)
    try:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stdout:
                file.write(line)
                lines.append(line)
                progress.read(line)
    except BaseException:  # Ctrl-C, a full disk: pip must not go on alone
        process.kill()
        process.wait()
        raise
    progress.close()
    if process.wait():
        raise SetupError(explain("".join(lines)))


def pip_command(root: Path, python: Path, cpu_index: bool) -> list[str]:
    """The install command. With `cpu_index`, PyTorch's CPU wheels are preferred to the large CUDA ones."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-c", str(root / "constraints.txt"), "-e", REQUIREMENT]
    return command + (["--extra-index-url", TORCH_CPU_INDEX] if cpu_index else [])


def has_nvidia() -> bool:
    """Whether this machine has an NVIDIA driver."""
    return shutil.which("nvidia-smi") is not None


def wants_cpu_wheels(say=print) -> bool:
    """Whether pip is pointed at PyTorch's CPU wheels: on Linux without an NVIDIA driver, when the index answers.
    Elsewhere the usual torch is the right one."""
    if sys.platform != "linux" or has_nvidia():
        return False
    if answers(TORCH_CPU_INDEX + "/torch/"):
        return True
    say("[2/3] PyTorch's index of CPU wheels does not answer: torch comes from where pip is set to look", flush=True)
    return False


def answers(address: str, wait: float = WAIT) -> bool:
    """Whether the address gives any answer within `wait` seconds, the look-up of its name included."""
    seen = []

    def ask():
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=wait).close()
            seen.append(True)
        except urllib.error.HTTPError:  # a refusal is an answer too
            seen.append(True)
        except Exception:  # whatever the reason: it does not answer
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(wait)
    return bool(seen)


def explain(log: str) -> str:
    """What a failed install means, as one sentence with the way out."""
    lines = [line.strip() for line in log.splitlines()]  # those of a child of pip's are indented
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    nothing_found = not errors or "No matching distribution" in errors[-1]
    if "No space left on device" in log or "[Errno 28]" in log:
        return FULL
    # A connection that was tried again with success is no reason; neither is a place that merely was asked as well.
    if re.search(NETWORK, "".join(errors)) or (nothing_found and re.search(NETWORK, log)):
        return OFFLINE
    if re.search(r"No matching distribution found for torch\b", log):
        return NO_TORCH
    if "requirement hatchling (from versions: none)" in log:  # the first package that pip looks for
        return OFFLINE
    return f"pip could not install the packages ({(errors or ['no reason given'])[0]}); see .lessonlib/setup.log."


class Progress:
    """Progress lines made from pip's: one that renews itself on a terminal, a line now and then elsewhere."""

    def __init__(self, say, terminal: bool | None = None):
        self.say, self.count, self.started = say, 0, time.monotonic()
        self.terminal = sys.stdout.isatty() if terminal is None else terminal

    def read(self, line: str) -> None:
        """Take in one line of pip's."""
        words = line.split()
        if line.startswith("Collecting ") and len(words) > 1:
            self.count += 1
            if self.terminal or self.count % 25 == 1:
                self._show(f"{self.count} found, {words[1]}")
        elif line.lstrip().startswith("Downloading ") and self.terminal and len(words) > 1:
            self._show(f"{self.count} found, downloading {' '.join([words[1].rpartition('/')[2], *words[2:]])}")
        elif line.startswith("Installing collected packages"):
            self._show(f"{line.count(',') + 1} to install, which takes about a minute")

    def close(self) -> None:
        """End the line on a terminal."""
        if self.terminal and self.count:
            self.say("", flush=True)

    def _show(self, now: str) -> None:
        text = f"[2/3] packages: {now} ({time.monotonic() - self.started:.0f} s)"
        width = min(shutil.get_terminal_size().columns - 1, 110)
        if self.terminal:
            self.say(f"\r{text[:width]:<{width}}", end="", flush=True)
        else:
            self.say(text, flush=True)
