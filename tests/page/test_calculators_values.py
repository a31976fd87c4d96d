"""The numbers of the calculators are those of lessonlib.calc, for every preset of the fact base."""

import pytest

pytest.importorskip("ipywidgets")

from lessonlib.calc import cache, context, cost, formats, switching, throughput, tokens, vram, weights  # noqa: E402
from lessonlib.facts import catalog  # noqa: E402
from lessonlib.labs import choosing_a_model as choosing  # noqa: E402
from lessonlib.page import calculators as calc  # noqa: E402
from lessonlib.page.calculators import presets  # noqa: E402

MODELS = [row.id for row in catalog.models(own=False)]
CARDS = [row.id for row in presets.cards()]
RATED = [name for name in CARDS if presets.one_gpu(catalog.gpu(name))["tflops"]]


def computed(w) -> dict:
    """The numbers, when the page shows a result and no refusal."""
    assert "cannot be computed" not in w.out.value, w.text()
    return w.values


def test_the_cache_of_every_model_in_every_format():
    w = calc.KVCacheCalculator(tokens=5000, batch=3)
    for name in MODELS:
        for dtype in ("bf16", "q4_0"):
            w.state = {"model": name, "cache": dtype}
            found, want = computed(w), cache.cache(catalog.model(name), 5000, 3, dtype)
            assert (found["bytes"], found["parts"]) == (want.total, dict(want)), name
            assert f"{want.total:,} bytes" in w.out.value
    for card in CARDS:
        w.state = {"card": card}
        assert computed(w)["share"] > 0


def test_the_cache_agrees_with_the_fact_base():
    w = calc.KVCacheCalculator()
    for name in MODELS:
        w.state = {"model": name}
        row = catalog.model(name)
        index = (
            2 * row.layers * row.get("sparse_index_head_dim", 0)
        )  # index keys: the fact base counts the latent alone
        assert w.values["bytes_per_token"] == row.kv_bytes_per_token_fp16 + index, name


def test_memory_of_every_model_on_every_card():
    w = calc.VRAMCalculator(format="bf16")
    for name in MODELS:
        w.state = {"model": name}
        want = vram.vram(catalog.model(name), 8192, format="bf16")
        assert computed(w)["worst"] == dict(want.worst), name
    for card in CARDS:
        w.state = {"card": card}
        size = presets.one_gpu(catalog.gpu(card))["vram_gb"]
        assert computed(w)["fits"] == want.fits(size)
    for form in formats.FORMATS:
        w.state = {"model": "qwen3-coder-next", "format": form}
        assert computed(w)["worst"]["weights"] == weights.weights(catalog.model("qwen3-coder-next"), form).total, form


def test_memory_split_over_gpus_and_a_split_that_does_not_divide():
    w = calc.VRAMCalculator("llama-3.3-70b", "awq", tp=2, pp=2, tokens=4096)
    want = vram.vram(catalog.model("llama-3.3-70b"), 4096, format="awq", tp=2, pp=2)
    assert w.values["bytes"] == want.worst.total and w.values["total"] == want.total and w.values["gpus"] == 4
    assert "GPU 1 to 2" in w.text() and "GPU 3 to 4" in w.text() and "divided by 4" in w.text()
    w.control["tp"].value = 3
    assert "tp is 3, but must divide the 64 attention heads" in w.out.value


def test_context_is_the_budget():
    w = calc.ContextCalculator(window=1000, system=100, tools=0, history=300, documents=400, question=50, reserve=200)
    want = context.budget(1000, dict(a=100, b=0, c=300, d=400, e=50), 200)
    assert w.values == {"used": want.used, "headroom": want.headroom, "share": want.share, "fits": want.fits}
    assert "✗ Does not fit" in w.out.value and "50 more than the window" in w.out.value
    for name in MODELS:
        w.state = {"model": name}
        model = catalog.model(name)
        assert w.state["window"] == (model.get("native_context") or model.max_context)
        assert computed(w)["used"] == want.used
    w.state = {"model": "qwen2.5-coder-32b"}
    assert w.state["window"] == 32_768, "what it was trained on, not what a changed configuration allows"


