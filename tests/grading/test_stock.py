"""The course under stock nbgrader: what is released, and what four sample submissions score."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from .conftest import ASSIGNMENT, NOTEBOOK, ROOT, make_course


def read_csv(path) -> dict[str, float]:
    with open(path, encoding="utf-8") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_release_is_the_built_learner_edition(released):
    ours = nbformat.read(ROOT / "notebooks" / ASSIGNMENT / f"{NOTEBOOK}.ipynb", as_version=4)
    theirs = nbformat.read(released.root / "notebooks" / ASSIGNMENT / f"{NOTEBOOK}.ipynb", as_version=4)
    assert theirs.cells == ours.cells
    assert theirs.metadata == ours.metadata
    assert sum(bool(c.get("outputs")) for c in theirs.cells) > 5  # kept outputs survive


def test_release_holds_no_solution(released):
    folder = released.root / "notebooks" / ASSIGNMENT
    assert [p.name for p in folder.iterdir()] == [f"{NOTEBOOK}.ipynb"]
    text = (folder / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text and "HIDDEN TESTS" not in text and "score_properties" not in text


def test_release_keeps_a_learners_changed_notebook(released):
    kept = list((released.root / "kept" / ASSIGNMENT).glob("*.ipynb"))
    assert len(kept) == 1
    assert "my own note" in kept[0].read_text(encoding="utf-8")


def test_stock_scores(graded, expected):
    scores = read_csv(graded.root / "grades.csv")
    assert scores == pytest.approx(expected)
    assert expected["full"] > expected["half"] > 0 and expected["endless"] > 0


def test_feedback_pages_exist(graded, expected):
    for student in expected:
        page = graded.root / "grading" / "feedback" / student / ASSIGNMENT / f"{NOTEBOOK}.html"
        assert "<html" in page.read_text(encoding="utf-8")[:2000].lower()


def test_formgrader_answers(graded, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "server",
        "--no-browser",
        f"--port={port}",
        "--IdentityProvider.token=t",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    log = open(tmp_path / "server.log", "w", encoding="utf-8")
    server = subprocess.Popen(command, cwd=graded.root, env=graded.environment, stdout=log, stderr=log)
    try:
        page = _get(f"http://127.0.0.1:{port}/formgrader/api/assignments?token=t", server)
        assert ASSIGNMENT in page and '"num_submissions": 4' in page
        assert "<title>" in _get(f"http://127.0.0.1:{port}/formgrader/manage_assignments?token=t", server)
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


def test_submissions_travel_through_the_exchange(tmp_path):
    course = make_course(tmp_path)
    shutil.rmtree(course.root / "grading" / "submitted")
    course.nbgrader("generate_assignment", ASSIGNMENT, "--force")
    course.nbgrader("release_assignment", ASSIGNMENT)
    course.nbgrader("fetch_assignment", ASSIGNMENT)  # as Assignment List does, from the folder that JupyterLab serves
    course.nbgrader("submit", ASSIGNMENT)
    course.nbgrader("collect", ASSIGNMENT)
    submitted = course.root / "grading" / "submitted"
    assert [p.name for p in submitted.glob(f"*/{ASSIGNMENT}/*.ipynb")] == [f"{NOTEBOOK}.ipynb"]


def _get(address: str, server) -> str:
    for _ in range(100):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return answer.read().decode()
        except ConnectionError:
            time.sleep(0.3)
        except OSError as error:
            if "refused" not in str(error):
                raise
            time.sleep(0.3)
    raise AssertionError("the server did not answer")
