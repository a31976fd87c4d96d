"""`lessonlib test`: bring the system programs that some tests need, then run pytest. Standard library only.

The table of these programs serves `tests/conftest.py` as well: a plain `pytest` leaves out, and names, the same tests."""

from __future__ import annotations

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .paths import course_root


@dataclass(frozen=True)
class Tool:
    """A program of the system: what it is called, its Debian package, the mark of the tests that need it, and a glob of
    folders where it may lie besides PATH."""

    programs: tuple[str, ...]
    package: str
    mark: str
    folders: str = ""

    def found(self) -> str | None:
        """Its path, or None."""
        places = sorted(map(Path, glob.glob(self.folders)), key=_version, reverse=True) if self.folders else []
        kept = [str(place / name) for place in places for name in self.programs if os.access(place / name, os.X_OK)]
        return next(filter(None, map(shutil.which, self.programs)), kept[0] if kept else None)


TOOLS = (
    Tool(("chromium", "chromium-browser", "google-chrome"), "chromium", "browser"),
    Tool(("bwrap",), "bubblewrap", "sandbox"),
    Tool(("initdb",), "postgresql", "postgres", folders="/usr/lib/postgresql/*/bin"),  # Debian keeps it out of PATH
)


# The whole suite: each file stays in one process, since its tests share what they prepared. More than two processes would
# not fit the memory and the time limits that tests allow on two cores.
TWO_FILES = ("-n", "2", "--dist", "loadfile")


def parser() -> argparse.ArgumentParser:
    """The command's options; what it does not know goes to pytest."""
    made = argparse.ArgumentParser(
        prog="lessonlib test",
        description="Run the course's tests. All further options and paths go to pytest, for example -x or tests/calc.",
        allow_abbrev=False,
    )
    made.add_argument("--lesson", metavar="NN", help="only the gates and tests of one lesson, for example 05")
    made.add_argument("-k", metavar="EXPR", help="only tests whose name matches, as in pytest")
    made.add_argument("-m", metavar="MARKS", help="only tests with these marks, as in pytest: 'not slow'")
    return made


def check(argv: list[str]) -> None:
    """Raise ValueError for a lesson that is not there, and end as argparse does for other mistakes and --help."""
    options, _ = parser().parse_known_args(argv)
    root = course_root()
    if options.lesson and root:
        lesson_mark(root, options.lesson)


def main(argv: list[str]) -> int:
    """Run the command; returns pytest's exit status."""
    options, rest = parser().parse_known_args(argv)
    root = course_root()
    try:
        if root is None:
            raise ValueError("this is not a checkout of the course: change into its folder.")
        arguments = pytest_arguments(root, options, rest)
    except ValueError as error:
        print(f"lessonlib test: {error}", file=sys.stderr)
        return 2
    provide(TOOLS)  # what is missing still, tests/conftest.py tells
    return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=root)


def pytest_arguments(root: Path, options, rest: list[str]) -> list[str]:
    """What pytest is told; nothing asked for means everything, two files at a time. ValueError names the lessons when
    there is no such one."""
    marks = [f"({options.m})"] if options.m else []
    if options.lesson:
        marks.append(lesson_mark(root, options.lesson))
    made = list(rest)
    made += ["-m", " and ".join(marks)] if marks else []
    made += ["-k", options.k] if options.k else []
    return made or list(TWO_FILES)


def lesson_mark(root: Path, lesson: str) -> str:
    """The pytest mark of a lesson given as 5, 05 or 05_kv_cache."""
    number = lesson.split("_")[0].rjust(2, "0")
    known = sorted({path.parent.name[:2] for path in root.glob("solutions/[0-9][0-9]_*/*.py")})
    if number not in known:
        raise ValueError(f"there is no lesson {lesson!r}; there are {', '.join(known) or 'none yet'}.")
    return f"l{number}"


def strict() -> bool:
    """Whether a missing program must fail rather than leave tests out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def missing(tools=TOOLS) -> list[Tool]:
    """The programs that are not here."""
    return [tool for tool in tools if not tool.found()]


def provide(tools=TOOLS) -> list[Tool]:
    """Install the packages of missing programs where that is possible (root on Debian and its kin). Returns what is
    missing still."""
    wanted = missing(tools)
    if not wanted or not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return wanted
    packages = [tool.package for tool in wanted]
    print(f"Installing {', '.join(packages)} with apt-get ...", flush=True)
    if _apt("install", "-y", *packages):  # lists of packages may be missing or old
        _apt("update")
        if status := _apt("install", "-y", *packages):
            print(f"apt-get could not install them (status {status}).", file=sys.stderr)
    return missing(tools)


def install_line(tools) -> str:
    """The one line that brings the packages of these programs."""
    return f"sudo apt-get install {' '.join(sorted({tool.package for tool in tools}))}"


def _version(place: Path) -> list[int]:
    """The numbers in a path, so that version 15 comes after 9."""
    return [int(number) for number in re.findall(r"\d+", str(place))]


def _apt(*arguments: str) -> int:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.call(["apt-get", "-qq", *arguments], env=environment, stdout=subprocess.DEVNULL)
