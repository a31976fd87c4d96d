"""`lessonlib test`: bring the system programs that some tests need, then run pytest."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from .paths import course_root


@dataclass(frozen=True)
class Tool:
    """A program of the system: what it is called, its Debian package, and the mark of the tests that need it."""

    programs: tuple[str, ...]
    package: str
    mark: str

    def found(self) -> str | None:
        """Its path, or None."""
        return next(filter(None, map(shutil.which, self.programs)), None)


TOOLS = [Tool(("chromium", "chromium-browser", "google-chrome"), "chromium", "browser")]


def parser() -> argparse.ArgumentParser:
    """The command's options; what it does not know goes to pytest."""
    made = argparse.ArgumentParser(
        prog="lessonlib test", description="Run the course's tests. Further options go to pytest.", add_help=True
    )
    made.add_argument("--lesson", metavar="NN", help="only the gates of one lesson, for example 05")
    made.add_argument("-k", metavar="EXPR", help="only tests whose name matches, as in pytest")
    return made


def main(argv: list[str]) -> int:
    """Run the command; returns pytest's exit status, 1 when a program is missing in CI."""
    options, rest = parser().parse_known_args(argv)
    root = course_root()
    if root is None:
        print("lessonlib test: this is not a checkout of the course: change into its folder.", file=sys.stderr)
        return 2
    arguments = [*rest]
    missing: list[Tool] = []
    if options.lesson:
        arguments += ["-m", f"l{options.lesson:0>2}"]
    else:
        missing = [tool for tool in TOOLS if not provide(tool)]
        if missing and os.environ.get("CI"):
            print(f"lessonlib test: missing in CI: {_names(missing)}", file=sys.stderr)
            return 1
        if missing:
            arguments += ["-m", " and ".join(f"not {tool.mark}" for tool in missing)]
    if options.k:
        arguments += ["-k", options.k]
    environment = {**os.environ, "LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
    status = subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=root, env=environment)
    if missing:
        marks = ", ".join(tool.mark for tool in missing)
        print(f"\n!!! LEFT OUT: the tests marked {marks}, for want of {_names(missing)}.", file=sys.stderr)
        print(f"!!! Bring them with: sudo apt-get install {' '.join(t.package for t in missing)}", file=sys.stderr)
    return status


def provide(tool: Tool) -> bool:
    """Whether the program is there, after trying to install its package where that is possible (root on Debian)."""
    if tool.found():
        return True
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    print(f"Installing {tool.package} ...", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.call(["apt-get", "update", "-qq"], env=quiet, stdout=subprocess.DEVNULL)
    subprocess.call(["apt-get", "install", "-y", "-qq", tool.package], env=quiet, stdout=subprocess.DEVNULL)
    return tool.found() is not None


def _names(tools: list[Tool]) -> str:
    return ", ".join(tool.package for tool in tools)
