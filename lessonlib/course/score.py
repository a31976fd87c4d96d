"""What a notebook's cells score, without a kernel: for the gates, and for proving that wrong answers are caught.

`python -m lessonlib.course.score NOTEBOOK < job.json` runs the built solution notebook in an IPython shell, then each
answer (a replacement of one exercise cell) against that exercise's test cells, and prints the results as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path


def score(notebook: Path, answers: list[dict], environment: dict | None = None, limit: float | None = None) -> dict:
    """Run the gates' scoring in a process of its own.

    answers: [{"grade_id", "code"}]. Returns {"solution": {cell: [points, maximum, text]}, "answers": [the same for the
    test cells of each answer's exercise]}. With a `limit` (seconds) each answer runs in a fork of its own, and one that
    takes longer, or ends its process, has 0 points and the text "stopped". RuntimeError with the process's last words
    when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "lessonlib.course.score", str(notebook)],
        input=json.dumps({"answers": answers, "limit": limit}),
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "LESSON_DEVICE": "cpu",
            "HF_HUB_OFFLINE": "1",
            "LESSONLIB_PROGRESS": "off",
            "LESSON_FACTS": "off",
            **(environment or {}),
        },
    )
    if done.returncode:
        raise RuntimeError(f"scoring {notebook.name} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def exercise_of(grade_id: str) -> str:
    """The exercise that a cell belongs to: `l05_e2` of `l05_e2_attend`, `l16_vram_e1` of `l16_vram_e1_check`."""
    return grade_id.rsplit("_", 1)[0]


def _main(path: str) -> None:
    import nbformat
    from IPython.core.interactiveshell import InteractiveShell

    job = json.load(sys.stdin)
    notebook = nbformat.read(path, as_version=4)
    shell = InteractiveShell.instance()
    shell.run_line_magic("xmode", "Plain")
    scores = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = _run(shell, cell.source)
            if cell.metadata.get("nbgrader", {}).get("grade"):
                scores[cell.metadata.nbgrader.grade_id] = _grade(cell, outputs)
    results = []
    for answer in job["answers"]:
        before = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == answer["grade_id"])
        tests = [c for c in notebook.cells if _tests(c, exercise_of(answer["grade_id"]))]
        if job["limit"]:
            results.append(_in_a_fork(lambda: _judge(shell, answer["code"], tests), job["limit"]) or _stopped(tests))  # noqa: B023
        else:
            results.append(_judge(shell, answer["code"], tests))
            _run(shell, before.source)
    print()
    print(json.dumps({"solution": scores, "answers": results}))


def _tests(cell, exercise: str) -> bool:
    about = cell.metadata.get("nbgrader", {})
    return bool(about.get("grade")) and exercise_of(about["grade_id"]) == exercise


def _judge(shell, code: str, tests: list) -> dict:
    """Run an answer, then each test cell of its exercise: {test cell: [points, maximum, text]}."""
    _run(shell, code)
    return {cell.metadata.nbgrader.grade_id: _grade(cell, _run(shell, cell.source)) for cell in tests}


def _stopped(tests: list) -> dict:
    return {c.metadata.nbgrader.grade_id: [0, c.metadata.nbgrader.points, "stopped"] for c in tests}


def _in_a_fork(work, limit: float):
    """What `work` returns in a fork of this process; None when it takes more than `limit` seconds or the fork dies."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            if "torch" in sys.modules:  # a fork has none of its parent's threads, and would wait for them
                sys.modules["torch"].set_num_threads(1)
            with os.fdopen(write, "w") as pipe:
                json.dump(work(), pipe)
        finally:
            os._exit(0)  # whatever came: the rest of the program is the parent's
    os.close(write)
    said, ends = b"", time.monotonic() + limit
    while (left := ends - time.monotonic()) > 0 and select.select([read], [], [], left)[0]:
        part = os.read(read, 65536)
        if not part:
            break
        said += part
    os.close(read)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return json.loads(said)
    except ValueError:
        return None


def _run(shell, source: str) -> list:
    """Run a cell; its outputs in notebook form."""
    from IPython.utils.capture import capture_output
    from nbformat.v4 import new_output

    with capture_output() as captured:
        result = shell.run_cell(source, store_history=False)
    outputs = [new_output("display_data", data=dict(o.data or {})) for o in captured.outputs]
    if captured.stdout:
        outputs.append(new_output("stream", name="stdout", text=captured.stdout))
    if captured.stderr:
        outputs.append(new_output("stream", name="stderr", text=captured.stderr))
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        outputs.append(new_output("error", ename=type(error).__name__, evalue=str(error), traceback=[str(error)]))
    elif result.result is not None:
        outputs.append(new_output("execute_result", data={"text/plain": repr(result.result)}))
    return outputs


def _grade(cell, outputs: list) -> list:
    """[points, maximum, everything that was said], by nbgrader's own rule."""
    from nbgrader.utils import determine_grade

    graded = cell.copy()
    graded["outputs"] = outputs
    points, maximum = determine_grade(graded)
    said = [o.get("text") or o.get("evalue") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return [points, maximum, "\n".join(map(str, said))]


if __name__ == "__main__":
    _main(sys.argv[1])
