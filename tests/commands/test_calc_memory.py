"""`lessonlib calc kv | vram | training`: answers as JSON and as text, and mistakes in one sentence with exit status 2."""

import json

import pytest

from lessonlib.calc import cache, training, vram, weights
from lessonlib.commands import calc
from lessonlib.facts import catalog

QWEN = catalog.model("qwen2.5-coder-32b")
CONFIG = {
    "model_type": "qwen2", "num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8,
    "hidden_size": 5120, "intermediate_size": 27648, "vocab_size": 152064, "tie_word_embeddings": False,
    "max_position_embeddings": 32768, "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    return str(path)


@pytest.fixture
def ask(capsys):
    """The JSON that a command line prints."""

    def asked(*words):
        assert calc.main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return asked


@pytest.fixture
def read(capsys):
    """The text that a command line prints."""

    def answer(*words):
        assert calc.main(list(words)) == 0
        return capsys.readouterr().out

    return answer


# kv


def test_kv_of_the_32b_as_json(ask):
    found = ask("kv", "--model", "Qwen2.5-Coder-32B", "--tokens", "50000")
    assert found["bytes"] == 13_107_200_000 and found["GB"] == 13.1072 and found["GiB"] == 13_107_200_000 / 2**30
    assert found["breakdown"]["full_attention"]["bytes"] == 13_107_200_000
    assert (found["model"], found["tokens"], found["batch"], found["dtype"]) == (QWEN.name, 50_000, 1, "bf16")
    assert found["bytes_per_token"] == 262_144 and found["formula"].endswith("= 13,107,200,000 bytes")
    assert found["source"] == QWEN.source and found["as_of"] == QWEN.as_of


@pytest.mark.parametrize("tokens, count", [("128k", 128_000), ("32_768", 32_768), ("1e6", 10**6), ("128Ki", 131_072)])
def test_counts_as_people_write_them(ask, tokens, count):
    assert (
        ask("kv", "--model", "qwen3-8b", "--tokens", tokens)["bytes"]
        == cache.cache(catalog.model("qwen3-8b"), count).total
    )


def test_kv_of_plain_numbers_and_of_a_config(ask, config):
    plain = ask("kv", "--layers", "64", "--kv-heads", "8", "--head-dim", "128", "--tokens", "50000")
    assert plain["bytes"] == 13_107_200_000 and plain["as_of"] is None
    read = ask("kv", "--config", config, "--tokens", "50000")
    assert read["bytes"] == 13_107_200_000 and read["model"] == "config.json"
    options = ("--window-layers", "32", "--window", "1024")
    windowed = ask("kv", "--layers", "64", "--kv-heads", "8", "--head-dim", "128", "--tokens", "50000", *options)
    assert windowed["bytes"] == 131_072 * (50_000 + 1024)


@pytest.mark.parametrize("row", catalog.models(), ids=lambda row: row.id)
def test_kv_of_every_model(ask, read, row):
    words = ("kv", "--model", row.id, "--tokens", "20000", "--batch", "2", "--dtype", "fp8")
    found, expected = ask(*words), cache.cache(row, 20_000, 2, "fp8")
    assert found["bytes"] == expected.total and set(found["breakdown"]) == set(expected)
    assert found["fixed_bytes"] == cache.fixed_bytes(row)
    text = read(*words)
    assert "Common mistake" in text and "iB)" in text and row.name in text
    assert (f"at most {row.max_context:,} tokens" in text) == (row.max_context < 20_000)


def test_kv_names_the_mistake_in_numbers(read):
    assert "the 40 query heads instead of the 8 key-value heads, 65.5 GB (61 GiB)" in read(
        "kv", "--model", "qwen2.5-coder-32b", "--tokens", "50000"
    )
    assert "all layers times all tokens, 6.29 GB" in read("kv", "--model", "gpt-oss-20b", "--tokens", "128k")
    assert "only 12 keep keys and values" in read("kv", "--model", "qwen3-coder-next", "--tokens", "128k")
    assert "keys and values of every head" in read("kv", "--model", "deepseek-r1", "--tokens", "128k")
    assert "only K or only V" in read("kv", "--model", "olmo-2-7b", "--tokens", "4k")


def test_kv_options(ask):
    words = ("kv", "--model", "qwen3-8b", "--tokens", "1001", "--dtype")
    row = catalog.model("qwen3-8b")
    assert ask(*words, "0.5")["bytes"] == cache.cache(row, 1001, dtype=0.5).total
    assert ask(*words, "int4", "--group", "64")["bytes"] == cache.cache(row, 1001, dtype="int4", group=64).total
    assert ask(*words, "fp8", "--block", "16")["bytes"] == cache.cache(row, 1008, dtype="fp8").total


# vram


def test_vram_as_json(ask):
    found = ask("vram", "--model", "qwen2.5-coder-32b", "--format", "AWQ", "--tokens", "8192", "--gpus", "2")
    expected = vram.vram(QWEN, 8192, format="awq", tp=2)
    assert found["bytes"] == expected.worst.total and found["total"]["bytes"] == expected.total
    assert [gpu["bytes"] for gpu in found["gpus"]] == [gpu.total for gpu in expected.gpus]
    assert found["weights"]["bytes"] == weights.weights(QWEN, "awq").total
    assert found["cache"]["bytes"] == cache.cache(QWEN, 8192).total
    assert found["format"] == "awq" and found["tp"] == 2 and found["replicated"] == expected.replicated
    card = next(c for c in found["cards"] if c["card"] == "GeForce RTX 4090")
    assert card["fits"] and card["largest_context"] == vram.largest_context(QWEN, 24, format="awq", tp=2)
    assert card["largest_batch"] == vram.largest_batch(QWEN, 24, 8192, "awq", tp=2)
    assert len(found["cheapest"]) == len(catalog.gpus()) and found["cheapest"][0]["fits"]
    assert found["source"] == QWEN.source and found["formula"] and found["trained_context"] == QWEN.max_context


def test_vram_as_text(read):
    text = read("vram", "--model", "qwen2.5-coder-32b", "--format", "awq", "--tokens", "32k", "--card", "4090")
    for words in ("weights", "19.3 GB", "8.39 GB (7.81 GiB)", "does not fit", "longest context 10,912 tokens"):
        assert words in text
    assert "Common mistake: the weights alone" in text and "Cheapest" not in text
    text = read("vram", "--model", "qwen3-coder-30b-a3b", "--pp", "2", "--gpus", "4")
    assert "one token passes" in text and "repeat on every GPU" in text and "Cheapest of the fact base" in text


def test_vram_of_the_source_lessons_rule(ask, read):
    found = ask("vram", "--parameters", "32e9", "--bits", "4")
    assert found["bytes"] == 19_600_000_000 and found["GB"] == 19.6
    assert next(c["fits"] for c in found["cards"] if c["card"] == "GeForce RTX 4090")
    assert "19.6 GB (18.3 GiB)" in read("vram", "--parameters", "32e9", "--bits", "4", "--card", "rtx-4090")
    assert ask("vram", "--parameters", "32B", "--bits", "4", "--factor", "1", "--extra-gb", "0")["bytes"] == 16 * 10**9


def test_vram_of_a_config(ask, config):
    found = ask("vram", "--config", config, "--format", "Q4_K_M", "--card", "rtx-5090")
    assert found["weights"]["bytes"] == weights.weights(QWEN, "Q4_K_M").total
    assert found["cards"][0]["card"] == "GeForce RTX 5090" and "cheapest" not in found


# training


def test_training_as_json(ask):
    found = ask(
        "training", "--model", "qwen2.5-coder-32b", "--method", "qlora", "--rank", "8", "--targets", "q_proj", "v_proj"
    )
    expected = training.training(QWEN, "qlora", rank=8, targets=["q", "v"])
    assert found["bytes"] == expected.total and set(found["breakdown"]) == set(expected)
    assert found["adapter_parameters"] == training.adapter(QWEN, 8, ["q", "v"]).parameters
    plain = ask("training", "--parameters", "32e9")
    assert plain["GB"] == 512 and "x 16 bytes" in plain["formula"]


def test_training_as_text(read):
    text = read(
        "training", "--model", "qwen3-8b", "--optimizer", "adamw_8bit", "--no-master", "--checkpointing", "none"
    )
    assert "master" not in text and "Common mistake: the weights alone, 16.4 GB" in text and "activations" in text
    assert "adapter parameters" in read("training", "--model", "qwen3-8b", "--method", "lora")


def test_the_mistake_with_windows_is_all_layers_times_all_tokens(read):
    plain = "kv --layers 4 --kv-heads 2 --head-dim 64 --window 8 --tokens 1000000 --window-layers"
    assert "all tokens, 2.05 GB" in read(*plain.split(), "4") and "all tokens, 2.05 GB" in read(*plain.split(), "3")
    assert "all tokens, 640 MB" in read(*plain.split(), "4", "--dtype", "int4", "--group", "32")


# Mistakes


@pytest.mark.parametrize(
    "words, says",
    [
        ("kv --tokens 5", "give exactly one of --model"),
        ("kv --model qwen3-8b --layers 4 --tokens 5", "too many descriptions"),
        ("kv --model qwen9 --tokens 5", "no model 'qwen9'"),
        ("kv --model qwen3-8b", "--tokens"),
        ("kv --model qwen3-8b --tokens many", "no whole number"),
        ("kv --model qwen3-8b --tokens 5 --batch 0", "batch is 0"),
        ("kv --model qwen3-8b --tokens 5 --dtype fp9", "no cache type 'fp9'"),
        ("kv --model qwen3-8b --tokens 5 --dtype nan", "is nan"),
        ("kv --model qwen3-8b --tokens 5 --block 0", "block is 0"),
        ("kv --layers 4 --tokens 5", "--kv-heads, --head-dim is missing"),
        ("kv --layers 4 --kv-heads 2 --head-dim 64 --tokens 5 --window-layers 2", "--window is missing"),
        ("kv --layers 4 --kv-heads 2 --head-dim 64 --tokens 5 --window-layers 5 --window 9", "only 4 layers"),
        ("kv --config nowhere.json --tokens 5", "cannot be read"),
        ("vram --model qwen3-8b --format q9", "no weight format 'q9'"),
        ("vram --model qwen3-8b --card 9090", "no GPU '9090'"),
        ("vram --model qwen3-8b --card apple-m4-ultra", "no memory size"),
        ("vram --model qwen3-8b --gpus 3", "must divide the 32 attention heads"),
        ("vram --model qwen3-8b --gpus 4 --pp 3", "cannot be cut"),
        ("vram --model qwen3-8b --gpus 4 --pp 0", "cannot be cut"),
        ("vram --model qwen3-8b --gpus 4 --tp 3 --pp 2", "makes 6"),
        ("vram --model qwen3-8b --tp 0", "tp is 0"),
        ("vram --model qwen3-8b --utilization 1.2", "utilization is 1.2"),
        ("vram --bits 4", "--parameters is missing"),
        ("vram --parameters 32e9 --bits 4 --gpus 2", "describe one GPU"),
        ("vram --parameters 32e9 --bits 4 --factor 0.5", "factor is 0.5"),
        ("training --model qwen3-8b --method prefix", "method is 'prefix'"),
        ("training --parameters 8e9 --method lora", "needs --model"),
        ("training --model qwen3-8b --method lora --targets banana", "no target 'banana'"),
        ("training --model qwen3-8b --tokens 0", "tokens is 0"),
        ("kv --model qwen3-8b --tokens 1e31", "above 10^30"),
        (f"kv --model qwen3-8b --tokens {'9' * 400}", "above 10^30"),
        ("kv --layers 1e9 --kv-heads 1 --head-dim 1 --tokens 5", "10,000 at most"),
        # what changes nothing is refused, not passed over
        ("kv --model qwen3-8b --tokens 5 --window 4", "--window changes nothing"),
        ("kv --model qwen3-8b --tokens 5 --window-layers 4", "--window-layers changes nothing"),
        ("kv --layers 4 --kv-heads 2 --head-dim 64 --tokens 5 --window 9", "--window changes nothing without"),
        ("vram --parameters 32e9 --bits 4 --tokens 5", "--tokens changes nothing"),
        ("vram --model qwen3-8b --extra-gb 3", "--extra-gb changes nothing"),
        ("training --parameters 8e9 --batch 2", "--batch changes nothing"),
        ("training --model qwen3-8b --rank 8", "--rank changes nothing"),
        ("training --model qwen3-8b --method lora --no-master", "--no-master changes nothing"),
    ],
)
def test_mistakes_end_with_status_2_and_one_sentence(capsys, words, says):
    assert calc.main(words.split()) == 2
    found = capsys.readouterr()
    assert found.out == "" and says.lower() in found.err.lower()
    assert len(found.err.strip().splitlines()) == 1 and "Traceback" not in found.err


def test_a_broken_config_is_told_apart(capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{", encoding="utf-8")
    assert calc.main(["kv", "--config", str(path), "--tokens", "5"]) == 2
    assert "no JSON file" in capsys.readouterr().err
    path.write_text("[" * 100_000, encoding="utf-8")
    assert calc.main(["kv", "--config", str(path), "--tokens", "5"]) == 2
    assert "no JSON file" in capsys.readouterr().err
    assert calc.main(["kv", "--model", "qwen3-8b", "--config", "", "--tokens", "5"]) == 2
    assert "too many descriptions" in capsys.readouterr().err.lower()
    path.write_text('{"model_type": "bert"}', encoding="utf-8")
    assert calc.main(["vram", "--config", str(path)]) == 2
    assert "bert" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["kv", "vram", "training"])
def test_help_has_an_example_that_runs(capsys, name):
    assert calc.main([name, "--help"]) == 0
    example = capsys.readouterr().out.split("example:")[1].strip()
    words = example.split(f"calc {name} ")[1].split()
    assert calc.main([name, *words]) == 0
    assert "GB" in capsys.readouterr().out