def test_tokens_are_the_rules():
    w = calc.TokenCalculator("a b c d e" * 3, characters_per_token=3)
    assert w.values["estimate"] == tokens.rule_of_thumb("a b c d e" * 3, 3)
    assert w.values["from_words"] == tokens.from_words(13)


def test_speed_of_every_model_and_rated_card():
    w = calc.ThroughputCalculator(users=4, prompt=300, answer=50)
    rule = throughput.estimator(40, answer_tokens=50, users=4)
    for name in MODELS:
        w.state = {"model": name}
        want = throughput.roofline(
            catalog.model(name), catalog.gpu("rtx-4090"), tokens=300, answer=50, batch=4, format="awq"
        )
        found = computed(w)
        assert found["roofline"]["tokens_per_s"] == want.tokens_per_s and found["roofline"]["fits"] == want.fits
        assert found["estimator"]["tokens_per_s"] == rule.tokens_per_s
    for card in RATED:
        w.state = {"card": card}
        assert computed(w)["roofline"]["tokens_per_s"] > 0
    assert "34.00" in calc.ThroughputCalculator().text() and "14.71" in calc.ThroughputCalculator().text()


def test_roofline_of_every_model_and_rated_card():
    w = calc.RooflineCalculator(batch=4)
    for name in MODELS:
        w.state = {"model": name}
        computed(w)
    for card in RATED:
        w.state = {"model": "qwen3-8b", "card": card}
        found, own = computed(w), throughput.card(catalog.gpu(card))
        assert found["ridge"] == throughput.ridge(own.peak_flops, own.bandwidth)
        for x, y in found["points"].values():
            assert y == throughput.attainable(x, own.peak_flops, own.bandwidth) / 1e12


def test_money_of_every_price():
    prices = [row for row in catalog.prices() if row.group == presets.API]
    w, x = calc.APICostCalculator(tokens_per_day=2e6), calc.CrossoverCalculator()
    assert len(prices) > 5
    for row in prices:
        w.state = x.state = {"api": row.id}
        blend = cost.blend(row.input, row.output)
        assert computed(w)["month"] == cost.monthly(2e6, blend) and w.values["blend"] == blend
        fixed = x.values["fixed"]
        assert computed(x)["tokens_per_day"] == cost.crossover(fixed, blend)
        assert x.values["reachable"] == (cost.crossover(fixed, blend) <= x.values["capacity"])


def test_crossing_that_is_never_there_is_said():
    w = calc.CrossoverCalculator(own_usd=50.0)
    assert "own hardware never gets cheaper" in w.out.value
    w = calc.CrossoverCalculator(node_rate=10.0)
    assert "one node never gets there" in w.out.value and "beyond that limit" in w.text()


def test_sensitivity_keeps_rows_with_equal_uses():
    w = calc.SensitivityTable(use_1=100.0, use_2=100.0, price_1=2.0, price_2=2.0)
    table = w.values["table"]
    assert len(table) == 4 and table[0] == table[1] and table[2][2] == cost.monthly(1e6, 15.0)


def test_electricity_of_every_machine_and_tariff():
    w = calc.ElectricityCalculator()
    for row in catalog.gpus():
        if row.get("board_power_w"):
            w.state = {"card": row.id}
            assert computed(w)["usd"] == cost.electricity(row.board_power_w, 0.12).total
    for row in (row for row in catalog.prices() if row.group == "electricity"):
        w.state = {"tariff": row.id, "pue": 1.3, "load": 50.0}
        want = cost.electricity(w.state["watts"], row.usd_kwh, utilisation=0.5, pue=1.3)
        assert computed(w)["usd"] == want.total and w.values["kwh"] == want.kwh


