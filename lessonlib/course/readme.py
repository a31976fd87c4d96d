"""The README's badge lines, from the one address in pyproject."""

from __future__ import annotations

import re
from pathlib import Path

from ..paths import settings
from .source import atomic_write

BEGIN, END = "<!-- badges -->", "<!-- /badges -->"


def refresh(root: Path, check: bool = False) -> bool:
    """Write the badge lines between their marks; returns whether the README had others. With `check`, only look.

    ValueError when a mark is missing or the address is not a GitHub one."""
    path = root / "README.md"
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md needs the marks {BEGIN} and {END} once each: put them where badges belong.")
    head, _, rest = text.partition(BEGIN)
    fresh = f"{head}{BEGIN}\n{badges(settings(root))}{END}{rest.partition(END)[2]}"
    if fresh != text and not check:
        atomic_write(path, fresh)
    return fresh != text


def badges(setting: dict) -> str:
    """The lines for a repository address: clone, Binder, Colab. Empty while there is no address."""
    repository, branch = setting.get("repository", ""), setting.get("branch", "main")
    if not repository:
        return ""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)/?", repository)
    if not match:
        raise ValueError(
            f"[tool.lessonlib] repository is {repository!r}, but must be https://github.com/<owner>/<name>."
        )
    first = "notebooks/00_start_here/00_start_here.ipynb"
    return (
        f"[Open in Binder](https://mybinder.org/v2/gh/{match[1]}/{branch}?labpath={first.replace('/', '%2F')}) · "
        f"[Open in Colab](https://colab.research.google.com/github/{match[1]}/blob/{branch}/{first}) · "
        f"clone: `git clone https://github.com/{match[1]}`\n"
    )
