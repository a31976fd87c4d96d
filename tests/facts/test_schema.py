"""Every rule of the schema is broken once, in a copy of a table, and notices."""

import copy

import pytest

from lessonlib.facts import catalog, schema
from lessonlib.facts.records import GPU, Model


def first(data, name="models", row_id=None):
    rows = data[name]
    return rows[0] if row_id is None else next(row for row in rows if row["id"] == row_id)


def put(row, **changes):
    row.update(changes)


def mla(data):
    return first(data, row_id="deepseek-r1")


def windowed(data):
    return first(data, row_id="gpt-oss-20b")


def pattern(data):
    return first(data, row_id="nemotron-3-nano")


BREAKS = [
    # fields: known, there, of their type, within bounds
    ("models", lambda d: put(first(d), layerz=3), "models row 1 (gpt2): layerz is no field of a Model; did you mean layers."),
    ("models", lambda d: first(d).pop("hidden_size"), "models row 1 (gpt2): hidden_size is missing (width of the residual"),
    ("models", lambda d: put(first(d), layers="12"), "layers is '12', but must be a whole number."),
    ("models", lambda d: put(first(d), layers=12.0), "layers is 12.0, but must be a whole number."),
    ("models", lambda d: put(first(d), layers=True), "layers is True, but must be a whole number."),
    ("models", lambda d: put(first(d), layers=0), "layers is 0, but must be at least 1."),
    ("models", lambda d: put(first(d), total_params_b=float("nan")), "total_params_b is nan, but must be finite (billion"),
    ("models", lambda d: put(first(d), tied_embeddings=1), "tied_embeddings is 1, but must be true or false."),
    ("models", lambda d: put(first(d), name="  "), "name is '  ', but must be more than blanks."),
    ("models", lambda d: put(first(d), attention="linear"), "attention is 'linear', but must be one of mha, gqa"),
    ("models", lambda d: put(first(d), weights_gb={"fp32": "0.5"}), "weights_gb is {'fp32': '0.5'}, but must be a mapping of numbers"),
    ("models", lambda d: put(first(d), sources="aic"), "sources is 'aic', but must be a list of texts."),
    ("models", lambda d: put(first(d), as_of="last week"), "as_of is 'last week', but must be a date such as 2026"),
    ("models", lambda d: put(first(d), as_of="2026-02-30"), "as_of is '2026-02-30', but must be a date"),
    ("models", lambda d: d["models"].append(["x"]), "models row 46 is ['x'], but must be a mapping of fields."),
    ("models", lambda d: d.update(models=[]), "models must be a list of rows."),
    ("models", lambda d: d["models"].append(first(d)), "models: the id 'gpt2' stands 2 times."),
    ("gpus", lambda d: put(first(d, "gpus"), bandwidth_gbs=1.008e12), "but must be at most 1,000,000 (GB/s)."),
    ("gpus", lambda d: put(first(d, "gpus"), vram_gb=-1), "vram_gb is -1, but must be at least 0.5 (GiB)."),
    ("gpus", lambda d: put(first(d, "gpus"), price_usd_range=[35, 25]), "is [35, 25], but must be two numbers, the lower first"),
    ("gpus", lambda d: put(first(d, "gpus"), price_usd_range=[1, 2, 3]), "must be two numbers, the lower first (USD)."),
    ("gpus", lambda d: put(first(d, "gpus"), price_as_of="2026-13"), "price_as_of is '2026-13', but must be a date"),
    ("engines", lambda d: put(first(d, "engines"), verdict="fine"), "verdict is 'fine', but must be one of computed, cited"),
    ("engines", lambda d: first(d, "benchmarks").pop("found"), "benchmarks row 1 (ollama-vs-vllm): found is missing"),
    # sources
    ("models", lambda d: first(d)["sources"].append("nobody"), "gpt2 cites the source 'nobody', which is not listed."),
    ("engines", lambda d: d["vllm_sleep_mode"]["sources"].append("nobody"), "a part without id cites the source 'nobody'"),
    ("models", lambda d: d["sources"]["aic"].update(title=" "), "sources: aic has no title."),
    ("models", lambda d: d["sources"]["aic"].update(status="rumour"), "the status of aic is 'rumour', but must be one of primary"),
    ("models", lambda d: d.pop("sources"), "it must be a mapping with a mapping of sources."),
    # models: fields agree
    ("models", lambda d: put(first(d), kv_heads=5), "kv_heads is 5, but must divide the 12 attention heads."),
    ("models", lambda d: put(first(d), full_attention_layers=11), "layers is 12, but full_attention_layers is 11."),
    ("models", lambda d: put(windowed(d), window_layers=13), "layers is 24, but full_attention_layers + window_layers is 25."),
    ("models", lambda d: windowed(d).pop("attention_window"), "attention_window is missing: the size of the cache follows from it."),
    ("models", lambda d: put(mla(d), mla_qk_rope_head_dim=32), "fp16 is 70272, but the other fields give 66368."),
    ("models", lambda d: put(windowed(d), kv_bytes_per_token_fp16_until_window=1), "window is 1, but the other fields give 49152."),
    ("models", lambda d: put(pattern(d), layer_pattern="M"), "layer_pattern has 1 letters for 52 layers."),
    ("models", lambda d: put(pattern(d), mamba_layers=22), "mamba_layers is 22, but layer_pattern has M 23 times."),
    ("models", lambda d: put(first(d), embedding_params_exact=1), "is 1, but vocab_size x hidden_size is 38,597,376."),
    ("models", lambda d: put(first(d), active_params_b=0.2), "active_params_b is 0.2, more than all 0.124."),
    ("models", lambda d: put(windowed(d), moe_experts_per_token=99), "moe_experts_per_token is 99, more than moe_experts (32)."),
    ("models", lambda d: put(first(d), native_context=2048), "native_context is 2,048, more than max_context (1,024)."),
    ("models", lambda d: put(first(d), total_params_b=0.2), "total_params_b is 0.2, but the other fields give 0.124."),
    ("models", lambda d: put(first(d), kv_formula="K x V"), "kv_formula is 'K x V', but the other fields give '2 * full"),
    ("models", lambda d: put(first(d), kv_gb_fp16_at={"1024": 0.1}), "is 0.1 GB for 1024 tokens, but the shape gives 0.038."),
    ("models", lambda d: put(first(d), kv_gb_fp16_at={"all": 0.1}), "has the key 'all', but must have numbers of tokens as keys."),
    ("models", lambda d: first(d)["weights_gb"].update(int8=0.25), "weights_gb is 0.25 GB in int8, but the parameters give 0.124."),
    # prices
    ("prices", lambda d: first(d, "api_usd_per_million_tokens").pop("output"), "output is missing: an API has a price for input"),
    ("prices", lambda d: put(first(d, "api_usd_per_million_tokens"), blend_2_to_1=7), "is 7, but the two prices give 5.000."),
    ("prices", lambda d: put(first(d, "subscriptions"), usd_year=200), "usd_year is 200, but twelve months cost 240."),
    ("prices", lambda d: first(d, "electricity").pop("as_of"), "electricity row 1 (us-low-cost): as_of is missing"),
    # claims
    ("claims", lambda d: d["totals"].update(claims=1), "totals: claims is 1, but there are 492 rows."),
    ("claims", lambda d: d["totals"]["by_verdict"].update(cited=1), "totals: by_verdict: cited is 1, but 82 rows have it."),
    ("claims", lambda d: d["totals"]["by_section"].update({20: 1}), "totals: by_section: 20 is 1, but 0 rows have it."),
    ("claims", lambda d: put(first(d, "claims"), section_title="x"), "S00-001: section_title is not the title of section 0"),
    ("claims", lambda d: put(first(d, "claims"), section=4), "id is 'S00-001', but must be S, the section in two digits"),
    ("claims", lambda d: first(d, "claims").pop("calc"), "calc is missing or does not match: a computed claim"),
    ("claims", lambda d: put(first(d, "claims"), matches=False), "calc is missing or does not match"),
    ("claims", lambda d: put(first(d, "claims"), calc="1 +"), "calc is '1 +', but must be one Python expression."),
    ("claims", lambda d: first(d, "claims").pop("value"), "value is missing: a calculation has a result."),
    ("claims", lambda d: first(d, "claims", "S04-033").pop("right_value"), "right_value is missing: a corrected claim says"),
]  # fmt: skip


