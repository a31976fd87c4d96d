"""The learner edition: gaps opened, hidden tests removed, the outputs of all other cells kept, learners' files kept.

The steps are nbgrader's own preprocessors with three of ours between them, and the same list stands in
nbgrader_config.py: what `lessonlib build` writes is what `nbgrader generate_assignment` releases."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets.config import Config
from traitlets.utils.importstring import import_item

STEPS = [
    "lessonlib.course.release.KeepLearnersWork",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions",
    "lessonlib.course.release.ClearAnswerOutputs",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
    "lessonlib.course.release.StampRelease",
]
STUB = "# YOUR CODE HERE\nraise NotImplementedError"
TEXT_STUB = "YOUR ANSWER HERE"


def release(notebook) -> nbformat.NotebookNode:
    """The learner edition of a built notebook, as nbgrader would release it (its database step aside)."""
    config = Config()
    config.ClearSolutions.code_stub = {"python": STUB}
    config.ClearSolutions.text_stub = TEXT_STUB
    made = copy.deepcopy(notebook)
    for name in STEPS:
        if not name.endswith((".SaveCells", ".KeepLearnersWork")):
            made, _ = import_item(name)(config=config).preprocess(made, {})
    return made


def keep_learners_copy(path: Path, kept: Path) -> Path | None:
    """Move the notebook at `path` into the folder `kept` when a learner changed it since it was released.

    Returns where it is now, or None when there was nothing to keep."""
    if not path.is_file() or is_pristine(path):
        return None
    kept.mkdir(parents=True, exist_ok=True)
    number = 1
    while (target := kept / f"{path.stem}.mine-{number}.ipynb").exists():
        number += 1
    path.rename(target)
    return target


def is_pristine(path: Path) -> bool:
    """Whether the notebook is as the release wrote it: same cells, same outputs. An unreadable file is not."""
    try:
        notebook = nbformat.read(path, as_version=4)
        return notebook.metadata.lessonlib.released_sha256 == content_hash(notebook)
    except Exception:  # whatever is wrong with the file, it is not what the release wrote, so it is kept
        return False


def content_hash(notebook) -> str:
    """A sha256 over what a learner can change: every cell's source and outputs."""
    cells = [[cell.cell_type, cell.source, cell.get("outputs", [])] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


class ClearAnswerOutputs(NbGraderPreprocessor):
    """Removes the outputs of exercise and test cells, which would give answers away, and keeps all others."""

    def preprocess_cell(self, cell, resources, index):
        """Clear one cell."""
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and (about.get("solution") or about.get("grade")):
            cell.outputs, cell.execution_count = [], None
        return cell, resources


class StampRelease(NbGraderPreprocessor):
    """Writes the hash of the released content into the notebook, so that a learner's change is noticed later."""

    def preprocess(self, notebook, resources):
        """Stamp the notebook."""
        about = notebook.metadata.setdefault("lessonlib", {})
        about["released_sha256"] = content_hash(notebook)
        return notebook, resources


class KeepLearnersWork(NbGraderPreprocessor):
    """Saves learners' changed notebooks before nbgrader replaces a release folder.

    nbgrader makes its preprocessors before it removes the old release, and offers no hook in between, so the saving
    is done when this one is made. It changes nothing in the notebook."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        converter = getattr(self.parent, "parent", None)
        if hasattr(converter, "coursedir"):
            course = converter.coursedir
            folder = Path(course.format_path(course.release_directory, ".", course.assignment_id))
            for path in sorted(folder.glob("*.ipynb")):
                target = keep_learners_copy(path, Path(course.root) / "kept" / course.assignment_id)
                if target:
                    converter.log.warning("Kept the changed notebook %s as %s", path, target)

    def preprocess(self, notebook, resources):
        """Leave the notebook as it is."""
        return notebook, resources
