"""Families without a row in the fact base: every tensor as transformers builds it, and what the calculators make of it."""

import functools
import json
import re

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from lessonlib.calc import architecture, cache, vram, weights
from lessonlib.calc.architecture import PARTS
from lessonlib.calc.architecture_defaults import DEFAULTS, SAME_AS, WRAPPED
from lessonlib.facts import catalog

SIZES = dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, vocab_size=96, intermediate_size=48)
SIZES |= dict(num_hidden_layers=4, max_position_embeddings=64)
ODD = dict(hidden_size=40, num_attention_heads=4, num_key_value_heads=1, vocab_size=101, intermediate_size=72)
ODD |= dict(num_hidden_layers=5, max_position_embeddings=96)
HEAD, TIED, UNTIED = dict(head_dim=16), dict(tie_word_embeddings=True), dict(tie_word_embeddings=False)
BIAS, WINDOW, QK = dict(attention_bias=True), dict(sliding_window=16), dict(use_qk_norm=True)
MLP_BIAS = dict(attention_bias=True, mlp_bias=True)
SOME = dict(num_experts=4, num_experts_per_tok=2)
LOCAL = dict(num_local_experts=4, num_experts_per_tok=2)
FINE = dict(n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, n_shared_experts=1)
TWO = FINE | dict(n_shared_experts=2, first_k_dense_replace=2)
NARROW = dict(kv_lora_rank=16, q_lora_rank=8, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=12)
STATES = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16)
SHARED = dict(moe_intermediate_size=24, shared_expert_intermediate_size=40)
MAMBA = dict(mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8)
ERNIE = dict(moe_num_experts=4, moe_k=2, moe_intermediate_size=24, moe_layer_start_index=1, moe_layer_end_index=-1)
GPTJ = dict(n_embd=32, n_head=4, n_layer=3, vocab_size=96, n_positions=64, rotary_dim=8)
ORDER = dict(
    layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention", "full_attention"]
)
# Two configurations of each family, on top of SIZES and of ODD.
CASES = {
    "gemma": (HEAD, UNTIED | BIAS | HEAD),
    "gemma2": (HEAD | WINDOW, BIAS | UNTIED | WINDOW | ORDER),
    "qwen2_moe": (SOME | SHARED, SOME | SHARED | dict(qkv_bias=False, decoder_sparse_step=2)),
    "qwen3_5_text": (STATES | HEAD, STATES | TIED | BIAS | dict(linear_value_head_dim=8, full_attention_interval=2)),
    "qwen3_5_moe_text": (SOME | SHARED | STATES, SOME | SHARED | STATES | TIED | HEAD),
    "starcoder2": (WINDOW, UNTIED | dict(use_bias=False)),
    "smollm3": ({}, MLP_BIAS | UNTIED | WINDOW | dict(use_sliding_window=True)),
    "cohere": (QK, UNTIED | BIAS),
    "cohere2": (WINDOW, WINDOW | BIAS | UNTIED | dict(sliding_window_pattern=2)),
    "stablelm": (dict(qk_layernorm=True), dict(use_qkv_bias=True, use_parallel_residual=True)),
    "olmo": ({}, BIAS | TIED),
    "olmo3": (WINDOW, BIAS | TIED | WINDOW | ORDER),
    "olmoe": (SOME, SOME | BIAS | TIED),
    "flex_olmo": (SOME, SOME | BIAS | TIED),
    "phi": ({}, dict(qk_layernorm=True)),
    "phimoe": (LOCAL, LOCAL | BIAS | dict(lm_head_bias=True) | WINDOW),
    "ministral": (HEAD | WINDOW, HEAD | WINDOW | ORDER),
    "ministral3": (HEAD, HEAD | TIED | WINDOW),
    "internlm3": (HEAD, HEAD | dict(qkv_bias=True, bias=True)),
    "exaone4": (WINDOW, WINDOW | TIED | ORDER),
    "exaone_moe": (SOME | WINDOW | dict(moe_intermediate_size=24), TWO | SOME | WINDOW | dict(num_shared_experts=2)),
    "glm": (HEAD, HEAD | dict(attention_bias=False) | TIED),
    "glm4": (HEAD, HEAD | dict(attention_bias=False) | TIED),
    "ernie4_5": (HEAD, HEAD | UNTIED | dict(use_bias=True)),
    "ernie4_5_moe": (ERNIE, ERNIE | UNTIED | dict(use_bias=True, moe_layer_interval=2, moe_num_shared_experts=1)),
    "seed_oss": (HEAD, HEAD | dict(attention_bias=False, attention_out_bias=True, mlp_bias=True)),
    "granitemoe": (LOCAL, LOCAL | BIAS | TIED),
    "granitemoeshared": (LOCAL, LOCAL | BIAS | dict(shared_intermediate_size=24)),
    "granitemoehybrid": (
        LOCAL | MAMBA | dict(shared_intermediate_size=24, layer_types=["linear_attention", "full_attention"] * 2),
        MAMBA | TIED | dict(mamba_d_head="auto", num_local_experts=0, shared_intermediate_size=24)
        | dict(mamba_proj_bias=True, mamba_conv_bias=False),
    ),
    "lfm2": (dict(full_attn_idxs=[1, 3]), UNTIED | dict(full_attn_idxs=[0, 4], conv_bias=True, block_multiple_of=8)),
    "lfm2_moe": (
        SOME | dict(layer_types=["conv", "conv", "full_attention", "conv"], moe_intermediate_size=24),
        SOME | dict(layer_types=["conv", *["full_attention"] * 4], num_dense_layers=3, moe_intermediate_size=16),
    ),
    "hunyuan_v1_dense": (HEAD, HEAD | BIAS | TIED),
    "hunyuan_v1_moe": (HEAD | dict(num_experts=4, moe_topk=2), HEAD | BIAS | TIED | dict(num_experts=4, moe_topk=1)),
    "dots1": (FINE, TWO | BIAS | TIED | WINDOW | dict(max_window_layers=2)),
    "solar_open": (FINE | HEAD, TWO | BIAS | HEAD | dict(first_k_dense_replace=0)),
    "hy_v3": (SOME | HEAD | dict(moe_intermediate_size=24), SOME | HEAD | MLP_BIAS | dict(moe_intermediate_size=16)),
    "apertus": ({}, BIAS | TIED),
    "arcee": ({}, MLP_BIAS | TIED),
    "nemotron": (dict(head_dim=16), MLP_BIAS | TIED),
    "helium": (dict(head_dim=8), dict(head_dim=10) | MLP_BIAS | TIED),
    "bitnet": ({}, BIAS | TIED),
    "cwm": (HEAD | WINDOW, HEAD | WINDOW | dict(mlp_bias=True)),
    "deepseek_v2": (FINE | NARROW, TWO | NARROW | MLP_BIAS | dict(q_lora_rank=None)),
    "gpt_neox": ({}, TIED | dict(attention_bias=False)),
    "gptj": (GPTJ, GPTJ | dict(n_inner=56)),
    "codegen": (GPTJ, GPTJ | dict(n_inner=56)),
    "gpt_neo": (
        dict(num_heads=4, num_layers=4, attention_types=[[["global", "local"], 2]], window_size=16),
        dict(num_heads=2, num_layers=5, attention_types=[[["global"], 5]], intermediate_size=56),
    ),
    "opt": (dict(ffn_dim=56, word_embed_proj_dim=32), UNTIED | dict(enable_bias=False, word_embed_proj_dim=40)),
    "falcon": (dict(ffn_hidden_size=56), dict(new_decoder_architecture=True, num_kv_heads=2, bias=True) | UNTIED),
    "bloom": (dict(n_head=4, n_layer=3), UNTIED | dict(n_head=2, n_layer=2)),
}  # fmt: skip
OTHERS = {
    "falcon with two norms": ("falcon", dict(parallel_attn=False, multi_query=False)),
    "falcon with one norm": ("falcon", dict(new_decoder_architecture=True, num_kv_heads=4, num_ln_in_parallel_attn=1)),
    "qwen2_moe with a window": ("qwen2_moe", SOME | SHARED | WINDOW | dict(use_sliding_window=True, max_window_layers=3)),
    "ministral without a window": ("ministral", HEAD | dict(sliding_window=None)),
    "experts in no layer": ("qwen2_moe", SOME | SHARED | dict(mlp_only_layers=[0, 1, 2, 3])),
}  # fmt: skip
EVERY = [(f"{kind} {n}", kind, n, more) for kind, pair in CASES.items() for n, more in enumerate(pair)]
EVERY += [(name, kind, 0, more) for name, (kind, more) in OTHERS.items()]
WRAPPERS = {
    "qwen2_vl": {}, "qwen2_5_vl": {}, "qwen3_vl": HEAD, "qwen3_vl_moe": LOCAL | HEAD | dict(moe_intermediate_size=24),
    "qwen3_5": STATES, "glm4v": {}, "glm4v_moe": FINE, "gemma3": HEAD, "llava": {}, "mistral3": HEAD,
}  # fmt: skip
WORDS = {"mamba": "linear_attention", "attention": "full_attention"}


