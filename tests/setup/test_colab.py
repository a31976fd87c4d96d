"""The page library on the versions that Colab ships: its tests again, in an environment with these pins.

Slow: it installs from package registries. Everything that is not pinned here comes from this environment."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# googlecolab/backend-info, commit "Upgrade to Python 3.13" of 2026-08-19.
PINS = {
    "ipywidgets": "7.7.1",
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "traitlets": "5.7.1",
    "numpy": "2.1.3",
    "pytest": "8.4.2",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with Colab's pins, and after them all other packages of this environment."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    made = folder / "bin" / "python"
    pins = [f"{name}=={version}" for name, version in PINS.items()]
    done = subprocess.run([str(made), "-m", "pip", "install", "-q", *pins], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "zz_others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    return made


@pytest.mark.slow
def test_the_page_library_works_on_colabs_versions(python):
    code = f"from importlib.metadata import version; print([version(n) for n in {list(PINS)!r}])"
    assert subprocess.check_output([str(python), "-c", code], text=True).strip() == str(list(PINS.values()))
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        "tests/page",
        "tests/calc",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-6000:]
    assert "skipped" not in done.stdout, "a skipped widget test says nothing about Colab"
