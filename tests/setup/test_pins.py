"""Ranges in pyproject.toml, exact versions in constraints.txt, and nothing that names a place to download from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from . import pins

ROOT = Path(__file__).resolve().parents[2]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


@pytest.fixture(scope="module")
def constraints():
    return pins.read(ROOT / "constraints.txt")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_everything_that_is_installed_is_pinned(constraints):
    installed = pins.closure()
    assert len(installed) > 100
    assert {name: constraints.get(name) for name in installed} == installed


def test_pins_are_inside_the_ranges(constraints, project):
    asked = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(constraints[pins.name_of(requirement.name)]), requirement


def test_hosted_notebooks_keep_the_packages_they_have(project):
    """Versions that Colab ships: the package's own ranges must not ask for others."""
    there = {"torch": "2.11.0", "transformers": "5.15.0", "tokenizers": "0.22.2", "tiktoken": "0.14.0",
             "numpy": "2.1.3", "matplotlib": "3.10.0", "ipywidgets": "7.7.1"}  # fmt: skip
    ranges = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    assert all(ranges[name].contains(version) for name, version in there.items())
    assert not any("==" in str(specifier) for specifier in ranges.values())


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "binder/requirements.txt", "binder/postBuild",
                                  "binder/start", ".ci/run", "lessonlib/packages.py", "lessonlib/environment.py"])  # fmt: skip
def test_no_address_of_a_registry_but_pytorchs(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    found = set(re.findall(r"(?:https?|file)://[^\s\"'<>]+", text)) - {CPU_INDEX}
    assert found <= {"https://github.com/"}, found


def test_the_reader_of_pins_refuses_what_is_no_pin(tmp_path):
    path = tmp_path / "c.txt"
    for line in ("torch>=2.6", "torch==2.13.0+cpu", "lessonlib @ file:///somewhere", "--index-url https://example.org"):
        path.write_text(line + "\n")
        with pytest.raises(ValueError, match="is no exact pin"):
            pins.read(path)
