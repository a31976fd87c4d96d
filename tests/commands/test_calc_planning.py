"""`lessonlib calc tokens | context | throughput | cost | switch`: what they print and what they refuse."""

import json

import pytest

from lessonlib.calc import cost, switching, throughput, weights
from lessonlib.commands import calc
from lessonlib.facts import catalog


def text(capsys, *argv):
    assert calc.main(list(argv)) == 0
    return capsys.readouterr().out


def data(capsys, *argv):
    return json.loads(text(capsys, *argv, "--json"))


def mistake(capsys, *argv):
    assert calc.main(list(argv)) == 2
    return capsys.readouterr().err


def test_tokens_of_a_text(capsys):
    found = data(capsys, "tokens", "--text", "Größe")
    assert found == {"characters": 5, "words": 1, "utf8_bytes": 7, "estimate": 2, "most_possible": 7}
    assert "estimated tokens      2" in text(capsys, "tokens", "--text", "Größe")
    assert data(capsys, "tokens", "--characters", "115")["estimate"] == 29
    assert data(capsys, "tokens", "--characters", "115", "--characters-per-token", "3")["estimate"] == 39
    found = data(capsys, "tokens", "--words", "1000", "--measured", "1000")
    assert found["estimate"] == 1300 and found["relative_error"] == pytest.approx(0.3)


