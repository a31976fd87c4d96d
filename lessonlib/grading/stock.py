"""Stock nbgrader's steps, driven one submission at a time, so that one bad submission never stops the rest.

Everything that is read or written is nbgrader's own: its configuration, folders, gradebook schema and feedback pages.
Submissions run in an ordinary Jupyter kernel on this machine, without isolation."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

# nbgrader names its cells l05_e2_check, l05_e2_hidden ...: the exercise is what stands before the last word.
_PART = re.compile(r"_(check|hidden)$")


@dataclass
class Outcome:
    """What became of one submission. `problem` is empty when all went well; `exercises` maps an exercise to
    [points, maximum]; `manual` says whether a cell still waits for the instructor."""

    student: str
    score: float = 0.0
    max_score: float = 0.0
    exercises: dict[str, list[float]] = field(default_factory=dict)
    manual: bool = False
    problem: str = ""
    feedback: str = ""
    graded_now: bool = False


def open_course(root: Path):
    """nbgrader's API over the course folder `root` (which must hold nbgrader_config.py).

    ValueError when there is no such file, or when a tool that nbgrader calls by name is missing."""
    config_file = root / "nbgrader_config.py"
    if not config_file.is_file():
        raise ValueError(f"{root} holds no nbgrader_config.py: give the course folder with --course DIR.")
    # nbgrader runs `alembic` by bare name when it makes a gradebook; without it the gradebook is left half-made.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["LESSON_FACTS"] = "off"  # an instructor's own models and cards change nobody's points
    if shutil.which("alembic") is None:
        raise ValueError(
            "The program alembic, which nbgrader needs, is not installed: run python3 -m lessonlib lab once."
        )
    warnings.filterwarnings("ignore", message="Object of type <Submitted")
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader(config_file.name, path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    logging.getLogger("traitlets").setLevel(logging.WARNING)
    coursedir = CourseDirectory(config=config)
    _make_gradebook_folder(coursedir.db_url)
    return NbGraderAPI(coursedir=coursedir, config=config)


def find_assignment(api, name: str) -> str:
    """`name`, when the course has such an assignment; ValueError suggests the nearest otherwise."""
    known = sorted(api.get_source_assignments())
    if name in known:
        return name
    near = get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"The course has no assignment {name!r}; it has {', '.join(known) or 'none'}.{hint}")


def register(api, assignment: str) -> None:
    """Put the assignment's cells and points into the gradebook, unless they are there.

    The release is written to a scratch folder, so neither the learner edition nor anyone's work is touched.
    RuntimeError with nbgrader's reason when the source notebook is refused."""
    from nbgrader.api import MissingEntry

    with api.gradebook as gradebook:
        try:
            if gradebook.find_assignment(assignment).notebooks:
                return
        except MissingEntry:
            pass
    with tempfile.TemporaryDirectory() as scratch:
        release, root = api.coursedir.release_directory, api.coursedir.root
        api.coursedir.release_directory = os.path.relpath(scratch, root)
        try:
            result = api.generate_assignment(assignment, force=True)
        finally:
            api.coursedir.release_directory = release
    if not result["success"]:
        raise RuntimeError(f"nbgrader refused the source of {assignment}: {_last_error(result)}")


def grade_one(api, assignment: str, student: str, force: bool, feedback: bool, log: Path) -> Outcome:
    """Autograde one submission, write its feedback page, and read its scores. Never raises for what the submission
    does: the reason is in the outcome, nbgrader's own words in the file `log`."""
    known = student in api.get_autograded_students(assignment)
    result = {"success": True} if known and not force else api.autograde(assignment, student, force=True)
    lines = [result.get("log", ""), result.get("error", "")]
    outcome = Outcome(student, graded_now=not (known and not force))
    if not result["success"]:
        outcome.problem = _last_error(result)
    else:
        _read_scores(api, assignment, outcome)
        if feedback:
            made = api.generate_feedback(assignment, student, force=True)
            lines += [made.get("log", ""), made.get("error", "")]
            if made["success"]:
                outcome.feedback = api.coursedir.format_path(api.coursedir.feedback_directory, student, assignment)
            else:
                outcome.problem = f"graded, but no feedback page: {_last_error(made)}"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(filter(None, lines)), encoding="utf-8")
    return outcome


def export_csv(api, assignment: str, path: Path) -> Path:
    """nbgrader's own CSV of the assignment, written beside and renamed to `path`."""
    from nbgrader.plugins import CsvExportPlugin

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with api.gradebook as gradebook:
        CsvExportPlugin(to=str(partial), assignment=[assignment]).export(gradebook)
    return partial.replace(path)


def _read_scores(api, assignment: str, outcome: Outcome) -> None:
    with api.gradebook as gradebook:
        submission = gradebook.find_submission(assignment, outcome.student)
        outcome.score, outcome.max_score = submission.score, submission.max_score
        outcome.manual = submission.needs_manual_grade
        grades = [g for notebook in submission.notebooks for g in notebook.grades]
        for grade in sorted(grades, key=lambda g: g.name):
            points = outcome.exercises.setdefault(_PART.sub("", grade.name), [0.0, 0.0])
            points[0] += grade.score
            points[1] += grade.max_score
        outcome.problem = _timeouts(api, assignment, outcome.student)


def _timeouts(api, assignment: str, student: str) -> str:
    """Says which cells were stopped for running too long; nbgrader itself only stores it in the notebook."""
    import nbformat

    folder = Path(api.coursedir.format_path(api.coursedir.autograded_directory, student, assignment))
    slow = []
    for path in sorted(folder.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if any(o.get("ename") == "CellTimeoutError" for o in cell.get("outputs", ())):
                slow.append(cell.metadata.get("nbgrader", {}).get("grade_id", cell.get("id", "?")))
    return f"stopped for running too long: {', '.join(slow)}" if slow else ""


def _last_error(result: dict) -> str:
    """The most telling line of nbgrader's log or traceback."""
    text = (result.get("log") or "") + "\n" + (result.get("error") or "")
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    telling = [
        line for line in lines if re.match(r"([\w.]+(Error|Exception)\b.*:)", line) and "NbGraderException" not in line
    ]
    return (telling or lines or ["nbgrader gave no reason"])[-1]


def _make_gradebook_folder(db_url: str) -> None:
    if db_url.startswith("sqlite:///"):
        Path(db_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
