"""Which packages an install brings: the closure of requirements over what is installed here.

python -m tests.setup.pins                 prints constraints.txt's pins
python -m tests.setup.pins lab             prints binder/requirements.txt's pins"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def name_of(text: str) -> str:
    """A package name as registries compare it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def read(path: Path) -> dict[str, str]:
    """{name: version} of the exact pins in a file; ValueError for a line that is something else."""
    pins = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith(("#", "--extra-index-url ")):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line)
            if match is None:
                raise ValueError(f"{path.name}: {line!r} is no exact pin")
            pins[name_of(match[1])] = match[2]
    return pins


def closure(extras=("lab", "dev")) -> dict[str, str]:
    """{name: installed version} of everything that lessonlib with these extras asks for on this machine."""
    seen, found, todo = set(), {}, [("lessonlib", frozenset(extras))]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        package = metadata.distribution(name)
        found[name_of(package.metadata["Name"])] = package.version.split("+")[0]
        for text in package.requires or ():
            requirement = Requirement(text)
            environments = [{**default_environment(), "extra": extra} for extra in ("", *wanted)]
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                todo.append((name_of(requirement.name), frozenset(requirement.extras)))
    del found["lessonlib"]
    return dict(sorted(found.items()))


if __name__ == "__main__":
    for name, version in closure(sys.argv[1:] or ("lab", "dev")).items():
        print(f"{name}=={version}")
