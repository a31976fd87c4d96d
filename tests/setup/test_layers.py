"""Imports go down only: facts < calc < models < labs < serving < checks < page; course, grading, commands on top."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lessonlib"
LAYERS = ["facts", "calc", "models", "labs", "serving", "checks", "page"]
TOPS = ["course", "grading", "commands"]
BASE = {"paths", "learner"}  # every layer may use them
START = {"__main__", "environment", "packages", "cli", "lab", "testing"}  # what runs before packages are there
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def imports(tree: ast.AST, package: str) -> set[str]:
    """Absolute names that a module of `package` imports, those inside functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            base = base if node.level else node.module
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def own_parts(names: set[str]) -> set[str]:
    """First parts below lessonlib: {"calc", "paths"}."""
    parts = {name.split(".")[1] for name in names if name.startswith("lessonlib.")}
    return {part for part in parts if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()}


def read(path: Path) -> set[str]:
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    return imports(ast.parse(path.read_text(encoding="utf-8")), package)


def allowed(path: Path) -> set[str]:
    """What a module may import of lessonlib."""
    place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    everything = {*LAYERS, *TOPS, *BASE, *START, "lite_check"}
    if place in (*BASE, "__init__"):
        return set()
    if place == "calc":
        return {"calc"}
    if place in LAYERS:
        return {*LAYERS[: LAYERS.index(place) + 1], *BASE}
    return everything - {"cli", "__main__"} if place in TOPS else everything


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    assert own_parts(read(path)) <= allowed(path)


@pytest.mark.parametrize("name", sorted(START | BASE | {"calc"}))
def test_what_runs_on_a_bare_python_imports_the_standard_library_only(name):
    files = [p for p in MODULES if p.relative_to(PACKAGE).parts[0] in (name, f"{name}.py")]
    assert files
    foreign = {n.split(".")[0] for path in files for n in read(path)} - set(sys.stdlib_module_names) - {"lessonlib"}
    assert not foreign


def test_no_lesson_imports_the_makers_or_the_instructors_side():
    sources = sorted(ROOT.glob("solutions/*/*.py"))
    assert sources
    for path in sources:
        if path.name != "wrong_answers.py":
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "import" in line]
            used = own_parts({word for line in lines for word in line.replace(",", " ").split()})
            assert not used & {*TOPS, *START}, path.name


@pytest.mark.parametrize(
    "code, package, found",
    [
        ("import lessonlib.page.theme", "lessonlib.calc", "page"),
        ("from lessonlib import page", "lessonlib.calc", "page"),
        ("from ..page import theme", "lessonlib.calc", "page"),
        ("from .. import page", "lessonlib.calc", "page"),
        ("def f():\n    from ..course.build import main", "lessonlib.page", "course"),
        ("from .core import expect", "lessonlib.checks", "checks"),
        ("from . import paths", "lessonlib", "paths"),
    ],
)
def test_the_walk_sees_every_form_of_import(code, package, found):
    assert found in own_parts(imports(ast.parse(code), package))
