"""`lessonlib claims` on a small made-up course."""

import json

import pytest

from lessonlib.commands import claims
from lessonlib.facts import catalog

HEAD = """\
# ---
# jupyter:
#   kernelspec: {{display_name: Python 3 (ipykernel), language: python, name: python3}}
#   lessonlib: {{id: {0}, title: A page, minutes: 5}}
# ---

# %%
{1}
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Two pages: 93 shows two corrected claims of section 4, 94 all of section 0."""
    (tmp_path / "pyproject.toml").write_text("[tool.lessonlib]\n", encoding="utf-8")
    whole = [c.id for c in catalog.claims() if c.section == 0]
    for name, code in (("93_few", 'corrections(["S04-033", "S04-034"])'), ("94_whole", f"claims({whole})")):
        folder = tmp_path / "solutions" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text(HEAD.format(name, code), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *argv) -> tuple[int, str, str]:
    status = claims.main(list(argv))
    said = capsys.readouterr()
    return status, said.out, said.err


def of(section):
    return [c for c in catalog.claims() if c.section == section]


def test_the_table_counts_by_section_and_verdict(capsys, course):
    status, out, err = run(capsys)
    lines = out.splitlines()
    assert status == 0 and err == "" and len(lines) == 1 + 14 + 1
    assert lines[0].split() == ["section", "computed", "cited", "corrected", "estimate", "all"]
    corrected = sum(c.verdict == "corrected" for c in of(4))
    row = next(line for line in lines if line.startswith(" 4 tokens"))
    assert f"2/{corrected}" in row and row.endswith(f"2/{len(of(4))}")
    assert lines[-1].endswith(f"{2 + len(of(0))}/{len(catalog.claims())}")


def test_one_section_and_what_it_misses(capsys, course):
    status, out, _ = run(capsys, "--section", "4", "--missing")
    lines = out.splitlines()
    assert status == 0 and len(lines) == 3 + len(of(4)) - 2
    listed = {line.split()[0]: line for line in lines[3:]}
    assert "S04-033" not in listed and catalog.claim("S04-001").claim in listed["S04-001"]


def test_one_lesson_lists_what_it_shows(capsys, course):
    status, out, _ = run(capsys, "--lesson", "93")
    assert status == 0 and [line.split()[0] for line in out.splitlines()[-2:]] == ["S04-033", "S04-034"]
    assert out.splitlines()[15].endswith(f" 2/{len(catalog.claims())}")


def test_json(capsys, course):
    status, out, _ = run(capsys, "--json", "--section", "4")
    data = json.loads(out)
    assert status == 0 and data["sections"]["4"]["all"] == {"shown": 2, "all": len(of(4))}
    assert data["pages"] == {"S04-033": ["93_few"], "S04-034": ["93_few"]}
    assert len(data["missing"]) == len(of(4)) - 2 and data["missing"]["S04-001"] == catalog.claim("S04-001").claim


def test_require(capsys, course):
    assert run(capsys, "--require", "0")[0] == 0
    status, _, err = run(capsys, "--require", "0,4")
    assert status == 1 and err == f"lessonlib claims: section 4 has {len(of(4)) - 2} claims that stand on no page.\n"


def test_a_claim_that_does_not_exist_fails(capsys, course):
    folder = course / "solutions" / "93_few"
    (folder / "93_few.py").write_text(HEAD.format("93_few", 'claims(["S04-999"])'), encoding="utf-8")
    status, _, err = run(capsys)
    assert status == 1 and err == "lessonlib claims: 93_few names S04-999, which is no claim.\n"


@pytest.mark.parametrize(
    "argv, says",
    [
        (["--section", "20"], "The source lesson has no section 20; it has 0 to 13."),
        (["--section", "x"], "'x'"),
        (["--require", "1,99"], "The source lesson has no section 99"),
        (["--require", "all"], "--require is 'all', but must be sections with commas between, such as 1,4,8."),
        (["--require", ""], "--require is '', but must be sections"),
        (["--lesson", "77"], "No lesson starts with '77'; there are 93_few, 94_whole."),
        (["--mising"], "--mising"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(capsys, course, argv, says):
    status, out, err = run(capsys, *argv)
    assert status == 2 and says in err and out == "" and len(err.splitlines()) == 1


def test_without_a_course_folder(capsys, monkeypatch):
    monkeypatch.setattr(claims, "course_root", lambda: None)
    status, _, err = run(capsys)
    assert status == 2 and "No course folder here or above" in err


def test_help(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0 and "--require" in out and "example:" in out