def config_of(kind, n, more):
    sizes = (SIZES, ODD)[n]
    return AutoConfig.for_model(kind, pad_token_id=None, **({} if "n_embd" in more else sizes) | more)


def plain(config) -> dict:
    """What a config.json holds."""
    return json.loads(json.dumps(config.to_dict()))


@functools.cache
def case(name):
    """(configuration, its model without memory, what from_config reads of it)."""
    _, kind, n, more = next(one for one in EVERY if one[0] == name)
    config = config_of(kind, n, more)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return config, model, architecture.from_config(plain(config))


every_case = pytest.mark.parametrize("name", [name for name, *_ in EVERY])


def part_of(name: str, modules: dict, mixture: bool) -> str:
    """The part of a model that a parameter belongs to, from the classes of the modules around it."""
    path = name.split(".")[:-1]
    owners = [type(modules[".".join(path[: i + 1])]).__name__ for i in range(len(path))]
    if "Norm" in owners[-1]:
        return "norms"
    if owners[-1].endswith("Embedding"):
        return "embedding"
    if "lm_head" in path:
        return "output"
    if "experts" in path:
        return "experts"
    if {"shared_expert", "shared_experts", "shared_mlp"} & set(path):
        return "shared_experts" if mixture else "mlp"
    if {"router", "gate", "shared_expert_gate"} & set(path):
        return "router"
    if any(word in owner for owner in owners for word in ("Mamba", "DeltaNet", "ShortConv")):
        return "linear_attention"
    return "attention" if any("Attention" in owner for owner in owners) else "mlp"


