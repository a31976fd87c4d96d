"""A course folder as nbgrader sees it: configuration, folders, assignments, gradebook, and what is to be graded.

Any nbgrader course will do: folder names, delimiters, plugins and an existing gradebook come from its own configuration,
read as nbgrader's commands read it."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sys
import tempfile
import warnings
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path

from . import canonical, intake
from .record import load_nbgrader

ALWAYS_IGNORED = [
    "wrong_answers.py",
    "right_answers.py",
    "equivalent_mutants.yaml",
]  # answers of the instructor, whatever a configuration ignores


class Course:
    """One course. `root` is its folder; `config` and `coursedir` are nbgrader's objects."""

    def __init__(self, root: Path):
        """ValueError when `root` holds no nbgrader_config.py, when that file fails, or when its layout is not supported."""
        if not (root / "nbgrader_config.py").is_file():
            raise ValueError(f"{root} holds no nbgrader_config.py: give the course folder with --course DIR.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load_nbgrader()
            from nbgrader.coursedir import CourseDirectory
        warnings.filterwarnings("ignore", message="Object of type <Submitted")  # nbgrader's query under SQLAlchemy 2.1
        # nbgrader runs `alembic` by bare name when it makes a gradebook; without it the gradebook is left half-made.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        os.environ["LESSON_FACTS"] = "off"  # an instructor's own models and cards change nobody's points
        if shutil.which("alembic") is None:
            raise ValueError("The program alembic, which nbgrader needs, is not installed: pip install alembic.")
        self.config = _configuration(root)
        if "root" not in self.config.CourseDirectory:
            self.config.CourseDirectory.root = str(root)
        self.coursedir = CourseDirectory(config=self.config)
        self.root = Path(self.coursedir.root)
        self.db_url, self.course_id = self.coursedir.db_url, self.coursedir.course_id or "default_course"
        structure = Path(self.coursedir.directory_structure).parts
        if structure != ("{nbgrader_step}", "{student_id}", "{assignment_id}"):
            raise ValueError(
                f"CourseDirectory.directory_structure is {self.coursedir.directory_structure!r}; only nbgrader's default, "
                "step/student/assignment, is graded here."
            )

    def folder(self, step: str, assignment: str = "", student: str = ".") -> Path:
        """The folder of a step ("source", "release", "submitted", "autograded", "feedback") for a student's assignment."""
        name = getattr(self.coursedir, f"{step}_directory")
        return Path(os.path.normpath(self.coursedir.format_path(name, student, assignment)))

    def reports(self, assignment: str) -> Path:
        """Where reports of an assignment go: records, logs, pages and exports; beside the autograded folder."""
        return self.folder("autograded").parent / "reports" / intake.check_name(assignment)

    def assignments(self) -> list[str]:
        """Assignments that have a source notebook."""
        return sorted(p.parent.name for p in {p.parent: p for p in self.folder("source").glob("*/*.ipynb")}.values())

    def assignment(self, name: str) -> str:
        """`name`, when there is such an assignment; ValueError suggests the nearest otherwise."""
        known = self.assignments()
        if name in known:
            return name
        near = get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"The course has no assignment {name!r}; it has {', '.join(known) or 'none'}.{hint}")

    def notebooks(self, assignment: str) -> list[str]:
        """Names, without .ipynb, of the assignment's notebooks."""
        ignored = self.coursedir.ignore
        files = sorted(self.folder("source", assignment).glob("*.ipynb"))
        return [p.stem for p in files if not any(fnmatchcase(p.name, pattern) for pattern in ignored)]

    def students(self, assignment: str, pattern: str = "*") -> tuple[list[str], list[str]]:
        """(students who handed the assignment in and match the glob, sorted; sentences about folders that are passed
        over because of their names). Links are not followed."""
        top, found, odd = self.folder("submitted"), [], []
        try:
            entries = sorted(os.scandir(top), key=lambda e: e.name)
        except FileNotFoundError:
            return [], []
        for entry in entries:
            if entry.name.startswith(".") or not fnmatch(entry.name, pattern):
                continue
            if entry.is_symlink() or not entry.is_dir(follow_symlinks=False):
                if entry.is_symlink():
                    odd.append(f"{entry.name!a} below the submitted folder is a link and was passed over.")
                continue
            if not os.path.lexists(os.path.join(entry.path, assignment)):
                continue
            try:
                intake.check_name(entry.name)
                found.append(entry.name)
            except intake.Refused as refused:
                odd.append(f"{refused} Rename the folder.")
        return found, odd

    def gradebook(self):
        """nbgrader's gradebook, open; a context manager. ValueError when the database cannot be opened."""
        from nbgrader.api import Gradebook
        from sqlalchemy.exc import SQLAlchemyError

        if not self.coursedir.course_id and not self.db_url.startswith("sqlite"):
            raise ValueError(
                "CourseDirectory.course_id is empty, which only sqlite forgives: set it in nbgrader_config.py, beside db_url."
            )
        try:
            if self.db_url.startswith("sqlite:///"):
                Path(self.db_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            return Gradebook(self.db_url, self.course_id)
        except (SQLAlchemyError, OSError, ImportError) as error:
            said = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise ValueError(
                f"The gradebook at {_without_password(self.db_url)} cannot be opened: {said}. Mend "
                "CourseDirectory.db_url, or run nbgrader db upgrade when the gradebook is of an older nbgrader."
            ) from None

    def register(self, assignment: str) -> None:
        """Put the assignment's cells and points into the gradebook, unless they are there.

        The release is written to a scratch folder, so neither the learner edition nor anyone's work is touched.
        ValueError with nbgrader's reason when it refuses the source notebook."""
        from nbgrader.api import MissingEntry

        with self.gradebook() as book:
            try:
                if book.find_assignment(assignment).notebooks:
                    return
            except MissingEntry:
                pass
        from nbgrader.apps import NbGraderAPI

        api = NbGraderAPI(coursedir=self.coursedir, config=self.config)
        with tempfile.TemporaryDirectory() as scratch:
            release = self.coursedir.release_directory
            self.coursedir.release_directory = os.path.relpath(scratch, self.root)
            try:
                result = api.generate_assignment(assignment, force=True)
            finally:
                self.coursedir.release_directory = release
        if not result["success"]:
            raise ValueError(f"nbgrader refused the source of {assignment}: {_last_error(result)}")

    def snapshot(self, assignment: str, notebook: str) -> dict:
        """What is to be graded (see `canonical.snapshot`): the source notebook, with the tests and points as released.

        The assignment must be registered. A difference between source and gradebook is told in snapshot["notes"]."""
        source = self._source(assignment, notebook)
        release = self.folder("release", assignment) / f"{notebook}.ipynb"
        released = _notebook(release) if release.is_file() else self.untouched(assignment, notebook)
        with self.gradebook() as book:
            cells = book.find_notebook(notebook, assignment)
            locked = {c.name: c.source for c in cells.source_cells if c.locked}
            points = {c.name: float(c.max_score) for c in [*cells.grade_cells, *cells.task_cells]}
        shot = canonical.snapshot(source, source_cells=locked, points=points, release=released, marks=self._marks())
        changed = [
            about["grade_id"]
            for cell in source["cells"]
            if (about := cell.get("metadata", {}).get("nbgrader", {})).get("grade_id") in locked
            and canonical.normal(canonical.text(cell)) != canonical.normal(locked[about["grade_id"]])
            and "AUTOTEST" not in canonical.text(cell)
        ]
        new = [g for c in shot["cells"] if (g := c["grade_id"]) and c["points"] and g not in points]
        if new:
            raise ValueError(
                f"{assignment}/{notebook} has graded cells that the gradebook does not know ({', '.join(new)}): run "
                f"nbgrader generate_assignment {assignment} --force."
            )
        if changed:
            shot["notes"].append(
                f"the source of {', '.join(changed)} differs from what was released: the released tests count until "
                f"nbgrader generate_assignment {assignment} --force is run"
            )
        return shot

    def untouched(self, assignment: str, notebook: str) -> dict:
        """The learner edition as nbgrader would make it: solutions and hidden tests removed."""
        import nbformat
        from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ClearSolutions

        node = nbformat.from_dict(self._source(assignment, notebook))
        for step in (ClearSolutions, ClearHiddenTests, ClearMarkScheme):
            node, _ = step(config=self.config).preprocess(node, {})
        return json.loads(json.dumps(node))

    def solution(self, assignment: str, notebook: str) -> dict:
        """The instructor's notebook with its solutions, as a submission."""
        return self._source(assignment, notebook)

    def wrong_answers(self, assignment: str) -> list:
        """The named wrong answers in wrong_answers.py beside the source (see `lessonlib.checks.teeth`), or []."""
        path = self.folder("source", assignment) / "wrong_answers.py"
        if not path.is_file():
            return []
        names: dict = {"__name__": "wrong_answers", "__file__": str(path)}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
        return list(names["WRONG_ANSWERS"])

    @contextmanager
    def data(self, assignment: str):
        """A folder with the instructor's files that go with the notebooks, for the time of a grading; None without any.

        These are what nbgrader copies over a submission: the source folder's files that are not ignored."""
        from nbgrader import utils

        top = self.folder("source", assignment)
        files = utils.find_all_files(str(top), [*self.coursedir.ignore, *ALWAYS_IGNORED, "*.ipynb"])
        if not files:
            yield None
            return
        with tempfile.TemporaryDirectory() as scratch:
            os.chmod(scratch, 0o755)
            for file in map(Path, files):
                target = Path(scratch) / file.relative_to(top)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            yield Path(scratch)

    def _source(self, assignment: str, notebook: str) -> dict:
        """The instructor's notebook in nbgrader's newest form, headers and footers included."""
        from nbgrader.nbgraderformat import MetadataValidator
        from nbgrader.preprocessors import IncludeHeaderFooter

        path = self.folder("source", assignment) / f"{notebook}.ipynb"
        if not path.is_file():
            raise ValueError(f"{path} is missing: grading needs the instructor's notebook.")
        import nbformat

        node = MetadataValidator().upgrade_notebook_metadata(nbformat.from_dict(_notebook(path)))
        step = IncludeHeaderFooter(config=self.config)
        for name in ("header", "footer"):  # relative to the course folder, not to where the command runs
            if getattr(step, name):
                setattr(step, name, str(self.root / getattr(step, name)))
        node, _ = step.preprocess(node, {})
        language = node.metadata.get("kernelspec", {}).get("language", "python").lower()
        if language != "python":
            raise ValueError(f"{path.name} is written for {language}; only Python notebooks are graded here.")
        return json.loads(json.dumps(node))

    @functools.cache  # noqa: B019 (one course a process)
    def _marks(self) -> canonical.Marks:
        """The delimiters of this course's configuration."""
        from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ClearSolutions

        tests, solutions, scheme = (
            step(config=self.config) for step in (ClearHiddenTests, ClearSolutions, ClearMarkScheme)
        )
        return canonical.Marks(
            hidden=(tests.begin_test_delimeter, tests.end_test_delimeter),
            solution=(solutions.begin_solution_delimeter, solutions.end_solution_delimeter),
            scheme=(scheme.begin_mark_scheme_delimeter, scheme.end_mark_scheme_delimeter),
        )


def _configuration(root: Path):
    """nbgrader's configuration of the course at `root`: of the system and the user, then its own."""
    from jupyter_core.paths import jupyter_config_path
    from traitlets.config import Config
    from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

    config = Config()
    for folder in dict.fromkeys([*reversed(jupyter_config_path()), str(root)]):
        for loader, name in (
            (JSONFileConfigLoader, "nbgrader_config.json"),
            (PyFileConfigLoader, "nbgrader_config.py"),
        ):
            if not Path(folder, name).is_file():
                continue
            try:
                config.merge(loader(name, path=folder).load_config())
            except (Exception, SystemExit) as error:  # whatever the instructor's own file raises
                raise ValueError(f"{Path(folder, name)} cannot be read ({type(error).__name__}: {error}).") from None
    return config


def _notebook(path: Path) -> dict:
    import nbformat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return json.loads(json.dumps(nbformat.read(path, as_version=4)))
    except Exception as error:
        raise ValueError(f"{path} is no readable notebook ({type(error).__name__}).") from None


def _last_error(result: dict) -> str:
    """The most telling line of nbgrader's log or traceback."""
    text = (result.get("log") or "") + "\n" + (result.get("error") or "")
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    telling = [
        line for line in lines if re.match(r"([\w.]+(Error|Exception)\b.*:)", line) and "NbGraderException" not in line
    ]
    return (telling or lines or ["nbgrader gave no reason"])[-1]


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
