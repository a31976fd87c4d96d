"""Your own file: merged at first use, refused in one sentence where it breaks a rule, and never overwritten."""

import os
import stat
from textwrap import indent

import pytest

from lessonlib.facts import catalog, own

CARD = {"id": "my-card", "name": "My Card", "vram_gb": 24, "bandwidth_gbs": 1008}
TEXT = """\
# mine
gpus:
- id: my-card   # the one in the corner
  name: My Card
  vram_gb: 24
  bandwidth_gbs: 1008
  as_of: 2026-11-01
  source: its box
"""
MODEL = """\
models:
  - id: tiny-one
    name: Tiny One
    model_type: llama
    total_params_exact: 1000000
    total_params_b: 0.001
    active_params_b: 0.001
    max_context: 64
    layers: 2
    attention_heads: 4
    kv_heads: 2
    head_dim: 8
    hidden_size: 32
    vocab_size: 100
    tied_embeddings: true
    embedding_params_exact: 3200
    attention: gqa
    full_attention_layers: 2
    kv_bytes_per_token_fp16: 128
    kv_formula: 2 * full_attention_layers * kv_heads * head_dim * 2 bytes * n
"""
PRICE = "prices:\n- {id: my-api, group: api_usd_per_million_tokens, input: 1, output: 2, as_of: 2026-11}\n"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where the own file of this test stands; it is not there yet."""
    monkeypatch.setenv("LESSON_FACTS", str(tmp_path / "mine.yaml"))
    catalog.reload()
    yield tmp_path / "mine.yaml"
    monkeypatch.undo()
    catalog.reload()


def test_where_the_file_is(tmp_path, monkeypatch):
    monkeypatch.delenv("LESSON_FACTS", raising=False)
    (tmp_path / "pyproject.toml").write_text("[tool.lessonlib]\n", encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert own.path() == tmp_path / "my_facts.yaml"
    monkeypatch.setattr(own, "course_root", lambda: None)  # no checkout: the working folder
    assert own.path() == tmp_path / "notebooks" / "my_facts.yaml"
    monkeypatch.setenv("LESSON_FACTS", "elsewhere.yaml")
    assert str(own.path()) == "elsewhere.yaml"
    monkeypatch.setenv("LESSON_FACTS", "OFF")
    assert own.path() is None and own.records() == {}


def test_rows_are_merged_and_say_where_they_come_from(file):
    file.write_text(TEXT + MODEL + PRICE, encoding="utf-8")
    card, model, price = catalog.gpu("MY CARD"), catalog.model("tiny one"), catalog.price("my api")
    assert (card.vram_gb, card.as_of, card.source) == (24, "2026-11-01", "your file mine.yaml: its box")
    assert (model.source, model.as_of, model.source_titles()) == (
        "your file mine.yaml",
        "no date given",
        [model.source],
    )
    assert price.group == "api_usd_per_million_tokens" and price.input == 1
    assert catalog.gpus()[-1] is card and card not in catalog.gpus(own=False)
    assert len(catalog.models()) == len(catalog.models(own=False)) + 1
    assert catalog.gpu("rtx 4090").vram_gb == 24  # the others are still there
    assert card.price_usd is None and model.seed_says is None  # what all rows of the course have


def test_calc_takes_a_row_of_your_own(file):
    from lessonlib.calc import memory

    file.write_text(MODEL, encoding="utf-8")
    m = catalog.model("tiny-one")
    shape = dict(layers=m.full_attention_layers, kv_heads=m.kv_heads, head_dim=m.head_dim)
    assert memory.kv_bytes_per_token(**shape) == m.kv_bytes_per_token_fp16


def test_an_empty_file_has_no_rows(file):
    file.write_text("# nothing yet\nmodels:\n", encoding="utf-8")
    assert own.records() == {"models": ()} and len(catalog.models()) == len(catalog.models(own=False))


@pytest.mark.parametrize(
    "text, says",
    [
        (TEXT.replace("24", "'24'"), "mine.yaml: gpus row 1 (my-card): vram_gb is '24', but must be a number (GiB)."),
        (TEXT.replace("vram_gb", "vram_gib"), "gpus row 1 (my-card): vram_gib is no field of a GPU; did you mean vram_gb."),
        (TEXT.replace("  bandwidth_gbs: 1008\n", ""), "bandwidth_gbs is missing (memory bandwidth, in GB/s)."),
        (TEXT.replace("my-card", "RTX 4090"), "(RTX 4090): id is taken by rtx-4090 of the fact base; choose another."),
        (TEXT + TEXT.partition("gpus:\n")[2], "gpus row 2 (my-card): id is taken by row 1; choose another."),
        (MODEL.replace("tiny-one", "qwen/qwen3 32b"), "id is taken by qwen3-32b of the fact base"),
        (MODEL.replace("kv_heads: 2", "kv_heads: 3"), "models row 1 (tiny-one): kv_heads is 3, but must divide the 4"),
        (PRICE.replace("my-api", "gpt-4o"), "id is taken by gpt-4o of the fact base"),
        (PRICE.replace("api_usd_per_million_tokens", "cheap"), "prices row 1 (my-api): group is 'cheap', but must be one of"),
        (PRICE.replace("group: api_usd_per_million_tokens, ", ""), "prices row 1 (my-api): group is missing"),
        ("gpus:\n- my-card\n", "mine.yaml: gpus row 1 must be fields with values"),
        ("gpus: my-card\n", "mine.yaml: gpus must be a list of rows, each beginning with '- '."),
        ("cards: []\n", "mine.yaml: 'cards' is no list of your own facts; there are models, gpus, prices."),
        ("- x\n", "mine.yaml: it must hold lists under models, gpus, prices."),
        ("gpus: [\n", "mine.yaml: line 2 is not what YAML allows:"),
        ("gpus:\n- {id: x, id: y}\n", "mine.yaml: line 2 is not what YAML allows: the field 'id' stands twice in one place."),
        ("gpus: \x00\n", "mine.yaml: this is no YAML:"),
        (b"\xff\xfe\x00", "mine.yaml: it cannot be read as text"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_sentence(file, text, says):
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for look_up in (catalog.models, lambda: catalog.gpu("rtx 4090")):
        with pytest.raises(ValueError) as caught:
            look_up()
        assert says in str(caught.value) and str(caught.value).startswith("mine.yaml: ")
        assert "\n" not in str(caught.value)
    assert catalog.claim("S04-033") and catalog.models(own=False)  # what needs no own file goes on


def test_a_second_problem_is_counted(file):
    file.write_text(TEXT.replace("24", "-1").replace("1008", "x"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"vram_gb is -1.*\(1 more: lessonlib facts check\)$"):
        catalog.gpus()


def test_a_named_file_that_is_not_there_is_told(file):
    with pytest.raises(ValueError, match="LESSON_FACTS names .*mine.yaml, which is not there"):
        catalog.gpus()


def test_adding_makes_the_file_and_finds_the_row(file):
    assert own.add("gpus", CARD) == file
    catalog.reload()
    assert catalog.gpu("my card").bandwidth_gbs == 1008
    assert file.read_text(encoding="utf-8").startswith("# Your own models")
    assert [p.name for p in file.parent.iterdir()] == ["mine.yaml"]  # nothing is left beside it


@pytest.mark.parametrize(
    "before",
    [
        TEXT,
        TEXT + MODEL + "# the end\n",
        MODEL + "\n\n" + TEXT + "\n# after\n\n" + PRICE,
        MODEL,
        "gpus: []\n" + PRICE,
        "gpus:   # none yet\n",
        "gpus: null\n",
        TEXT.rstrip("\n"),
        "---\n" + TEXT,
        "# ünï\n\n",
        "",
        "gpus:\n" + indent(TEXT.partition("gpus:\n")[2], "    "),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_adding_keeps_every_line_that_stands_there(file, before, end):
    before = before.replace("\n", end)
    file.write_bytes(before.encode())
    rows = own.read(file)
    row = {**CARD, "id": "second", "name": "Zweite Karte ü"}
    own.add("gpus", row)
    after = file.read_bytes().decode()
    assert own.read(file) == {**rows, "gpus": [*rows.get("gpus", []), row]}
    kept = iter(after.splitlines())
    for line in before.replace("gpus: []", "gpus:").replace("gpus: null", "gpus:").splitlines():
        assert any(line == other for other in kept), line  # in their order
    assert ("\r\n" in after) == (end == "\r\n" and "\r\n" in before)
    assert after.endswith("\n")


@pytest.mark.parametrize(
    "before, row, says",
    [
        (TEXT, CARD, "id is taken by row 1; choose another."),
        (TEXT, {**CARD, "id": "MY CARD"}, "id is taken by row 1; choose another."),
        ("", {**CARD, "id": "rtx4090"}, "id is taken by rtx-4090 of the fact base"),
        ("", {**CARD, "vram_gb": 0}, "vram_gb is 0, but must be at least 0.5 (GiB)."),
        ("gpus: [\n", CARD, "line 2 is not what YAML allows"),
        (TEXT.replace("24", "x"), {**CARD, "id": "b"}, "(my-card): vram_gb is 'x', but must be a number"),
        ("gpus: [{id: a, name: A, vram_gb: 1, bandwidth_gbs: 1}]\n", CARD, "no row can be added to gpus as it is written"),
        ("{gpus: [], models: []}\n", CARD, "no row can be added to gpus as it is written"),
    ],
)  # fmt: skip
def test_a_refused_row_leaves_the_file_as_it_was(file, before, row, says):
    if before:
        file.write_text(before, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        own.add("gpus", row)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert (file.read_text(encoding="utf-8") if file.exists() else "") == before
    assert len(list(file.parent.iterdir())) == bool(before)


def test_adding_with_your_file_off_is_refused(monkeypatch):
    monkeypatch.setenv("LESSON_FACTS", "off")
    with pytest.raises(ValueError, match="LESSON_FACTS is off: unset it"):
        own.add("gpus", CARD)


def test_a_stop_while_writing_leaves_the_old_file(file, monkeypatch):
    file.write_text(TEXT, encoding="utf-8")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own.os, "replace", full)
    with pytest.raises(ValueError, match="mine.yaml cannot be written: No space left on device"):
        own.add("gpus", {**CARD, "id": "b"})
    assert file.read_text(encoding="utf-8") == TEXT and len(list(file.parent.iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")
def test_mode_and_link_stay(file, tmp_path):
    target = tmp_path / "real.yaml"
    target.write_text(TEXT, encoding="utf-8")
    target.chmod(0o600)
    file.symlink_to(target)
    own.add("gpus", {**CARD, "id": "b"})
    assert file.is_symlink() and stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [row["id"] for row in own.read(target)["gpus"]] == ["my-card", "b"]


def test_a_folder_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("LESSON_FACTS", str(tmp_path / "no" / "mine.yaml"))
    with pytest.raises(ValueError, match="mine.yaml cannot be written: No such file"):
        own.add("gpus", CARD)
