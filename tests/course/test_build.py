"""The build: what is executed, what is kept, what is written, and what is never lost."""

import nbformat
import pytest

from lessonlib.course.build import built_paths, main
from lessonlib.course.release import content_hash, is_pristine, keep_learners_copy, release


@pytest.fixture
def built(course, source):
    """(solution notebook, learner edition), freshly built with a real kernel."""
    assert main([]) == 0
    return built_paths(source, course)


def read(path):
    return nbformat.read(path, as_version=4)


def test_first_build_then_nothing_changes(built, course, source, capsys):
    solution, learner = map(read, built)
    text = {c.id: str(c.get("outputs")) for c in solution.cells}
    assert any("kept output" in t for t in text.values()) and "well done" in text["l91_e1_check"]
    assert "widget-view" not in str(solution) and "widgets" not in solution.metadata
    assert [c.execution_count for c in solution.cells if c.cell_type == "code"] == [1, 2, 3, 4, 5]
    before = [p.read_bytes() for p in built]
    assert main([]) == 0 and "unchanged" in capsys.readouterr().out
    assert [p.read_bytes() for p in built] == before
    assert main(["--execute"]) == 0  # the same source, run again: the same bytes, since nothing in it is random
    assert [p.read_bytes() for p in built] == before
    assert main(["--check"]) == 0


def test_learner_edition_has_gaps_and_other_outputs(built):
    learner = {c.id: c for c in read(built[1]).cells}
    assert "raise NotImplementedError" in learner["l91_e1_twice"].source
    text = built[1].read_text(encoding="utf-8")
    assert "return 2 * x" not in text and "range(4)" not in text
    assert "kept output" in text
    assert learner["l91_e1_check"].outputs == [] and learner["l91_e1_check"].execution_count is None
    assert "checksum" in learner["l91_e1_check"].metadata.nbgrader


def test_a_learners_notebook_is_never_lost(built, course, source, capsys):
    def change(words):
        notebook = read(built[1])
        notebook.cells[2].source += f"\n# {words}"
        nbformat.write(notebook, built[1])

    for number in (1, 2):
        change(f"mine {number}")
        text = source.read_text(encoding="utf-8").replace("kept output", f"kept output {number}")
        source.write_text(text, encoding="utf-8")
        assert main([]) == 0
        kept = course / "kept" / "91_sample" / f"91_sample.mine-{number}.ipynb"
        assert f"mine {number}" in kept.read_text(encoding="utf-8")
        assert str(kept.relative_to(course)) in capsys.readouterr().out
        assert "mine" not in built[1].read_text(encoding="utf-8") and is_pristine(built[1])
    assert not list(built[1].parent.glob("*.part"))


def test_an_unreadable_notebook_is_kept_too(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("{ half a file", encoding="utf-8")
    kept = keep_learners_copy(path, tmp_path / "kept")
    assert kept.read_text(encoding="utf-8") == "{ half a file" and not path.exists()
    assert keep_learners_copy(path, tmp_path / "kept") is None


@pytest.mark.parametrize("what", ["source", "solution", "learner", "readme"])
def test_check_finds_drift(built, course, source, what, capsys):
    if what == "source":
        source.write_text(source.read_text(encoding="utf-8").replace("2 * x", "x + x"), encoding="utf-8")
    elif what == "readme":
        pyproject = '[tool.lessonlib]\nrepository = "https://github.com/o/n"\n'
        (course / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    else:
        path = built[what == "learner"]
        notebook = read(path)
        notebook.cells[2].source = "print('other')"
        nbformat.write(notebook, path)
    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err


def test_a_failing_cell_is_named(course, source, capsys):
    text = source.read_text(encoding="utf-8").replace("return 2 * x", "return 3 * x")
    source.write_text(text, encoding="utf-8")
    assert main([]) == 1
    said = capsys.readouterr().err
    assert "l91_e1_check" in said and "twice of 2 is 4" in said
    assert not built_paths(source, course)[0].exists()


def test_unknown_lesson_is_a_mistake_in_the_command(course, capsys):
    assert main(["77"]) == 2
    assert "91_sample" in capsys.readouterr().err


def test_release_repeats_itself(built):
    solution, learner = map(read, built)
    assert nbformat.writes(release(solution)) == nbformat.writes(learner)
    assert content_hash(release(solution)) == learner.metadata.lessonlib.released_sha256
    assert "return 2 * x" in str(solution)  # the solution itself is left alone
