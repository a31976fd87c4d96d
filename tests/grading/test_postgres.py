"""The gradebook on PostgreSQL: a server of the test's own, on a unix socket in a temporary folder."""

from __future__ import annotations

import csv
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from lessonlib import testing
from lessonlib.grading import gradebook, intake
from lessonlib.grading.engine import Grader

from .attacks import assignment as tiny
from .conftest import Course as Commands
from .test_gradebook import CONFIG, make_course

pytestmark = pytest.mark.postgres
NAMES = ("ann", "bob", "cyd", "dot")


@dataclass
class Server:
    """A PostgreSQL server with its data, log and socket in `folder`, run by `user` (None: whoever runs the tests)."""

    folder: Path
    programs: Path
    user: str | None

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs; it must succeed."""
        given = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        with open(self.folder / "commands.log", "a+", encoding="utf-8") as log:  # a file: the server keeps it open
            command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
            status = subprocess.call(command, cwd=self.folder, stdout=log, stderr=log, timeout=60, **given)
            log.seek(0)
            assert status == 0, log.read()

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self.run("pg_ctl", "-w", "-l", str(self.folder / "server.log"), "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://grader@/postgres?host={self.folder}"


@pytest.fixture(scope="module")
def server():
    """A running server, ended afterwards. PostgreSQL refuses to run as root: then an unprivileged user runs it."""
    found = next(tool for tool in testing.TOOLS if tool.mark == "postgres").found()
    user = None
    if os.geteuid() == 0:
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next(name for name in ("postgres", "nobody") if name in known)
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:  # short: so is a socket's name
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        made = Server(folder, Path(found).parent, user)
        made.run("initdb", "-U", "grader", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        made.start()
        try:
            yield made
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                made.stop()


def config(server: Server) -> str:
    """nbgrader stores the course's name with each assignment, and PostgreSQL takes none that is empty, as the default is."""
    return CONFIG + f"c.CourseDirectory.db_url = {server.url!r}\nc.CourseDirectory.course_id = 'gpu101'\n"


@pytest.fixture(scope="module")
def courses(server, tmp_path_factory):
    """(course with its gradebook on PostgreSQL, the same on sqlite), graded alike; and the records by student."""
    top = tmp_path_factory.mktemp("courses")
    made = (
        make_course(top / "postgres", config(server)),
        make_course(top / "sqlite"),
    )
    with Grader(made[0].snapshot("hw", "first"), unsafe=True) as grader:  # the tests' own submissions
        folder = made[0].folder("submitted")
        records = {name: grader.grade(intake.read(folder, f"{name}/hw/first.ipynb")[0]) for name in NAMES}
        records["other"] = grader.grade(tiny.submission(why="Another answer."))
    for course in made:
        with gradebook.Book(course, "hw") as book:
            saved = [book.save(name, "first", records[name]) for name in NAMES]
        assert [entry["score"] for entry in saved] == [7.0, 4.0, 3.0, 0.0]
    return *made, records


def test_totals_are_those_of_sqlite(courses):
    postgres, sqlite, _ = courses
    assert gradebook.totals(postgres, "hw") == gradebook.totals(sqlite, "hw")
    assert [entry["penalty"] for entry in gradebook.totals(postgres, "hw")] == [0.0, 3.0, 3.0, 0.0]
    assert not list(postgres.root.glob("*.db"))


def test_stock_exports_what_we_saved(courses):
    postgres, _, _ = courses
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    commands = Commands(
        postgres.root, {**os.environ, "PATH": path, "JUPYTER_CONFIG_DIR": str(postgres.root / "jupyter")}
    )
    commands.nbgrader("autograde", "hw", "--student", "dot", "--force")  # over our rows
    commands.nbgrader("export", "--to", "grades.csv")
    with open(postgres.root / "grades.csv", encoding="utf-8") as file:
        found = {row["student_id"]: (float(row["raw_score"]), float(row["score"])) for row in csv.DictReader(file)}
    assert found == {"ann": (7.0, 7.0), "bob": (4.0, 1.0), "cyd": (3.0, 0.0), "dot": (0.0, 0.0)}


def test_manual_points_are_kept_and_looked_at_again(courses):
    postgres, _, records = courses
    with postgres.gradebook() as book:
        grade = book.find_grade("why", "first", "hw", "ann")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        book.db.commit()
    with gradebook.Book(postgres, "hw") as book:
        again = book.save("ann", "first", records["ann"])
        assert (again["score"], again["needs_manual"], again["kept"]) == (8.5, False, ["why"])
        moved = book.save("ann", "first", records["other"])
        assert (moved["score"], moved["needs_manual"], moved["kept"]) == (8.5, True, ["why"])


def test_a_server_that_goes_away_loses_nothing(courses, server):
    postgres, _, records = courses
    before = gradebook.totals(postgres, "hw")
    with gradebook.Book(postgres, "hw") as book:
        server.stop()
        with pytest.raises(RuntimeError) as error:
            book.save("dot", "first", records["ann"])
        assert "could not be written" in str(error.value) and "\n" not in str(error.value)
        with pytest.raises(ValueError, match="cannot be opened"):
            gradebook.Book(postgres, "hw")
        server.start()
        assert gradebook.totals(postgres, "hw") == before
        assert book.save("dot", "first", records["ann"])["score"] == 7.0  # the same open book goes on


def test_two_writers_make_no_second_submission(courses):
    postgres, _, records = courses
    with gradebook.Book(postgres, "hw") as one, gradebook.Book(postgres, "hw") as two:
        one._submission("eva", None)  # has made the row, and not committed yet
        two._session.connection().exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
        with pytest.raises(RuntimeError, match="could not be written"):
            two.save("eva", "first", records["ann"])
        one._session.commit()
        assert two.save("eva", "first", records["ann"])["score"] == 7.0
    assert [entry["student"] for entry in gradebook.totals(postgres, "hw")].count("eva") == 1