def test_model_picker_agrees_with_memory_window_and_licence():
    w = calc.ModelPicker(tokens=16_384)
    found = computed(w)
    assert len(found["passed"]) + len(found["rejected"]) == len(catalog.models()) and found["passed"]
    for name in found["passed"]:
        model = catalog.model(name)
        form = choosing.OTHER_4_BIT.get(name, "awq")
        assert vram.vram(model, 16_384, format=form).fits(24) and choosing.windows(model)[0] >= 16_384
    assert "context: 4,096 native" in found["rejected"]["olmo-2-7b"]
    big = calc.ModelPicker(card="gb300-nvl72", tp=8, format="bf16", tokens=1000)
    assert "Mistral Research License does not grant" in big.values["rejected"]["mistral-large-2"]
    assert "Llama 4 Community License does not grant" in big.values["rejected"]["llama-4-scout"]
    big.state = {"domicile": "elsewhere", "use": "research"}
    assert {"mistral-large-2", "llama-4-scout"} <= set(big.values["passed"])
    big.state = {"task": "SWE-bench Verified"}
    assert all(name in {row[0] for row in choosing.SCORES} for name in big.values["passed"])
    for card in CARDS:
        big.state = {"card": card}
        computed(big)


def test_gpu_picker_agrees_with_the_cheapest():
    w = calc.GPUPicker()
    sold = [row for row in catalog.gpus() if row.get("vram_gb")]
    for name in MODELS:
        w.state = {"model": name, "format": "Q4_K_M"}
        found = computed(w)
        want = vram.cheapest(catalog.model(name), sold, 8192, 4, "Q4_K_M")
        assert {catalog.gpu(c.card).id: c.gpus for c in want if c.fits} == {k: v["gpus"] for k, v in found.items()}, (
            name
        )
    w.state = {"model": "qwen3-32b", "format": "bf16", "users": 40}
    assert "GeForce RTX 4080" in w.text().split("not hold it, and why")[1] and "rtx-4080" not in computed(w)


def test_switching_of_every_model():
    w = calc.SwitchCalculator()
    for name in MODELS:
        w.state = {"model": name}
        size = weights.weights(catalog.model(name), "bf16").total
        found = computed(w)
        assert found["level_1"]["seconds"] == switching.sleep_level_1(size, 32.0, overhead_s=0.5).total
        assert found["level_2"]["seconds"] == switching.sleep_level_2(size, 5.0, 32.0, overhead_s=0.5).total
        assert found["cold"]["seconds"] == switching.cold_start(
            size, 5.0, 32.0, process_start_s=15.0, warm_up_s=20.0, stop_s=5.0
        ).total  # fmt: skip


@pytest.fixture
def own_facts(tmp_path, monkeypatch):
    """A card of one's own of which little is known, and a copy of a model under another name."""
    import yaml

    copy = {**catalog.model("qwen3-8b").as_dict(), "id": "my-model", "name": "My Model", "sources": ["own"]}
    row = {key: value for key, value in copy.items() if key != "sources"} | {"source": "my notes"}
    card = {"id": "my-card", "name": "My Card", "vram_gb": 24, "bandwidth_gbs": 500, "source": "my bill"}
    file = tmp_path / "my_facts.yaml"
    file.write_text(yaml.safe_dump({"models": [row], "gpus": [card]}))
    monkeypatch.setenv("LESSON_FACTS", str(file))
    catalog.reload()
    yield
    monkeypatch.undo()
    catalog.reload()


def test_own_models_and_cards_are_presets_too(own_facts):
    own, known = calc.VRAMCalculator("my-model", card="my-card"), calc.VRAMCalculator("qwen3-8b")
    assert computed(own)["bytes"] == computed(known)["bytes"] and "my notes" in own.text() and "my bill" in own.text()
    assert computed(calc.KVCacheCalculator("my-model", "my-card"))["share"] > 0
    assert "my-card" not in [value for _, value in calc.RooflineCalculator().control["card"].options]
    assert computed(calc.GPUPicker("my-model"))["my-card"]["tokens_per_s"] > 0
    picked = computed(calc.ModelPicker("my-card"))
    assert picked["rejected"]["my-model"] == "licence: not in the licence table"
