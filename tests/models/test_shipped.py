"""The models that ship with the course: complete, what their cards say, and able to write."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
import torch

from lessonlib.models import catalogue, embedded_names, embedded_path, load
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


@pytest.fixture(scope="module", params=embedded_names() or ["mini"])
def opened(request):
    """(name, model, tokenizer) of a shipped model."""
    return request.param, *load(request.param, device="cpu")


def ids_of(tokenizer, text: str) -> torch.Tensor:
    return torch.tensor([tokenizer.encode("<|endoftext|>" + text)])


def test_mini_ships():
    assert "mini" in embedded_names()
    files = {path.name for path in embedded_path("mini").iterdir()}
    assert files == {
        "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json", "training.json",
    }  # fmt: skip


def test_the_catalogue_tells_what_is_on_disk():
    for row in catalogue():
        folder = embedded_path(row.name)
        assert row.bytes == sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        assert 2 * row.parameters < row.bytes < 2 * row.parameters + 20_000  # two bytes each, and a header
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


def test_mini_has_the_planned_size():
    model, _ = load("mini", device="cpu")
    assert model.num_parameters() == 3_148_224
    assert (model.config.num_attention_heads, model.config.num_key_value_heads, model.config.head_dim) == (6, 2, 32)


def test_it_predicts_simple_english(opened):
    _, model, tokenizer = opened
    assert bits_per_byte(model, tokenizer.backend_tokenizer, HELD_OUT) < BOUND


def test_its_own_record_of_stories_is_under_the_bound(opened):
    assert read(opened[0])["bits_per_byte"]["tinystories"] < BOUND


BOUND = 1.0  # bits a byte; a uniform guess over bytes is 8, an untrained model about 3.5


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