def built(model, prefix: str) -> dict:
    """{(name, rows, cols, part): (layers, how many)} of a model of transformers."""
    modules, found = dict(model.named_modules()), {}
    mixture = any("experts" in name.split(".") for name in modules)
    for name, tensor in model.named_parameters():
        if not name.startswith((prefix, "lm_head.")):
            continue
        part, size = part_of(name, modules, mixture), list(tensor.shape)
        short = re.sub(r"\.\d+(?=\.)", ".*", name.removeprefix(prefix))
        count = 1
        if part == "experts":
            count, *size = size
            short = f"{short.rpartition('.')[0]}.*.{short.rpartition('.')[2]}.weight"
        layer = re.search(r"\.(\d+)\.", name)
        rows, cols = (size[0], 1) if len(size) == 1 else (size[0], size[-1])
        layers, seen = found.get((short, rows, cols, part), ((), 0))
        here = (int(layer[1]) if layer else None,)
        found[short, rows, cols, part] = (layers if layers[-1:] == here else layers + here, seen + count)
    return found


def counted(found) -> dict:
    """The inventory in the form of `built`: gate and up of an expert together, as transformers stacks them."""
    made = {}
    for tensor in architecture.tensors(found):
        name, rows = tensor.name, tensor.rows
        if tensor.part == "experts" and tensor.role == "up":
            continue
        if tensor.part == "experts" and tensor.role == "gate":
            name, rows = name.replace("gate_proj", "gate_up_proj"), 2 * rows
        made[name, rows, tensor.cols, tensor.part] = (tensor.layers or (None,), tensor.count)
    return made


# Against the models