@pytest.mark.parametrize("name, change, says", BREAKS, ids=[f"{n}-{s[:40]}" for n, _, s in BREAKS])
def test_each_rule_notices(name, change, says):
    data = copy.deepcopy(catalog.table(name))
    change(data)
    found = schema.problems(name, data)
    assert any(says in sentence for sentence in found), found
    assert all(sentence.startswith(f"{name}.yaml: ") and sentence.endswith(".") for sentence in found)
    assert not any("\n" in sentence for sentence in found)


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="no table 'cards'; it has models"):
        schema.problems("cards")


def test_check_tells_all_sentences(monkeypatch):
    assert schema.check() is None
    monkeypatch.setattr(schema, "table", lambda name: {"sources": {}})
    with pytest.raises(ValueError) as caught:
        schema.check()
    lines = str(caught.value).splitlines()
    assert lines[0] == "the fact base is broken:" and any("models must be a list of rows" in line for line in lines)


def test_a_table_that_is_no_yaml_is_one_sentence(monkeypatch):
    def broken(name):
        raise ValueError(f"{name}.yaml: line 3 is not what YAML allows: x.")

    monkeypatch.setattr(schema, "table", broken)
    assert schema.problems("gpus") == ["gpus.yaml: line 3 is not what YAML allows: x."]


def test_claims_that_cannot_be_read_alone_are_noticed(monkeypatch):
    monkeypatch.setattr(schema, "claim_ids", lambda: ["S00-001"])
    assert schema.problems("claims") == [
        "claims.yaml: rows cannot be read one by one: claims must be the last key, and each row begin with '- id: '."
    ]


def test_own_rows_need_less_but_not_nothing():
    card = {"id": "x", "name": "X", "vram_gb": 24, "bandwidth_gbs": 1000}
    assert list(schema.row_problems(GPU, card, own=True)) == []
    assert any("tier is missing" in sentence for sentence in schema.row_problems(GPU, card))
    assert list(schema.row_problems(GPU, {**card, "vram_gb": None}, own=True)) == [
        "vram_gb is None, but must be given (GiB)."
    ]
    assert any(s.startswith("total_params_exact is missing") for s in schema.row_problems(Model, {"id": "x"}, own=True))


def test_every_field_says_what_it_is():
    for kind in (Model, GPU, catalog.Engine, catalog.Price, catalog.Claim):
        known = schema.fields(kind)
        assert len(known) == len(kind.__annotations__)
        assert all(field.text for _, field in known.values())
