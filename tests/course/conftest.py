"""A small course in a temporary folder: one lesson that needs no model and starts in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

SOURCE = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 91_sample, title: A sample, minutes: 5}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # A sample
#
# **Does it build?**

# %%
print("kept output")

# %%
import ipywidgets
ipywidgets.HTML("live")

# %% nbgrader={"grade_id": "l91_e1_twice", "solution": true}
def twice(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% nbgrader={"grade_id": "l91_e1_check", "grade": true, "points": 1}
assert twice(2) == 4, "twice of 2 is 4"
print("well done")

# %% nbgrader={"grade_id": "l91_e1_hidden", "grade": true, "points": 4}
# hidden
### BEGIN HIDDEN TESTS
sum(twice(x) == 2 * x for x in range(4)) * 1.0
### END HIDDEN TESTS
"""


def make(root: Path, monkeypatch) -> Path:
    """Write the small course into `root`, which becomes the working directory."""
    (root / "pyproject.toml").write_text('[tool.lessonlib]\nrepository = ""\nbranch = "main"\n', encoding="utf-8")
    (root / "README.md").write_text("# x\n<!-- badges -->\n<!-- /badges -->\n", encoding="utf-8")
    folder = root / "solutions" / "91_sample"
    folder.mkdir(parents=True)
    (folder / "91_sample.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    """The root of the small course, which is also the working directory."""
    return make(tmp_path, monkeypatch)


@pytest.fixture
def source(course) -> Path:
    """The sample's percent-format source."""
    return course / "solutions" / "91_sample" / "91_sample.py"