@every_case
def test_every_tensor_is_that_of_the_model(name):
    _, model, found = case(name)
    assert counted(found) == built(model, model.base_model_prefix + ".")
    assert found["total_params_exact"] == sum(tensor.numel() for tensor in model.parameters())
    parts = architecture.parts(found)
    assert tuple(parts) == PARTS and sum(parts.values()) == found["total_params_exact"]
    assert found["embedding_params_exact"] == model.get_input_embeddings().weight.numel()


@every_case
def test_active_parameters_leave_the_idle_experts_out(name):
    config, model, found = case(name)
    stacked = [tensor for tensor_name, tensor in model.named_parameters() if ".experts." in tensor_name]
    idle = sum(tensor.numel() // len(tensor) * (len(tensor) - config.num_experts_per_tok) for tensor in stacked)
    assert architecture.active_parameters(found) == found["total_params_exact"] - idle
    assert bool(stacked) == bool(architecture.moe_layers(found))


@every_case
def test_layers_are_of_the_kinds_of_the_configuration(name):
    config, model, found = case(name)
    kinds = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None)
    window = getattr(config, "sliding_window", None)
    if kinds is None:
        kinds = ["sliding_attention" if window else "full_attention"] * config.num_hidden_layers
    words = WORDS | {"local": "sliding_attention", "global": "full_attention"}
    if window and window >= found["max_context"]:
        words["sliding_attention"] = "full_attention"
    assert architecture.layer_types(found) == tuple(words.get(kind, kind) for kind in kinds)
    if found["attention"] != "mla":
        assert found["full_attention_layers"] == architecture.layer_types(found).count("full_attention")


# config.json


@pytest.mark.parametrize(
    "kind", sorted({*DEFAULTS, *SAME_AS} - {row.model_type for row in catalog.models()} - {"kimi_k2"})
)
def test_what_a_file_leaves_out_is_what_its_class_takes(kind):
    more = {"num_experts_per_tok": 6} if kind == "deepseek_v2" else {}
    whole = AutoConfig.for_model(kind, **more)
    text = plain(whole.get_text_config()) | more
    if kind.endswith("_text"):
        text.pop("tie_word_embeddings", None)  # said by the wrapper
    if kind == "lfm2_moe":
        text["layer_types"] = ["full_attention"] * 32
    assert architecture.from_config({"model_type": kind} | more) == architecture.from_config(text)


@pytest.mark.parametrize("kind", WRAPPERS)
def test_the_text_part_of_a_wrapper_is_that_of_its_model(kind):
    config = AutoConfig.for_model(kind)
    own = type(config.text_config)(**SIZES | WRAPPERS[kind])
    config = AutoConfig.for_model(kind, text_config=own.to_dict())
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    found = architecture.from_config(plain(config))
    assert counted(found) == built(model, "model.language_model.")
    bare = plain(config)
    bare["text_config"].pop("model_type")
    assert kind in WRAPPED and architecture.from_config(bare) == found


def test_a_flat_file_of_qwen2_vl_is_its_text():
    sizes = dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2, vocab_size=96)
    sizes |= dict(intermediate_size=48)
    flat = architecture.from_config({"model_type": "qwen2_5_vl", "tie_word_embeddings": True, **sizes})
    assert flat["total_params_exact"] == architecture.parameters(
        dict(model_type="qwen2", layers=2, attention_heads=4, kv_heads=2, head_dim=8, hidden_size=32,
             intermediate_size=48, vocab_size=96, tied_embeddings=True)
    )  # fmt: skip


# What the calculators make of it


@every_case
@pytest.mark.parametrize("format", ["bf16", "awq", "nf4", "Q4_K_M"])
def test_weights_have_a_size_in_every_format(name, format):
    _, _, found = case(name)
    size = weights.weights(found, format)
    bits = size.total * 8 / found["total_params_exact"]
    assert bits == 16 if format == "bf16" else 4 < bits < 33
    assert set(size.as_dict()["breakdown"]) == set(PARTS)


@every_case
def test_two_gpus_hold_the_model(name):
    _, _, found = case(name)
    one, two = vram.vram(found, 64, context=0), vram.vram(found, 64, tp=2, context=0)
    assert len(two.gpus) == 2 and two.worst["weights"] < one.worst["weights"]
    assert sum(gpu["weights"] for gpu in two.gpus) == one.worst["weights"] + sum(two.replicated.values()) + two.padding


