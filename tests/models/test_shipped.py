"""The models that ship with the course: complete, what their cards say, and able to write."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
import torch

from lessonlib.models import catalogue, embedded_names, embedded_path, load, load_pair, probes
from lessonlib.models.training.card import card
from lessonlib.models.training.evaluate import bits_per_byte
from lessonlib.models.training.presets import config_for, preset

# Written for this test, in the simple English of the training stories.
HELD_OUT = [
    "Once upon a time, there was a little girl named Mia. She had a small red kite. One day, she went to the park with her "
    "dad. The wind was very strong, and the kite flew away. Mia was sad. Her dad said, \"Do not cry, Mia. We can look for "
    "it.\" They looked and looked, and they found the kite in a big tree. Mia was happy again.",
    "Sam had a dog. The dog liked to run and play in the garden. One morning, the dog found a big bone under a tree. "
    'Sam said, "Good dog! You can have the bone." They went home and had lunch.',
]  # fmt: skip


def read(name: str) -> dict:
    return json.loads((embedded_path(name) / "training.json").read_text(encoding="utf-8"))


FAMILY = ("draft", "mini", "moe", "target")


@pytest.fixture(scope="module", params=FAMILY)
def opened(request):
    """(name, model, tokenizer) of a shipped model."""
    return request.param, *load(request.param, device="cpu")


def ids_of(tokenizer, text: str) -> torch.Tensor:
    return torch.tensor([tokenizer.encode("<|endoftext|>" + text)])


def test_the_family_ships_whole_small_and_with_one_vocabulary():
    assert tuple(embedded_names()) == FAMILY
    for name in FAMILY:
        files = {path.name for path in embedded_path(name).iterdir()}
        assert files == {
            "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
            "tokenizer.json", "tokenizer_config.json", "training.json",
        }  # fmt: skip
    assert sum(card.bytes for card in catalogue()) < 60e6
    assert len({(embedded_path(name) / "tokenizer.json").read_bytes() for name in FAMILY}) == 1


def test_the_catalogue_tells_what_is_on_disk():
    for row in catalogue():
        folder = embedded_path(row.name)
        assert row.bytes == sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        assert 2 * row.parameters < row.bytes < 2 * row.parameters + 40_000  # two bytes each, and a header
        assert row.context == 1024 and row.licence == "Apache-2.0" and row.purpose


def test_the_record_the_card_and_the_weights_belong_together(opened):
    name, model, _ = opened
    record, folder = read(name), embedded_path(name)
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == record["weights_sha256"]
    assert model.num_parameters() == record["parameters"]
    assert (folder / "README.md").read_text(encoding="utf-8") == card(record)
    assert record["tokens_seen"] >= record["curve"][-1][0] > 0
    config = config_for(preset(name))
    for field in ("hidden_size", "num_hidden_layers", "num_key_value_heads", "intermediate_size", "vocab_size"):
        assert getattr(model.config, field) == getattr(config, field)


def test_no_path_of_the_training_machine_is_left(opened):
    for path in embedded_path(opened[0]).iterdir():
        data = path.read_bytes()
        assert not re.search(rb"/(home|root|tmp|Users|mnt|var)/", data)


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "layers", "heads", "kv_heads", "head_dim"),
    [
        ("mini", 3_148_224, "llama", 6, 6, 2, 32),
        ("target", 15_735_936, "llama", 9, 6, 2, 64),
        ("draft", 2_524_416, "llama", 2, 4, 2, 64),
        ("moe", 6_696_384, "mixtral", 6, 6, 2, 32),
    ],
)
def test_the_planned_shapes(name, parameters, kind, layers, heads, kv_heads, head_dim):
    config, record = load(name, device="cpu")[0].config, read(name)
    assert record["parameters"] == parameters and config.model_type == kind and config.num_hidden_layers == layers
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (heads, kv_heads, head_dim)
    assert config.max_position_embeddings == 1024 and config.tie_word_embeddings


# Bits a byte of held-out stories that the card may show at most; a uniform guess over bytes is 8, an untrained model
# about 3.5.
STORIES = {"target": 0.75, "mini": 0.77, "moe": 0.77, "draft": 0.8}


def test_it_predicts_simple_english(opened):
    name, model, tokenizer = opened
    assert read(name)["bits_per_byte"]["tinystories"] <= STORIES[name]
    mine = bits_per_byte(model, tokenizer.backend_tokenizer, HELD_OUT)
    assert mine < STORIES[name] + 0.2  # other words, another author


# What a probe must reach at least, well below what the card says; see lessonlib/models/probes.py.
LEAST = {
    "target": {"copy_8_words": 0.9, "json_tool_calls": 0.8, "stories_without_a_loop": 0.9, "pass_key_at_256": 0.85,
               "best_induction_head": 0.4, "best_previous_token_head": 0.7},
    "mini": {"copy_8_words": 0.85, "stories_without_a_loop": 0.9, "pass_key_at_128": 0.85, "best_previous_token_head": 0.7},
    "draft": {"copy_8_words": 0.5, "stories_without_a_loop": 0.9, "pass_key_at_128": 0.8},
    "moe": {"copy_8_words": 0.85, "stories_without_a_loop": 0.9, "pass_key_at_128": 0.85, "best_previous_token_head": 0.6,
            "expert_load_entropy": 0.85, "expert_load_shift": 0.05},
}  # fmt: skip
MARGIN = 0.12  # of 40 tries: another processor rounds otherwise, and a close call turns


def test_the_probes_give_what_the_card_says(opened):
    name, model, tokenizer = opened
    said, found = read(name)["probes"], probes.probe(model, tokenizer)
    assert found.keys() == {key for key in said if not key.startswith("accepted")}
    assert {key: value for key, value in found.items() if abs(value - said[key]) > MARGIN} == {}
    assert {key: found[key] for key, least in LEAST[name].items() if found[key] < least} == {}


def test_the_draft_saves_calls_of_the_target():
    target, draft, tokenizer = load_pair("target", "draft", device="cpu")
    said = read("draft")["probes"]
    found = {kind: probes.accepted(target, draft, tokenizer, kind) for kind in probes.PROMPTS}
    assert all(abs(found[kind] - said[f"accepted_{kind}"]) < 0.3 for kind in found)
    assert found["stories"] > 2


def test_experts_share_the_work_and_have_tastes():
    model, tokenizer = load("moe", device="cpu")
    load_of = probes.expert_load(model, tokenizer)
    everything = sum(load_of.values()) / len(load_of)
    assert everything.min() > 0.01 and probes.load_entropy(everything) > 0.85  # no expert is dead
    assert max(probes.load_shift(kind, everything) for kind in load_of.values()) > 0.05


def test_samples_of_the_card_are_what_the_model_writes(opened):
    name, model, tokenizer = opened
    said, found = read(name)["samples"], probes.samples(model, tokenizer)
    assert [(row["prompt"], row["temperature"]) for row in said] == [
        (row["prompt"], row["temperature"]) for row in found
    ]
    greedy = [(a["text"], b["text"]) for a, b in zip(said, found, strict=True) if a["temperature"] == 0]
    assert sum(a[:40] == b[:40] for a, b in greedy) >= len(greedy) - 1  # one close call may turn on another processor


def test_cached_and_uncached_agree(opened):
    _, model, tokenizer = opened
    ids = ids_of(tokenizer, HELD_OUT[0])[:, :60]
    with torch.no_grad():
        whole = model(ids).logits
        cache, parts = None, []
        for step in range(ids.shape[1]):
            out = model(ids[:, step : step + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            parts.append(out.logits)
    assert (torch.cat(parts, dim=1) - whole).abs().max() < 1e-3
    options = dict(max_new_tokens=30, do_sample=False, pad_token_id=1)
    start = ids_of(tokenizer, "Once upon a time")
    with_cache = model.generate(start, use_cache=True, **options)
    assert torch.equal(with_cache, model.generate(start, use_cache=False, **options))


def test_it_does_not_run_in_a_trivial_loop(opened):
    _, model, tokenizer = opened
    start = ids_of(tokenizer, "Once upon a time, there was a little")
    torch.manual_seed(0)
    made = model.generate(
        start.repeat(4, 1),
        do_sample=True,
        temperature=0.8,
        top_k=0,
        min_new_tokens=60,
        max_new_tokens=60,
        pad_token_id=1,
    )
    for row in made[:, start.shape[1] :].tolist():
        triples = list(zip(row, row[1:], row[2:], strict=False))
        assert len(set(triples)) > 0.7 * len(triples)


def test_a_long_input_up_to_the_context_works(opened):
    _, model, tokenizer = opened
    ids = ids_of(tokenizer, HELD_OUT[0] * 20)[:, : model.config.max_position_embeddings]
    assert ids.shape[1] == 1024
    with torch.no_grad():
        assert model(ids).logits.isfinite().all()


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, lessonlib.models; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
