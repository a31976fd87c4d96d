"""`lessonlib lab --lite-check`: the first lessons as a learner meets them, headless and offline, with a report."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

LESSONS = ("00_start_here", "05_kv_cache")
# The last thing each kernel does: tell the most memory it ever held, in bytes. Linux's ru_maxrss also counts what the
# parent held before the kernel was started, so there the kernel's own high-water mark is read.
PEAK = """
import re, sys
try:
    with open("/proc/self/status", encoding="utf-8") as status:
        print(int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1]) * 1024)
except OSError:
    try:
        import resource
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    except ImportError:
        import psutil
        print(psutil.Process().memory_info().peak_wset)
"""


@dataclass
class Report:
    """What a run showed: seconds, peak memory in bytes, check cells that stop at an open exercise, and errors."""

    seconds: float
    peak: float
    open_checks: int
    problems: list[str] = field(default_factory=list)


def lite_check(root: Path) -> int:
    """Run the lessons and print a line for each; 0 when only the checks of open exercises stop."""
    failed = False
    for lesson in LESSONS:
        print(f"{lesson}: running ...", flush=True)
        report = run(root / "notebooks" / lesson / f"{lesson}.ipynb")
        state = f"{len(report.problems)} problem(s)" if report.problems else "ok"
        print(
            f"{lesson}: {state}, {report.open_checks} checks wait for an answer, "
            f"{report.seconds:.0f} s, peak memory {report.peak / 1e6:.0f} MB",
            flush=True,
        )
        for problem in report.problems:
            print(f"    {problem}", file=sys.stderr)
        failed = failed or bool(report.problems)
    print("Something is wrong: see above." if failed else "Your machine works.")
    return 1 if failed else 0


def run(path: Path) -> Report:
    """Execute a learner notebook without touching the file."""
    import nbformat

    from .course.execute import execute

    if not path.is_file():
        return Report(0, 0, 0, [f"{path.name} is missing: run python3 -m lessonlib build."])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    started = time.monotonic()
    try:
        execute(notebook, allow_errors=True)
    except RuntimeError as error:  # a cell without an end, a kernel that died
        return Report(time.monotonic() - started, 0, 0, [str(error)])
    last = notebook.cells.pop()
    peak = float(last.outputs[0].text) if last.outputs and last.outputs[0].output_type == "stream" else 0
    return Report(time.monotonic() - started, peak, *findings(notebook))


def findings(notebook) -> tuple[int, list[str]]:
    """(number of check cells that stop at an open exercise, all other errors in words)."""
    waiting, problems = 0, []
    for cell in notebook.cells:
        is_check = bool(cell.metadata.get("nbgrader", {}).get("grade"))
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if is_check and output.ename == "NotImplementedError":
                waiting += 1
            else:
                problems.append(f"cell {cell.get('id', '?')}: {output.ename}: {output.evalue}")
    return waiting, problems