def test_tokens_of_a_file(capsys, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("x" * 10, encoding="utf-8")
    assert data(capsys, "tokens", "--file", str(file))["estimate"] == 3
    file.write_bytes(b"\xff\xfe\xff")
    assert "is no UTF-8 text" in mistake(capsys, "tokens", "--file", str(file))
    assert "cannot be read" in mistake(capsys, "tokens", "--file", str(tmp_path / "none.txt"))
    assert "cannot be read" in mistake(capsys, "tokens", "--file", str(tmp_path))


def test_context_of_the_source_lesson(capsys):
    argv = ["context", "--window", "131072", "--part", "system=700", "--part", "documents=4k", "--reserve", "2000"]
    found = data(capsys, *argv)
    assert (found["used"], found["headroom"], found["fits"]) == (6_700, 124_372, True)
    assert "6,700 (5.1%)" in text(capsys, *argv)


def test_context_that_does_not_fit_and_a_history(capsys):
    assert "it is 10 tokens too long" in text(capsys, "context", "--window", "100", "--part", "all=110")
    argv = [
        "context",
        "--window",
        "100",
        "--part",
        "system=10",
        "--reserve",
        "20",
        "--messages",
        "30",
        "30",
        "30",
        "10",
    ]
    assert data(capsys, *argv)["history"] == {"kept": [1, 2, 3], "dropped": [0], "used": 100, "headroom": 0}
    assert "Of 4 messages the newest 3 stay" in text(capsys, *argv)
    assert "is given twice" in mistake(capsys, "context", "--window", "9", "--part", "a=1", "--part", "a=2")
    assert "write name=tokens" in mistake(capsys, "context", "--window", "9", "--part", "a")


def test_context_of_a_model_names_its_native_window(capsys):
    out = text(capsys, "context", "--model", "qwen2.5-coder-32b")
    assert "131,072" in out and "trained on 32,768 tokens" in out
    assert "trained on" not in text(capsys, "context", "--model", "llama-3.3-70b")


def test_throughput_is_the_roofline(capsys):
    argv = [
        "throughput",
        "--model",
        "qwen3-32b",
        "--gpu",
        "h100-sxm",
        "--format",
        "awq",
        "--prompt",
        "2k",
        "--batch",
        "4",
    ]
    found = data(capsys, *argv)
    model, gpu = catalog.model("qwen3-32b"), catalog.gpu("h100-sxm")
    want = throughput.roofline(model, gpu, tokens=2000, answer=500, batch=4, format="awq")
    assert found["tokens_per_s"] == pytest.approx(want.tokens_per_s) and found["bound"] == "memory" == want.bound
    assert found["prefill"]["seconds"] == pytest.approx(want.prefill_s) and found["as_of"] and found["source"]
    out = text(capsys, *argv)
    assert f"{want.tokens_per_s:,.1f}" in out and "memory-bound" in out and "Ceilings, not forecasts" in out
    assert "do not fit" in text(capsys, "throughput", "--model", "llama-3.3-70b", "--gpu", "rtx-4090")


def test_throughput_on_several_cards(capsys):
    argv = ["throughput", "--model", "llama-3.3-70b", "--gpu", "h100-sxm", "--tp", "4", "--link-latency-us", "10"]
    found = data(capsys, *argv)
    sums = 2 * 80 * throughput.all_reduce_seconds(8192 * 2, 4, 450e9, latency_s=10e-6)
    assert found["decode"]["link_s"] == pytest.approx(sums) and "4 x NVIDIA H100" in text(capsys, *argv)
    half = data(capsys, *argv, "--bandwidth-efficiency", "0.5")
    assert half["decode"]["memory_s"] == pytest.approx(2 * found["decode"]["memory_s"])


def test_the_estimator(capsys):
    found = data(capsys, "throughput", "--estimator", "40")
    assert found["tokens_per_s"] == 34 and found["requests_per_s"] == 0.068
    assert "14.71" in text(capsys, "throughput", "--estimator", "40")
    assert "give --estimator alone" in mistake(capsys, "throughput", "--estimator", "40", "--gpu", "x").replace(
        "G", "g"
    )
    assert "--model and --gpu" in mistake(capsys, "throughput", "--model", "qwen3-32b")
    assert "has no tensor rate" in mistake(capsys, "throughput", "--model", "qwen3-32b", "--gpu", "apple-m3-ultra")
    assert "must be a share" in mistake(capsys, "throughput", "--estimator", "40", "--efficiency", "2")


def test_cost_of_a_month_and_the_crossover(capsys):
    argv = [
        "cost",
        "--price",
        "gpt-4o",
        "--tokens-per-day",
        "1M",
        "--node-usd-month",
        "9000",
        "--node-tokens-per-s",
        "700",
    ]
    found = data(capsys, *argv)
    assert (found["usd_per_million"], found["usd_month"], found["as_of"]) == (5, 150, "2025-10-16")
    assert found["crossover"]["tokens_per_day"] == 60e6 and found["crossover"]["reachable"] is True
    assert "One such node can serve that" in text(capsys, *argv)
    assert data(capsys, *argv, "--hours-per-day", "8")["crossover"] == {
        "tokens_per_day": 60e6,
        "tokens_per_s": pytest.approx(2083.33, abs=0.01),
        "nodes": 3,
        "reachable": False,
    }
    slow = [*argv[:-1], "600"]
    assert data(capsys, *slow)["crossover"]["nodes"] == 2 and "cannot serve that: it takes 2" in text(capsys, *slow)


def test_cost_from_two_numbers(capsys):
    found = data(
        capsys, "cost", "--input", "5", "--output", "25", "--ratio", "1", "--tokens-per-day", "1e6", "--days", "31"
    )
    assert found["usd_per_million"] == 15 and found["usd_month"] == pytest.approx(cost.monthly(1e6, 15, 31))
    assert "Add --tokens-per-day" in text(capsys, "cost", "--input", "5", "--output", "25")
    assert data(capsys, "cost", "--price", "GPT 4o")["price"] == "gpt-4o"


def test_cost_of_electricity(capsys):
    found = data(capsys, "cost", "--electricity", "--watts", "450")
    assert found["USD"] == pytest.approx(473.04) and found["kWh"] == pytest.approx(3942)
    assert "473.04 USD at 0.12 USD/kWh" in text(capsys, "cost", "--electricity", "--watts", "450")
    assert "cooling and losses" in text(capsys, "cost", "--electricity", "--watts", "450", "--pue", "1.5")


@pytest.mark.parametrize(
    "argv, says",
    [
        (["--price", "gpt-4"], "'gpt-4'. Nearest: gpt-4o"),
        (["--price", "gpt-4o", "--input", "4"], "Give --price, or --input and --output"),
        (["--input", "4"], "or --electricity"),
        (["--electricity"], "needs --watts"),
        (["--electricity", "--watts", "450", "--price", "gpt-4o"], "--price changes nothing"),
        (["--price", "gpt-4o", "--pue", "1.2"], "--pue changes nothing"),
        (["--price", "gpt-4o", "--node-tokens-per-s", "9"], "--node-tokens-per-s changes nothing"),
        (["--watts", "450", "--input", "1", "--output", "1"], "belongs to --electricity"),
        (["--price", "gpt-4o", "--node-usd-month", "1", "--own-usd-per-million", "6"], "never gets cheaper"),
        (["--electricity", "--watts", "450", "--pue", "0.5"], "1 or more"),
    ],
)
def test_costs_that_are_refused(capsys, argv, says):
    assert says in mistake(capsys, "cost", *argv)


def test_a_price_of_your_own_is_found(capsys, tmp_path, monkeypatch):
    mine = tmp_path / "mine.yaml"
    row = "{id: zed, group: api_usd_per_million_tokens, input: 1, output: 4, as_of: 2026-01-01, source: my contract}"
    mine.write_text(f"prices:\n- {row}\n", encoding="utf-8")
    monkeypatch.setenv("LESSON_FACTS", str(mine))
    catalog.reload()
    try:
        found = data(capsys, "cost", "--price", "Zed")
        assert (found["usd_per_million"], found["as_of"], found["source"]) == (
            2,
            "2026-01-01",
            "your file mine.yaml: my contract",
        )
        assert "Source (2026-01-01): your file mine.yaml" in text(capsys, "cost", "--price", "zed")
    finally:
        monkeypatch.undo()
        catalog.reload()


@pytest.mark.parametrize(
    "argv, says",
    [
        (["tokens", "--words", "5", "--characters-per-token", "3"], "--characters-per-token changes nothing"),
        (["throughput", "--estimator", "40", "--batch", "2"], "--batch changes nothing"),
        (["throughput", "--model", "qwen3-8b", "--gpu", "h100-sxm", "--users", "2"], "--users changes nothing"),
        (["switch", "--bytes", "1e9", "--format", "awq"], "--format changes nothing"),
    ],
)
def test_an_option_that_changes_nothing_is_refused(capsys, argv, says):
    assert says in mistake(capsys, *argv)


def test_switching_in_three_ways(capsys):
    argv = ["switch", "--model", "qwen2.5-coder-32b", "--format", "awq", "--disk-gbs", "2", "--start-s", "10"]
    found = data(capsys, *argv)
    size = weights.weights(catalog.model("qwen2.5-coder-32b"), "awq").total
    want = switching.cold_start(size, 2, 32, process_start_s=10).total
    assert found["weights"] == size and found["ways"]["cold start"]["s"] == pytest.approx(want)
    assert found["ways"]["sleep level 1"]["host_ram"] == size and found["ways"]["sleep level 2"]["host_ram"] == 0
    published = catalog.table("engines")["vllm_sleep_mode"]["published_timings"]
    assert found["ways"]["sleep level 1"]["published_wake_s"] == published["wake_l1_s"]
    out = text(capsys, *argv, "--per-day", "2")
    assert "process start 10.0 s" in out and "2 round trips a day lose" in out


def test_switching_at_one_level(capsys):
    found = data(capsys, "switch", "--bytes", "32e9", "--level", "1", "--per-day", "3")
    assert list(found["ways"]) == ["sleep level 1"]
    one = found["ways"]["sleep level 1"]
    assert (one["s"], one["wake_s"], one["lost_per_day_s"], one["against_published"]) == (2, 1, 12, "within")
    assert "above 0" in mistake(capsys, "switch", "--bytes", "32e9", "--disk-gbs", "0")
    assert "above 0" in mistake(capsys, "switch", "--bytes", "0")
