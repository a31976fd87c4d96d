"""Percent-format sources become notebooks with complete metadata and stable ids."""

import pytest

from lessonlib.course.source import read_source, sources


def by_grade_id(notebook):
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


def test_nbgrader_metadata_is_completed(source, course):
    cells = by_grade_id(read_source(source, course))
    about = cells["l91_e1_twice"].metadata.nbgrader
    assert (about.solution, about.grade, about.locked, about.task, about.schema_version) == (
        True,
        False,
        False,
        False,
        3,
    )
    about = cells["l91_e1_check"].metadata.nbgrader
    assert (about.solution, about.grade, about.locked, about.points) == (False, True, True, 1)


def test_ids_are_stable_and_unique(source, course):
    first, second = read_source(source, course), read_source(source, course)
    assert [c.id for c in first.cells] == [c.id for c in second.cells]
    assert len({c.id for c in first.cells}) == len(first.cells)
    assert first.cells[4].id == "l91_e1_twice"


def test_an_inserted_cell_changes_no_other_id(source, course):
    before = [c.id for c in read_source(source, course).cells]
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace('# %%\nprint("kept', '# %%\n1 + 1\n\n# %%\nprint("kept', 1), encoding="utf-8")
    after = [c.id for c in read_source(source, course).cells]
    assert [i for i in after if i in before] == before and len(after) == len(before) + 1


def test_repeated_cells_get_different_ids(source, course):
    text = source.read_text(encoding="utf-8")
    source.write_text(text + '\n# %%\nprint("kept output")\n', encoding="utf-8")
    same = [c.id for c in read_source(source, course).cells if c.source == 'print("kept output")']
    assert len(same) == 2 and same[1] == f"{same[0]}-2"


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("#   lessonlib: {id: 91_sample, title: A sample, minutes: 5}\n", "", "lessonlib table"),
        ('"grade_id": "l91_e1_twice", ', "", "without a grade_id"),
        (', "points": 1', "", "l91_e1_check has no points"),
    ],
)
def test_unusable_sources_are_named(source, course, old, new, words):
    source.write_text(source.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_source(source, course)


@pytest.mark.parametrize("address", ["", "https://github.com/owner/name"])
def test_badges_and_bootstrap_follow_the_one_address(source, course, address):
    (course / "pyproject.toml").write_text(f'[tool.lessonlib]\nrepository = "{address}"\n', encoding="utf-8")
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("# %%\nprint", '# %% tags=["bootstrap"]\n\n# %%\nprint', 1), encoding="utf-8")
    notebook = read_source(source, course)
    badges, bootstrap = notebook.cells[0].source, next(c.source for c in notebook.cells if "page.start" in c.source)
    assert "5 minutes" in badges and 'page.start("91_sample")' in bootstrap
    assert ("owner/name" in badges) == ("owner/name" in bootstrap) == bool(address)
    assert ("%pip" in bootstrap) == bool(address)


def test_lessons_are_found_by_number_or_name(source, course):
    assert sources(course, "91") == sources(course, "91_sample") == sources(course) == [source]
    with pytest.raises(ValueError, match="'77'.*91_sample"):
        sources(course, "77")