CACHED = ["gemma2 0", "cohere2 0", "qwen3_5_text 0", "qwen3_5_text 1", "granitemoehybrid 0", "lfm2 0", "starcoder2 0"]
CACHED += ["falcon 0", "bloom 0", "gptj 0", "opt 0", "phi 0", "cwm 0", "hunyuan_v1_moe 0", "gpt_neox 1", "glm4 1"]


@pytest.mark.parametrize("name", CACHED)
def test_the_cache_is_what_a_model_keeps(name):
    """Falcon's newer classes are left out: transformers copies their keys for every head before it keeps them."""
    config, _, found = case(name)
    tokens, batch = 40, 2
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        kept = model(torch.randint(5, 90, (batch, tokens)), use_cache=True).past_key_values
    found_parts = dict.fromkeys(cache.PARTS, 0)
    for kind, layer in zip(cache.layer_kinds(found), kept.layers, strict=True):
        if kind in ("state", "conv"):
            found_parts["conv_state"] += sum(x.numel() for x in values(layer.conv_states))
            found_parts["recurrent_state"] += sum(x.numel() for x in values(getattr(layer, "recurrent_states", None)))
        else:
            part = {"full": "full_attention", "window": "sliding_window", "latent": "latent"}[kind]
            size = layer.keys.numel() + layer.values.numel()
            if kind == "window":  # transformers keeps one token less than a full window
                size = size // (config.sliding_window - 1) * config.sliding_window
            found_parts[part] += size
    said = cache.cache(found, tokens, batch, dtype=2, state_dtype=2).as_dict()["breakdown"]
    assert {part: size["bytes"] if isinstance(size, dict) else size for part, size in said.items()} == {
        part: 2 * size for part, size in found_parts.items() if part in said
    }
    assert sum(found_parts.values()) == sum(size for part, size in found_parts.items() if part in said) > 0


def values(states):
    """The tensors of a state, which is one, a list, a mapping by index, or nothing."""
    if states is None:
        return []
    if isinstance(states, torch.Tensor):
        return [states]
    found = states.values() if isinstance(states, dict) else states
    return [x for x in found if isinstance(x, torch.Tensor)]


# Refusals


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (dict(model_type="opt", hidden_size=64, word_embed_proj_dim=32), "word_embed_proj_dim of this config.json is 32"),
        (dict(model_type="gpt_neox", hidden_size=66, num_attention_heads=4), "head_dim must be hidden_size"),
        (dict(model_type="deepseek_v2"), "lacks moe_experts_per_token"),
        (dict(model_type="mamba2"), "'mamba2', which is not known here"),
        (dict(model_type="jamba"), "'jamba', which is not known here"),
        (dict(model_type="llava", text_config={"hidden_size": "wide"}), "hidden_size of this config.json is 'wide'"),
        (dict(model_type="hunyuan_v1_moe", moe_topk=[1, 2]), r"moe_topk of this config.json is \[1, 2\]"),
        (dict(model_type="lfm2", layer_types=["conv"]), "full_attention or conv for each of the 32 layers"),
        (dict(model_type="ernie4_5", use_bias="no"), "use_bias of this config.json is 'no', but must be true or false"),
    ],
)  # fmt: skip
def test_bad_input_is_said_in_a_sentence(config, says):
    with pytest.raises(ValueError, match=says) as caught:
        architecture.from_config(config)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config, says",
    [
        ({"model_type": ["a"]}, "model_type of this config.json is ['a'], but must be a word"),
        ({"model_type": "llama", "num_hidden_layers": 10**9}, "asks for 1,000,000,000 layers; at most 10,000"),
        (
            {"model_type": "gemma3_text", "layer_types": ["full_attention"]},
            "for each of the 26 layers, but has 1 entries",
        ),
    ],
)
def test_nonsense_in_a_configuration_gets_one_sentence(config, says):
    with pytest.raises(ValueError) as caught:
        architecture.from_config(config)
    assert says in str(caught.value) and "\n" not in str(caught.value)
