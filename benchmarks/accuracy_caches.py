"""Caches that real forward passes leave behind, and the bytes of their tensors.

A case runs a model with random or trained weights over its tokens and sums what transformers' own cache classes hold.
Real architectures are thin: every layer, head, window and state is theirs, the width of the rest is small. The whole fact
base is passed at 8,192 tokens on torch's meta device, where tensors have shapes and no values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lessonlib import models
from lessonlib.calc import cache as caches
from lessonlib.facts import catalog
from lessonlib.models import shape

LONG = 8192  # tokens of the passes over the whole fact base
TENSORS = ("keys", "values", "indexer_keys", "recurrent_states", "conv_states")


@dataclass(frozen=True)
class Case:
    """`batch` sequences of `tokens` tokens. `kind` names what the model keeps; `options` are what the calculator is told
    beside them; `layers` keeps some layers of a real architecture."""

    model: str
    kind: str
    tokens: int
    batch: int = 1
    dtype: str = "bf16"
    layers: range | None = None
    how: str = "dynamic"
    options: dict = field(default_factory=dict)


WIDE = {"state_dtype": "fp32"}  # transformers keeps a DeltaNet state in 32 bits, which the calculator must be told
CASES = (
    Case("target", "grouped", 1000),
    Case("target", "grouped", 333, batch=3, dtype="fp32"),
    Case("draft", "grouped", 257, batch=2),
    Case("mini", "grouped", 1024, dtype="fp32"),
    Case("moe", "grouped", 500),
    Case("gpt2", "multi-head", 300),
    Case("olmo-2-7b", "multi-head", 400, batch=2),
    Case("smollm2-135m", "grouped", 777),
    Case("qwen3-0.6b", "grouped", 640, batch=2),
    Case("qwen2.5-coder-32b", "grouped", 200, dtype="fp16"),
    Case("llama-3.3-70b", "grouped", 130, dtype="fp32"),
    Case("phi-4-mini", "grouped", 350),
    Case("granite-3.3-8b", "grouped", 256),
    Case("mixtral-8x7b", "grouped", 220),
    Case("minimax-m2.5", "grouped", 96, layers=range(8)),
    Case("granite-34b-code", "multi-query", 420, batch=2),
    Case("deepseek-v3-0324", "latent", 128, layers=range(6)),
    Case("glm-4.7-flash", "latent", 190, batch=2, layers=range(8)),
    Case("deepseek-v3.2", "latent and index", 160, layers=range(6)),
    Case("glm-5", "latent and index", 110, layers=range(6)),
    Case("gemma-3-4b", "sliding window", 900),
    Case("gemma-3-4b", "sliding window, full", 2500, layers=range(12)),
    Case("gpt-oss-20b", "sliding window, full", 700),
    Case("gpt-oss-20b", "sliding window", 100, batch=2),
    Case("llama-4-scout", "chunks", 600, layers=range(8)),
    Case("qwen3-coder-next", "DeltaNet hybrid", 200, layers=range(8), options=WIDE),
    Case("qwen3-coder-next", "DeltaNet hybrid", 64, batch=3, layers=range(4), options=WIDE),
    Case("nemotron-3-nano", "Mamba-2 hybrid", 150, layers=range(2, 14)),
    Case("nemotron-3-nano", "Mamba-2 hybrid", 70, batch=2, layers=range(2, 8)),
    Case("target", "static", 512, how="static"),
    Case("gemma-3-4b", "static, window", 1500, layers=range(6), how="static"),
    Case("target", "quantized", 256, how="quanto"),
    Case("qwen3-0.6b", "quantized", 384, layers=range(6), how="quanto"),
)
QUICK = ("mini", "gpt-oss-20b", "granite-34b-code", "glm-4.7-flash")
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
GROUP = 64  # values that share a scale in transformers' quantized cache (q_group_size)


def subject(case: Case):
    """What `calc` and `real` take: the shape of a case, thin where it is a real architecture."""
    if case.model in models.embedded_names():
        return None
    name = catalog.model(case.model)
    # GPT-2 has a fixed relation of head size and width, so a thin one is a Llama with the same cache
    return shape(name, layers=case.layers, thin=True)


def of_calc(case: Case):
    """The model of a case as the calculator takes it: a row of the fact base where all its layers are there."""
    if case.model in models.embedded_names():
        import json

        from lessonlib.calc import architecture

        path = models.embedded_path(case.model) / "config.json"
        return architecture.from_config(json.loads(path.read_text(encoding="utf-8")))
    return catalog.model(case.model) if case.layers is None else subject(case)


def whole_config(case: Case):
    """The configuration of a case in full width, for programs that read config.json."""
    from transformers import AutoConfig

    if case.model in models.embedded_names():
        return AutoConfig.from_pretrained(str(models.embedded_path(case.model)))
    return shape(case.model, layers=case.layers).config


def predicted(case: Case):
    """Bytes by part, from the calculator."""
    if case.how == "quanto":
        return caches.cache(of_calc(case), case.tokens, case.batch, "int4", group=GROUP)
    return caches.cache(of_calc(case), case.tokens, case.batch, case.dtype, **case.options)


def real(case: Case):
    """The cache of a forward pass."""
    import torch
    from transformers import QuantizedCache, StaticCache

    dtype = getattr(torch, DTYPES[case.dtype])
    found = subject(case)
    model = models.load(case.model, device="cpu", dtype=dtype)[0] if found is None else found.materialise(dtype=dtype)
    ids = torch.arange(case.batch * case.tokens).view(case.batch, -1) % 200
    made = None
    if case.how == "static":
        made = StaticCache(config=model.config, max_cache_len=case.tokens)
    elif case.how == "quanto":
        made = QuantizedCache("quanto", model.config, nbits=4, q_group_size=GROUP)
    with torch.no_grad():
        return model(input_ids=ids, use_cache=True, past_key_values=made).past_key_values


def held(cache) -> dict[str, int]:
    """Bytes of the tensors of a cache by what they hold."""
    found: dict[str, int] = {}
    for layer in cache.layers:
        for name in (*TENSORS, "_quantized_keys", "_quantized_values"):
            value = getattr(layer, name, None)
            for tensor in value.values() if isinstance(value, dict) else [value]:
                if tensor is not None:
                    found[name] = found.get(name, 0) + _bytes(tensor)
    return found


def _bytes(tensor) -> int:
    """Bytes of a tensor; of one that optimum-quanto packed, those of what it is made of."""
    parts = getattr(tensor, "__tensor_flatten__", None)
    if parts is None:
        return tensor.nbytes
    return sum(_bytes(getattr(tensor, name)) for name in parts()[0])


def fact_base() -> Iterator[tuple[object, dict[str, int]]]:
    """(row, bytes of its cache at 8,192 tokens) for every open model: a whole pass on the meta device."""
    import torch

    for row in catalog.models():
        model = shape(row, thin=True).meta
        with torch.no_grad():
            out = model(input_ids=torch.zeros(1, LONG, dtype=torch.long, device="meta"), use_cache=True)
        yield row, held(out.past_key_values)
