"""What a lesson page shows: bootstrap, checks, guesses, figures, calculators, quizzes, records."""

from .bootstrap import start
from .checking import check, hints
from .claims import corrections
from .figures import show, svg, table
from .guess import predict, reveal
from .progress import progress
from .quizzes import quiz
from .records import compare

__all__ = [
    "check", "compare", "corrections", "hints", "predict", "progress", "quiz", "reveal", "show", "start", "svg", "table",
]  # fmt: skip
