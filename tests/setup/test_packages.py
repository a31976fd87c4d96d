"""The pip call: where torch comes from, what its output means, and that it is told in one sentence."""

import http.server
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from lessonlib import packages
from lessonlib.packages import SetupError

NAME = "Failed to establish a new connection: [Errno -2] Name or service not known"


def test_the_command_pins_and_installs_the_checkout(course):
    command = packages.pip_command(course, Path("py"), cpu_index=False)
    assert command[:4] == ["py", "-m", "pip", "install"] and command[-2:] == ["-e", ".[lab,dev]"]
    assert command[command.index("-c") + 1] == str(course / "constraints.txt")
    assert "--extra-index-url" not in command


def test_the_cpu_index_is_added_to_the_usual_one(course):
    command = packages.pip_command(course, Path("py"), cpu_index=True)
    assert command[-2:] == ["--extra-index-url", packages.TORCH_CPU_INDEX] and "--index-url" not in command


@pytest.mark.parametrize(
    "platform, nvidia, answers, cpu",
    [
        ("linux", False, True, True),
        ("linux", False, False, False),
        ("linux", True, True, False),
        ("darwin", False, True, False),
        ("win32", False, True, False),
    ],
)
def test_where_torch_comes_from(monkeypatch, platform, nvidia, answers, cpu):
    said, asked = [], []
    monkeypatch.setattr(packages.sys, "platform", platform)
    monkeypatch.setattr(packages, "has_nvidia", lambda: nvidia)
    monkeypatch.setattr(packages, "answers", lambda address: asked.append(address) or answers)
    assert packages.wants_cpu_wheels(lambda text, **_: said.append(text)) == cpu
    assert len(asked) == (platform == "linux" and not nvidia), "nobody is asked whose answer does not matter"
    assert len(said) == (asked != [] and not answers)


def test_an_index_that_cannot_be_reached_does_not_answer():
    assert not packages.answers("http://index.invalid/")


def test_an_index_that_hangs_does_not_answer(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(packages.urllib.request, "urlopen", lambda *_, **__: never.wait(20))
    assert not packages.answers("http://index.invalid/", wait=0.05)
    never.set()


@pytest.mark.parametrize("status", [200, 403, 404])
def test_any_reply_is_an_answer(status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):  # noqa: N802 (the name http.server asks for)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    assert packages.answers(f"http://127.0.0.1:{server.server_port}/", wait=10)
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "log, says",
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        (
            f"WARNING: Retrying ... {NAME}\nERROR: No matching distribution found for hatchling",
            "registry cannot be reached",
        ),
        ("WARNING: Temporary failure in name resolution", "registry cannot be reached"),
        ("WARNING: ... ProxyError('Cannot connect to proxy.')", "registry cannot be reached"),
        ("  ERROR: Could not find ... requirement hatchling (from versions: none)", "registry cannot be reached"),
        (f"Retrying ... {NAME}\nERROR: ResolutionImpossible: a needs b", r"\(ResolutionImpossible: a needs b\)"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no torch of the version in constraints.txt"),
        ("fine\nERROR: the first reason\nERROR: the second", r"\(the first reason\); see \.lessonlib/setup\.log"),
        ("", "no reason given"),
    ],
)
def test_a_failed_install_in_words(log, says):
    sentence = packages.explain(log)
    assert re.search(says, sentence) and "\n" not in sentence and sentence.endswith(".")


@pytest.fixture
def pip(course, monkeypatch):
    """A pip that is a few lines of Python; returns a function that sets them."""
    monkeypatch.setattr(packages, "wants_cpu_wheels", lambda say: False)

    def does(code):
        monkeypatch.setattr(packages, "pip_command", lambda *_, **__: [sys.executable, "-c", code])

    return does


def test_the_log_is_kept_and_progress_is_shown(course, pip):
    said = []
    lines = [f"Collecting package{n}" for n in range(60)] + ["Installing collected packages: a, b, c"]
    pip(f"print({chr(10).join(lines)!r})")
    packages.install(course, Path("py"), lambda text="", **_: said.append(text))
    assert (course / ".lessonlib" / "setup.log").read_text().splitlines() == lines
    assert [text.split(" (")[0] for text in said] == [
        "[2/3] packages: 1 found, package0",
        "[2/3] packages: 26 found, package25",
        "[2/3] packages: 51 found, package50",
        "[2/3] packages: 3 to install, which takes about a minute",
    ]


def test_a_failed_pip_is_a_sentence(course, pip):
    pip(f"print({NAME!r}); raise SystemExit(1)")
    with pytest.raises(SetupError, match="connect and start again"):
        packages.install(course, Path("py"), lambda *_, **__: None)


def test_pip_is_told_nothing_that_would_install_elsewhere(course, pip, monkeypatch):
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_TARGET", "somewhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels")
    pip("import os; print(sorted(n for n in os.environ if n in ('PIP_USER', 'PIP_TARGET', 'PIP_FIND_LINKS')))")
    packages.install(course, Path("py"), lambda *_, **__: None)
    assert (course / ".lessonlib" / "setup.log").read_text().strip() == "['PIP_FIND_LINKS']"


def test_stopping_the_set_up_stops_pip(course, pip):
    """Ctrl-C reaches the set-up while pip is busy: pip must not go on alone."""
    pip("import os, time; print('Collecting', os.getpid(), flush=True); time.sleep(60)")
    pids = []

    def interrupt(text="", **_):
        pids.append(int(text.split("found, ")[1].split()[0]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packages.install(course, Path("py"), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_progress_on_a_terminal_is_one_line():
    said = []
    progress = packages.Progress(
        lambda text="", **options: said.append((text, options.get("end", "\n"))), terminal=True
    )
    for line in ("Collecting torch==2.13.0", "  Downloading https://index/torch-2.13.0-cp311.whl (191.8 MB)", "noise"):
        progress.read(line)
    progress.close()
    assert all(text.startswith("\r[2/3] packages: 1 found, ") and end == "" for text, end in said[:-1])
    assert "downloading torch-2.13.0-cp311.whl (191.8 MB)" in said[1][0] and said[-1] == ("", "\n") and len(said) == 3
