"""nbgrader's settings for this course: stock commands and formgrader work on these folders."""

import getpass
import os
from pathlib import Path

from lessonlib.course.release import STEPS, STUB, TEXT_STUB

ROOT = Path(__file__).resolve().parent
c = get_config()  # noqa: F821 (nbgrader provides it)

c.CourseDirectory.course_id = "llm-course"
c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.CourseDirectory.submitted_directory = "grading/submitted"
c.CourseDirectory.autograded_directory = "grading/autograded"
c.CourseDirectory.feedback_directory = "grading/feedback"
c.CourseDirectory.solution_directory = "grading/solution"  # written by nbgrader generate_solution; never `solutions`
c.CourseDirectory.db_url = f"sqlite:///{ROOT / 'grading' / 'gradebook.db'}"
(ROOT / "grading").mkdir(exist_ok=True)
# The hand-edited sources, the wrong answers and the mutants hold the solutions: they never leave with a release.
c.CourseDirectory.ignore = [
    ".ipynb_checkpoints", "*.pyc", "__pycache__", "*.py", "equivalent_mutants.yaml", "*.part", "feedback",
]  # fmt: skip

c.GenerateAssignment.preprocessors = STEPS
c.ClearSolutions.code_stub = {"python": STUB}
c.ClearSolutions.text_stub = TEXT_STUB

# ngshare: an exchange over HTTP instead, for people whose machines share no folder. See docs/ngshare.md.
if os.environ.get("NGSHARE_URL"):
    os.environ.setdefault("USER", getpass.getuser())  # the package reads it while it is imported
    try:
        from ngshare_exchange import configureExchange
    except ImportError:
        raise SystemExit(  # any other error would be logged, and nbgrader would go on without this whole file
            "NGSHARE_URL is set, but the package ngshare_exchange is not installed: "
            "pip install --no-deps ngshare_exchange==0.5.3, or unset NGSHARE_URL."
        ) from None
    configureExchange(c, os.environ["NGSHARE_URL"].rstrip("/"))
else:  # a project-local exchange, so that Assignment List works without a system folder
    c.Exchange.root = str(ROOT / ".lessonlib" / "exchange")
# End of ngshare.

c.Execute.timeout = 120  # seconds a cell
