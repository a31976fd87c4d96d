"""The Binder image without an engine: its recipe is rendered, and its steps are replayed in a fresh environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup import pins
from tests.support import checkout

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"


@pytest.fixture(scope="module")
def dockerfile():
    """The image's recipe, as repo2docker would hand it to an engine."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def line_of(dockerfile: str, text: str) -> int:
    """Where a step stands; fails when it does not stand there exactly once."""
    found = [number for number, line in enumerate(dockerfile.splitlines()) if text in line]
    assert len(found) == 1, (text, found)
    return found[0]


def test_the_recipe_has_the_steps_in_an_order_that_caches_the_packages(dockerfile):
    packages = line_of(dockerfile, 'pip install --no-cache-dir -r "binder/requirements.txt"')
    copied = line_of(dockerfile, " src/ ${REPO_DIR}/")
    built = line_of(dockerfile, "RUN ./binder/postBuild")
    started = line_of(dockerfile, 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"')
    assert packages < copied < built < started


def test_the_recipe_has_python_3_11_and_no_conda_environment_of_ours(dockerfile):
    assert (BINDER / "runtime.txt").read_text().strip() == "python-3.11"
    assert re.search(r"environment-2epy-2d3-2e11-", dockerfile) and "environment.yml" not in dockerfile


def test_the_packages_are_those_of_the_constraints():
    assert pins.read(BINDER / "requirements.txt") == pins.closure(["lab"])
    constraints = pins.read(ROOT / "constraints.txt")
    assert pins.read(BINDER / "requirements.txt").items() <= constraints.items()


def test_cpu_torch_is_offered_and_no_line_is_local():
    """A local line (`.`, `-e .`, `-r`) would cost Binder its cached layer of packages."""
    lines = (BINDER / "requirements.txt").read_text().splitlines()
    options = [line for line in lines if line.startswith(("-", "."))]
    assert options == ["--extra-index-url https://download.pytorch.org/whl/cpu"]


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_are_programs_that_stop_at_an_error(name):
    path = BINDER / name
    assert os.access(path, os.X_OK) and "set -euo pipefail" in path.read_text()
    assert subprocess.run(["bash", "-n", str(path)]).returncode == 0
    if (ROOT / ".git").exists():
        mode = subprocess.run(["git", "ls-files", "-s", str(path)], cwd=ROOT, capture_output=True, text=True).stdout
        assert not mode or mode.startswith("100755")


def test_a_session_is_offline_and_uses_the_image_as_it_is():
    code = "import os; print(os.environ['HF_HUB_OFFLINE'], os.environ['LESSONLIB_ENV'], os.environ['OMP_NUM_THREADS'])"
    done = subprocess.run([str(BINDER / "start"), sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "current", "2"], done.stderr


@pytest.mark.slow
def test_the_steps_work_in_a_fresh_environment(tmp_path, monkeypatch):
    """Needs the registries: what the image runs as its user, in a virtual environment in place of its conda one."""
    from repo2docker.buildpacks import PythonBuildPack

    image = checkout.copy(tmp_path / "image")
    monkeypatch.chdir(image)
    pack = PythonBuildPack("unused")
    pack.platform = "linux/amd64"
    assert pack.detect() and pack.python_version == "3.11"

    base = getattr(sys, "_base_executable", sys.executable)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([base, "-m", "venv", str(tmp_path / "env")], check=True)
    environment = {
        **os.environ, "KERNEL_PYTHON_PREFIX": str(tmp_path / "env"), "REPO_DIR": str(image), "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        "PIP_RETRIES": "0",  # where PyTorch's index is out of reach, pip would try it again for every package
    }  # fmt: skip
    for name in ("HF_HUB_OFFLINE", "LESSONLIB_ENV", "PYTHONPATH"):
        environment.pop(name, None)

    steps = [step for user, step in [*pack.get_preassemble_scripts(), *pack.get_assemble_scripts()] if user != "root"]
    steps += [f"./{step}" for step in pack.get_post_build_scripts()]
    assert len(steps) == 2
    for step in steps:
        run(["bash", "-c", step], image, environment)

    start = pack.get_start_script().replace("${REPO_DIR}", str(image))
    # Everything that a visitor's first minutes need: the course from the image, a lesson, the learner's profile.
    code = (
        "import lessonlib, torch, nbgrader; from lessonlib import models; models.load('mini'); "
        "print(lessonlib.__file__, torch.__version__, torch.cuda.is_available())"
    )
    said = run([start, "python", "-c", code], tmp_path, environment).split()
    assert said[0].startswith(str(tmp_path / "env")) and said[2] == "False"
    lesson = run([start, "python", "-m", "lessonlib", "lab", "--lite-check"], image, environment)
    assert "Your machine works." in lesson
    page = run([start, "jupyter", "lab", "path"], image, environment)
    assert str(tmp_path / "env") in page
    assert "create-assignment" in (tmp_path / "env/etc/jupyter/labconfig/page_config.json").read_text()


def run(command: list[str], folder: Path, environment: dict) -> str:
    """Run a step; its output, or a failure that shows it."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
