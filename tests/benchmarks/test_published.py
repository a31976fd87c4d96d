"""The published measurements: each row says what was measured, where it stands, and is judged by the calculators."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from lessonlib.calc import architecture, cache, formats, vram, weights
from lessonlib.facts import catalog

TABLE = yaml.safe_load((Path(__file__).parents[2] / "benchmarks" / "published.yaml").read_text(encoding="utf-8"))
ROWS = {row["id"]: row for row in TABLE["rows"]}
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "GB": 10**9}
NEEDED = {"id", "kind", "value", "unit", "rounding", "source"}
OF_KIND = {"weights": {"format", "includes"}, "cache": {"cache_dtype", "tokens", "batch", "tp"}}
OPTIONAL = {"model", "config", "imatrix", "tp", "part", "window_cells", "padding", "note", "disagrees"}
HEADER = 16e6  # bytes of metadata and tokenizer in a GGUF file, at most
LOADED = 0.002  # share of an engine's "loading took" that is not tensors: buffers, rounding of the allocator


def model_of(row):
    """The record of the fact base, or the fields read from the config.json of the table."""
    if "model" in row:
        return catalog.model(row["model"])
    return architecture.from_config(TABLE["configs"][row["config"]]["config"])


def published(row) -> tuple[Fraction, Fraction]:
    """(bytes, half a unit of the last printed decimal)."""
    unit = UNITS[row["unit"]]
    half = Fraction(unit, 2 * 10 ** row["rounding"]) if row["unit"] != "bytes" else Fraction(0)
    return Fraction(str(row["value"])) * unit, half


def computed(row) -> Fraction:
    """Bytes by the calculators, for the settings of the row."""
    model = model_of(row)
    if row["kind"] == "weights":
        form = formats.weight_format(row["format"], imatrix=row.get("imatrix"))
        if row.get("tp", 1) > 1:
            return Fraction(vram.vram(model, 1, 1, format=form, tp=row["tp"]).gpus[0]["weights"])
        return Fraction(weights.weights(model, form).total)
    shape = cache.attention(model)
    if "window_cells" in row:
        shape = replace(shape, window=row["window_cells"])
    kept = cache.attention_cache(shape, row["tokens"], row["batch"], row["cache_dtype"], tp=row["tp"])
    return Fraction(kept[row["part"]] if "part" in row else kept.total) * Fraction(row.get("padding", 1))


def test_there_are_enough_rows_of_both_kinds_and_no_id_stands_twice():
    assert len(TABLE["rows"]) == len(ROWS) >= 40
    kinds = [row["kind"] for row in TABLE["rows"]]
    assert kinds.count("weights") >= 25 and kinds.count("cache") >= 12


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_has_its_fields_a_unit_and_a_source(row):
    extra = OF_KIND[row["kind"]]
    assert set(row) >= NEEDED | extra
    assert set(row) <= NEEDED | extra | OPTIONAL
    assert ("model" in row) != ("config" in row)
    assert row["unit"] in UNITS and row["value"] > 0
    assert isinstance(row["rounding"], int) and row["rounding"] >= 0
    assert Fraction(str(row["value"])) * 10 ** row["rounding"] % 1 == 0, "more decimals than `rounding` says"
    assert row.get("includes", "tensors") in ("tensors", "file", "loaded")
    assert row["source"] in TABLE["sources"]


def test_every_source_says_what_where_when_and_who_and_is_used():
    used = {row["source"] for row in ROWS.values()}
    assert used == set(TABLE["sources"]) and len(used) >= 25
    for key, source in TABLE["sources"].items():
        assert all(str(source[field]).strip() for field in ("title", "where", "date", "by", "read")), key
    assert {entry["source"] for entry in TABLE["configs"].values()} <= set(TABLE["config_sources"])
    assert {row["config"] for row in ROWS.values() if "config" in row} == set(TABLE["configs"])


def test_what_was_left_out_says_why():
    assert len(TABLE["left_out"]) >= 10
    assert all(entry["what"].strip() and len(entry["why"]) > 20 for entry in TABLE["left_out"])


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_calculators_agree_unless_the_row_says_why_not(row):
    ours, (theirs, half) = computed(row), published(row)
    above, below = half + theirs / 2000, half + theirs / 2000
    if row.get("includes") == "file":
        below += HEADER
    elif row.get("includes") == "loaded":
        below += theirs * Fraction(LOADED)
    agrees = -below <= ours - theirs <= above
    assert agrees != ("disagrees" in row), f"computed {float(ours):,.0f}, published {float(theirs):,.0f} bytes"


def test_the_safetensors_indexes_and_the_parsed_file_agree_to_the_byte():
    exact = [row for row in ROWS.values() if row["unit"] == "bytes" and row.get("includes") == "tensors"]
    assert len(exact) >= 9
    assert [row["id"] for row in exact if computed(row) != published(row)[0]] == []
