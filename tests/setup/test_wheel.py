"""The package installed alone, as on Colab: the wheel carries weights, facts, quizzes and records."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lessonlib import paths
from tests.support import checkout

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The folder into which the wheel of this checkout is unpacked. Built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "alone")
    return folder / "alone"


def tracked(folder: str) -> set[str]:
    """Files of this folder that a clone has."""
    return {name for name in checkout.files() if name.startswith(folder + "/")}


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    there = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    expected = tracked("lessonlib")
    assert {"lessonlib/facts/models.yaml", "lessonlib/models/weights/mini/model.safetensors"} <= expected
    assert expected <= there
    assert all((wheel / name).stat().st_size == (ROOT / name).stat().st_size for name in expected)


def test_the_records_are_in_the_wheel(wheel):
    records = {Path(name).name for name in tracked("benchmarks/results")}
    assert records == {path.name for path in (wheel / "lessonlib" / "records").iterdir()}
    for path in (wheel / "lessonlib" / "records").glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["name"] == path.stem


def test_nothing_else_is_in_the_wheel(wheel):
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == {"lessonlib"}


def test_alone_it_finds_its_records_and_no_checkout(wheel):
    code = "from lessonlib import paths; print(paths.course_root(), paths.records_dir())"
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    done = subprocess.run([sys.executable, "-c", code], cwd=wheel, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["None", str((wheel / "lessonlib" / "records").resolve())], done.stderr


def test_alone_it_loads_the_embedded_model(wheel):
    code = (
        "import lessonlib, lessonlib.models as m; model, tokenizer = m.load('mini'); "
        "print(lessonlib.__file__, sum(p.numel() for p in model.parameters()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    done = subprocess.run([sys.executable, "-c", code], cwd=wheel, env=environment, capture_output=True, text=True)
    file, count = done.stdout.split()
    assert Path(file).is_relative_to(wheel) and int(count) > 1e6, done.stderr


def test_in_a_checkout_the_records_are_those_of_the_benchmarks(monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    assert paths.records_dir() == ROOT / "benchmarks" / "results"
