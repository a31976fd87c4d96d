"""The command line before any environment exists: help, mistakes, old Pythons."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lessonlib import cli

ROOT = Path(__file__).resolve().parents[2]
# Prints the modules outside the standard library and lessonlib that an import brought.
FOREIGN = """
import sys
{0}
names = {{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names) - {{"lessonlib"}}
print(sorted(n for n in names if not n.startswith("_") and n not in ("sitecustomize", "usercustomize")))
"""


def python(*arguments, **options) -> subprocess.CompletedProcess:
    """Run this Python in the checkout."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, **options)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(argv, capsys):
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS) and "python3 -m lessonlib lab" in out


@pytest.mark.parametrize("typed, meant", [("lba", "lab"), ("tests", "test"), ("buidl", "build"), ("qqq", None)])
def test_an_unknown_command_exits_2_with_the_nearest(typed, meant, capsys):
    assert cli.main([typed]) == 2
    said = capsys.readouterr().err
    assert repr(typed) in said and (f"Did you mean {meant!r}?" in said if meant else "Did you mean" not in said)


@pytest.mark.parametrize(
    "argv, says",
    [
        (["lab", "--port", "99999"], "--port 99999 is no port"),
        (["lab", "--port", "x"], "invalid int value"),
        (["lab", "--prot", "1"], "unrecognized arguments"),
        (["test", "--lesson", "99"], "there is no lesson '99'; there are 00, "),
    ],
)
def test_mistakes_are_told_before_a_set_up(argv, says, capsys, monkeypatch):
    monkeypatch.setattr(cli, "import_module", only_bare)
    assert cli.problem_with(argv) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.BARE)
def test_options_of_lab_and_test_need_no_environment(name, capsys, monkeypatch):
    monkeypatch.setattr(cli, "import_module", only_bare)
    assert cli.problem_with([name, "--help"]) == 0
    assert f"usage: lessonlib {name}" in capsys.readouterr().out


def only_bare(name):
    """Import what a bare Python has."""
    import importlib

    assert name in ("lessonlib.lab", "lessonlib.testing")
    return importlib.import_module(name)


def test_a_command_gets_its_arguments_and_gives_the_status(monkeypatch):
    class Module:
        @staticmethod
        def main(argv):
            return len(argv)

    monkeypatch.setattr(cli, "import_module", lambda name: Module)
    assert cli.main(["build", "05", "--check"]) == 2


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_exists(command):
    assert python("-m", "lessonlib.cli", command, "--help").returncode == 0


@pytest.mark.parametrize(
    "modules",
    ["lessonlib", "lessonlib.__main__, lessonlib.environment, lessonlib.cli, lessonlib.lab, lessonlib.testing"],
)
def test_the_start_needs_the_standard_library_only(modules):
    done = python("-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + FOREIGN.format(f"import {modules}"))
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_importing_the_package_imports_nothing_else_of_it():
    code = "import lessonlib, sys; print(sorted(n for n in sys.modules if n.startswith('lessonlib')))"
    assert python("-c", code).stdout.strip() == "['lessonlib']"


def test_calc_needs_the_standard_library_only():
    names = sorted(path.stem for path in (ROOT / "lessonlib" / "calc").glob("[a-z]*.py"))
    assert names
    code = FOREIGN.format("import " + ", ".join(f"lessonlib.calc.{name}" for name in names))
    assert python("-c", code).stdout.strip() == "[]"


def test_an_old_python_gets_one_sentence():
    code = (
        "import sys, runpy; sys.argv = ['lessonlib', 'lab']; sys.version_info = (3, 9, 18, 'final', 0); "
        "runpy.run_module('lessonlib', run_name='__main__')"
    )
    done = python("-c", code)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("lessonlib: this is Python 3.9, and the course needs 3.11 or newer: start it with ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.9", "3.10"])
def test_real_old_pythons_read_the_start(version):
    """Where this machine has them, by name or in pyenv's folder."""
    homes = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    program = next(iter(homes), None) or shutil.which(f"python{version}")
    if program is None or subprocess.run([str(program), "-c", ""], capture_output=True).returncode:
        pytest.skip(f"no Python {version} here")
    done = subprocess.run([str(program), "-B", "-m", "lessonlib", "lab"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"lessonlib: this is Python {version}, and the course needs")


def test_the_start_is_written_for_old_pythons():
    """No syntax newer than Python 3.0 in the two files that an old Python reads."""
    import ast

    for name in ("__init__.py", "__main__.py"):
        text = (ROOT / "lessonlib" / name).read_text(encoding="utf-8")
        text.encode("ascii")  # Python 2 reads no other letters without being told
        tree = ast.parse(text, feature_version=(3, 4))
        nodes = {type(node).__name__ for node in ast.walk(tree)}
        assert not nodes & {"JoinedStr", "NamedExpr", "Match", "AnnAssign", "AsyncFunctionDef"}, name


def test_a_set_up_error_is_one_sentence_and_status_2(tmp_path):
    """Outside a checkout: the package lies somewhere alone."""
    shutil.copytree(ROOT / "lessonlib", tmp_path / "lessonlib", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    environment = {name: value for name, value in os.environ.items() if name != "LESSONLIB_ENV"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import runpy; "
         "sys.argv = ['lessonlib', 'build']; runpy.run_module('lessonlib', run_name='__main__')"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("lessonlib: this is not a checkout of the course")
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_sees_no_traceback():
    code = f"{sys.executable} -m lessonlib.cli claims --missing | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""
