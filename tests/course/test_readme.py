"""The README: badges from one setting, commands that exist, links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from lessonlib.cli import COMMANDS
from lessonlib.course.readme import refresh

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "AGENTS.md",
    "LICENSE-TEXT.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)


def commands() -> list[list[str]]:
    """The lessonlib command lines in the README's fenced blocks, without the program's name."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    lines = [re.sub(r"^python3 -m lessonlib", "lessonlib", line) for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("lessonlib ") and not re.search(r"\s{2,}", line)]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_exist(command):
    name, *options = command
    parser = import_module(COMMANDS[name][0]).parser()
    parser = parser[0] if isinstance(parser, tuple) else parser  # some give their subcommands, too
    parser.parse_args(options)  # SystemExit for an option that it does not know


def test_there_are_commands_to_check():
    assert {c[0] for c in commands()} == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / page).parent.joinpath(target.split("#")[0]).exists(), target


def test_no_address_while_there_is_none():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not re.search(r"github\.com|mybinder|colab\.research", text)


def test_badges_come_and_go_with_the_address(course):
    assert refresh(course) is False
    (course / "pyproject.toml").write_text(
        '[tool.lessonlib]\nrepository = "https://github.com/o/n"\n', encoding="utf-8"
    )
    assert refresh(course, check=True) is True and "o/n" not in (course / "README.md").read_text(encoding="utf-8")
    assert refresh(course) is True and refresh(course) is False
    text = (course / "README.md").read_text(encoding="utf-8")
    assert (
        "mybinder.org/v2/gh/o/n/main" in text and "git clone https://github.com/o/n" in text and text.startswith("# x")
    )


@pytest.mark.parametrize(
    "readme, address, words",
    [("no marks", "", "needs the marks"), (None, "ftp://x", "must be https://github.com/<owner>/<name>")],
)
def test_mistakes_get_one_sentence(course, readme, address, words):
    if readme:
        (course / "README.md").write_text(readme, encoding="utf-8")
    (course / "pyproject.toml").write_text(f'[tool.lessonlib]\nrepository = "{address}"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        refresh(course)
