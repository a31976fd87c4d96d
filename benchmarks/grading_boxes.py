"""Runs stock `nbgrader autograde` on a hostile submission, inside a bubblewrap box of its own, and looks at what remains.

Part of benchmarks/attacks.py. Stock runs a submission with the grader's own rights, so everything that it could reach here is
thrown away with the box: a copy of a course in memory, with a gradebook, two other students and a secret file. Inside, this
file's `main` runs as the box's root, nbgrader as an ordinary user without a way to more rights; from outside the box has a
limit of time, of memory, and no network but its own loopback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COURSE, SECRET = Path("/box/course"), "token-7d0f1c"
HONEST = ("alice", "other")  # graded before and after the attacker, by their names
ATTACKER = "mallory"
WALL, MEMORY, DISK = 75, 3 * 2**30, 300 * 2**20  # seconds, bytes, bytes of one box
FIRST_UID = 60500


def command(template: Path, uid: int) -> list[str]:
    """The bubblewrap command of one box; `template` is the course that is copied into it."""
    shown = {Path(sys.base_prefix), Path(sys.prefix), ROOT / "lessonlib", ROOT / "tests", ROOT / "benchmarks"}
    parents = sorted({str(parent) for path in (*shown, template) for parent in path.parents if str(parent) != "/"})
    line = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    line += ["--new-session", "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr"]
    for link in ("bin", "sbin", "lib", "lib64"):
        there = Path("/", link)
        line += ["--symlink", os.readlink(there), str(there)] if there.is_symlink() else []
    line += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for folder in ("/box", "/tmp", "/dev/shm"):
        line += ["--size", str(DISK), "--perms", "1777", "--tmpfs", folder]
    for folder in parents:
        line += ["--perms", "0755", "--dir", folder]
    for path in sorted(shown, key=str):
        if not any(other in path.parents for other in shown):
            line += ["--ro-bind", str(path), str(path)]
    line += ["--ro-bind", str(template), "/template", "--chdir", "/box", "--clearenv"]
    for name, value in {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": "/box",
        "LANG": "C.UTF-8",
        "GRADER_SECRET": "SECRET",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *(p for p in sys.path if "site-packages" in p)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }.items():
        line += ["--setenv", name, value]
    return [*line, "--", sys.executable, str(Path(__file__).resolve()), str(uid)]


def run(template: Path, submission: Path, slot: int) -> dict:
    """What came of one submission, the folder `submission`, on stock; see `main` for the parts. "ended" says whether the box
    ended by itself."""
    uid = FIRST_UID + slot
    with tempfile.TemporaryDirectory(prefix="box-") as scratch:
        course = Path(scratch, "course")
        shutil.copytree(template, course, symlinks=True)
        place = course / "submitted" / ATTACKER / "hw"
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(submission), str(place)], check=True)
        began = time.monotonic()
        process = subprocess.Popen(
            command(course, uid), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process, uid, over))
        watcher.start()
        said, words = process.communicate()
        watcher.join()
    try:
        found = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        found = {"lost": words.decode("utf-8", "replace")[-500:]}
    return {**found, "ended": not over.is_set(), "seconds": round(time.monotonic() - began, 1)}


def _watch(process, uid: int, over: threading.Event) -> None:
    """End the box when it takes too long or too much memory."""
    began = time.monotonic()
    while process.poll() is None:
        if time.monotonic() - began > WALL + 15 or _held(uid) > MEMORY:
            over.set()
            process.kill()
            return
        time.sleep(0.25)


def _held(uid: int) -> int:
    """Bytes of memory of all processes of a user."""
    held = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == uid:
                status = Path("/proc", pid, "status").read_text(encoding="utf-8", errors="replace")
                held += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    return held


def main(uid: int) -> None:
    """In the box: grade, end what is left, and print what came of it as JSON."""
    shutil.copytree("/template", COURSE, symlinks=True)
    (COURSE / "secret.txt").write_text(SECRET, encoding="utf-8")
    for path in (COURSE, *COURSE.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
    before = _marks()

    def limits():
        os.setsid()
        for name, value in (("NPROC", 150), ("FSIZE", DISK), ("DATA", 2 * 2**30), ("CORE", 0), ("NOFILE", 1024)):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    grade = ["setpriv", "--no-new-privs", "--bounding-set", "-all", sys.executable, "-m", "nbgrader", "autograde", "hw"]
    began, ended = time.monotonic(), True
    with open("/box/words.txt", "wb") as words:
        user = {"user": uid, "group": uid, "extra_groups": []}
        process = subprocess.Popen(
            grade, cwd=COURSE, **user, preexec_fn=limits, stdin=subprocess.DEVNULL, stdout=words, stderr=words
        )
        try:
            process.wait(WALL)
        except subprocess.TimeoutExpired:
            ended = False
    seconds = time.monotonic() - began
    left = [p for p in filter(str.isdigit, os.listdir("/proc")) if _owner(p) == uid and int(p) != process.pid]
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # all in this box but this process and process 1
    print(
        json.dumps(
            {
                "in_time": ended,
                "grading_seconds": round(seconds, 1),
                "left": len(left),
                "points": _points(),
                "touched": [name for name, mark in before.items() if _marks().get(name) != mark],
                "secret": SECRET in _book(),
                "book": _book(),
            }
        )
    )


def _owner(pid: str) -> int | None:
    try:
        state = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        return None if state == "Z" else os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _marks() -> dict[str, str]:
    """Hashes of the files that no submission may touch."""
    files = [COURSE / "nbgrader_config.py", COURSE / "secret.txt", *COURSE.glob("source/*/*")]
    files += [p for student in HONEST for p in COURSE.glob(f"submitted/{student}/*/*")]
    return {str(p.relative_to(COURSE)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


def _points() -> dict:
    """{student: {cell: [automatic points, points by hand]}} of the gradebook; {"broken": why} when it cannot be read."""
    query = """SELECT submitted_assignment.student_id, base_cell.name, grade.auto_score, grade.manual_score FROM grade
        JOIN base_cell ON base_cell.id = grade.cell_id
        JOIN submitted_notebook ON submitted_notebook.id = grade.notebook_id
        JOIN submitted_assignment ON submitted_assignment.id = submitted_notebook.assignment_id"""
    found: dict = {}
    try:
        connection = sqlite3.connect(f"file:{COURSE / 'gradebook.db'}?mode=ro", uri=True, timeout=2)
        for student, cell, automatic, by_hand in connection.execute(query):
            found.setdefault(student, {})[cell] = [automatic, by_hand]
    except sqlite3.Error as error:
        return {"broken": str(error)}
    return found


def _book() -> str:
    """The attacker's graded notebook, up to 20 MB of it."""
    found = sorted((COURSE / "autograded" / ATTACKER).glob("*/*.ipynb"))
    if not found or not found[0].is_file():
        return ""
    with open(found[0], encoding="utf-8", errors="replace") as file:
        return file.read(20 * 10**6)


if __name__ == "__main__":
    main(int(sys.argv[1]))
