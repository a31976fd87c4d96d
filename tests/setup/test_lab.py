"""`lessonlib lab` without a server: port, profile, environment, address, and an end that leaves nothing running."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lessonlib import lab

ROOT = Path(__file__).resolve().parents[2]
# A server that answers /api and ends when it is told to.
FAKE_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def taken():
    """A port on which somebody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_taken_port_is_refused_in_a_sentence(taken, capsys):
    with pytest.raises(ValueError, match=f"port {taken} is taken: stop what uses it, or give another --port"):
        lab.choose_port(taken)
    assert lab.main(["--port", str(taken), "--no-browser"]) == 2
    assert capsys.readouterr().err.startswith(f"lessonlib lab: port {taken} is taken")


def test_a_free_port_is_taken_as_asked():
    port = free_port()
    assert lab.choose_port(port) == port


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port(port):
    with pytest.raises(ValueError, match="from 1 to 65535"):
        lab.choose_port(port)


def test_a_port_for_administrators(monkeypatch):
    monkeypatch.setattr(lab, "_refusal", lambda port: lab.errno.EACCES)
    with pytest.raises(ValueError, match="give a --port of 1024 or more"):
        lab.choose_port(80)


def test_without_a_wish_the_next_free_port_is_taken(monkeypatch):
    monkeypatch.setattr(lab, "_refusal", lambda port: lab.errno.EADDRINUSE if port < 8890 else None)
    assert lab.choose_port(None) == 8890
    monkeypatch.setattr(lab, "_refusal", lambda port: lab.errno.EADDRINUSE)
    with pytest.raises(ValueError, match="all taken"):
        lab.choose_port(None)


def test_a_learner_sees_no_instructor_tools(tmp_path):
    environment = lab.environment(tmp_path, instructor=False, token="t")
    folder = Path(environment["JUPYTER_CONFIG_DIR"])
    assert folder.is_relative_to(tmp_path / ".lessonlib")
    disabled = json.loads((folder / "labconfig" / "page_config.json").read_text())["disabledExtensions"]
    assert set(disabled) == {lab.NEWS, *lab.INSTRUCTOR} and all(disabled.values())
    assert not any("validate" in name or "assignment-list" in name for name in disabled)
    assert (tmp_path / ".lessonlib" / "exchange").is_dir()


def test_an_instructor_sees_all_but_the_news(tmp_path):
    folder = Path(lab.environment(tmp_path, instructor=True, token="t")["JUPYTER_CONFIG_DIR"])
    disabled = json.loads((folder / "labconfig" / "page_config.json").read_text())["disabledExtensions"]
    assert set(disabled) == {lab.NEWS}


def test_the_profile_keeps_what_its_owner_changed(tmp_path):
    page = tmp_path / "labconfig" / "page_config.json"
    lab.write_profile(tmp_path)
    own = json.loads(page.read_text())
    own["disabledExtensions"][lab.NEWS] = False
    own["disabledExtensions"]["their-extension"] = True
    own["lockedExtensions"] = {"x": True}
    page.write_text(json.dumps(own))
    lab.write_profile(tmp_path)
    assert json.loads(page.read_text()) == own
    page.write_text("{ broken")
    lab.write_profile(tmp_path)
    assert lab.NEWS in page.read_text()


@pytest.mark.parametrize("own, used", [(None, "1"), ("0", "0"), ("1", "1")])
def test_offline_unless_the_learner_says_otherwise(tmp_path, monkeypatch, own, used):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if own is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", own)
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    environment = lab.environment(tmp_path, instructor=False, token="secret")
    assert environment["HF_HUB_OFFLINE"] == used and environment["LESSON_DEVICE"] == "cpu"
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert environment["JUPYTER_TOKEN"] == "secret"


def test_the_token_is_on_no_command_line_and_the_registry_is_not_asked():
    command = lab.command(8888)
    assert "--port=8888" in command and "--LabApp.extension_manager=readonly" in command
    assert not any("oken" in word for word in command)


def test_the_first_page_is_the_first_lesson(tmp_path):
    assert lab.first_page(tmp_path) == ""
    assert (ROOT / lab.first_page(ROOT).removeprefix("/tree/")).is_file()


def test_a_server_that_does_not_start_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "course_root", lambda: tmp_path)
    monkeypatch.setattr(lab, "command", lambda port: [sys.executable, "-c", "raise SystemExit(3)"])
    assert lab.main(["--no-browser"]) == 1
    assert "JupyterLab did not start" in capsys.readouterr().err


@pytest.mark.parametrize("ends_with", [signal.SIGTERM, signal.SIGINT])
def test_the_address_is_printed_and_the_server_ends_with_the_command(tmp_path, ends_with):
    port = free_port()
    code = f"""
        import sys
        from pathlib import Path
        from lessonlib import lab
        lab.course_root = lambda: Path({str(tmp_path)!r})
        lab.command = lambda port: [sys.executable, "-c", {FAKE_SERVER!r}, str(port)]
        sys.exit(lab.main(["--no-browser", "--port", "{port}"]))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    said = []
    for line in process.stdout:
        said.append(line.strip())
        if "Stop it with Ctrl-C" in line:
            break
    assert any(line.startswith(f"http://localhost:{port}/lab?token=") for line in said), said
    assert lab._refusal(port) is not None
    process.send_signal(ends_with)
    assert process.wait(timeout=30) == 0
    assert lab._refusal(port) is None, "the server must end with the command"
    process.stdout.close()


def test_outside_a_checkout(monkeypatch, capsys):
    monkeypatch.setattr(lab, "course_root", lambda: None)
    assert lab.main(["--no-browser"]) == 2
    assert "not a checkout of the course" in capsys.readouterr().err
