"""GGUF files of our subjects: written with the package gguf, their mixtures made by llama.cpp itself, read back.

llama.cpp comes as llama-cpp-python, from the environment or from a folder (`find_llama_cpp`). The order of the rows in
Q and K, which its converter changes, and the tokenizer are left out: both leave the bytes of the tensors as they are."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
from pathlib import Path

from lessonlib.calc.formats import MIXTURES

MIB = 2**20
# llama.cpp's numbers of its file types (llama.h, enum llama_ftype).
FTYPES = {
    "Q4_0": 2, "Q8_0": 7, "Q5_0": 8, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15,
    "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30, "MXFP4_MOE": 38,
}  # fmt: skip
# What the package gguf can write alone: one type for every matrix.
ALONE = {"GGUF_F32": "F32", "GGUF_F16": "F16", "GGUF_BF16": "BF16", "Q8_0": "Q8_0"}
LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
OUTSIDE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
OUTSIDE |= {"lm_head.weight": "output.weight"}
# transformers' model_type: llama.cpp's architecture, where the names above are all that there is.
ARCHITECTURES = {"llama": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3_moe": "qwen3moe"}


def find_llama_cpp(folder: Path | None = None):
    """The module llama_cpp, or None where it is not installed. ValueError when `folder` does not have it."""
    if folder is not None:
        if not (folder / "llama_cpp" / "__init__.py").is_file():
            raise ValueError(f"--llama-cpp is {str(folder)!r}, but there is no package llama_cpp in it.")
        sys.path.append(str(folder))
    try:
        return importlib.import_module("llama_cpp")
    except ImportError:
        return None


def writable(subject) -> bool:
    """Whether the writer knows all tensors of this family."""
    return subject.config.model_type in ARCHITECTURES


def names(subject) -> dict[str, object]:
    """llama.cpp's name -> tensor, experts stacked as its files hold them."""
    import torch

    found, experts = {}, {}
    for name, tensor in subject.tensors.items():
        if name in OUTSIDE:
            found[OUTSIDE[name]] = tensor
            continue
        _, _, layer, rest = name.split(".", 3)
        if ".experts." in name:
            role = next(part for part in ("gate", "up", "down") if part in rest.rpartition("experts.")[2])
            experts.setdefault(f"blk.{layer}.ffn_{role}_exps.weight", []).append(tensor)
        else:
            owner, _, last = rest.rpartition(".")
            found[f"blk.{layer}.{LAYER[owner]}.{last}"] = tensor
    return found | {name: torch.stack(parts) for name, parts in experts.items()}


def write(subject, path: Path, kind: str = "F16", sparse: bool = False) -> None:
    """A GGUF file whose matrices have one type: F32, F16, BF16, or a block format that the package gguf can make.

    `sparse`: only the table of tensors is written (16 bits), the values are a hole in the file: enough for `estimated`."""
    import gguf
    import numpy
    from gguf.quants import quantize

    config = subject.config
    writer = gguf.GGUFWriter(str(path), ARCHITECTURES[config.model_type])
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    experts = _first(config, "num_local_experts", "num_experts")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        if config.model_type == "qwen3_moe":
            writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    hole = 0
    for name, tensor in names(subject).items():
        if sparse:
            dtype = numpy.dtype(numpy.float32 if _wide(name, tensor) else numpy.float16)
            size = tensor.numel() * dtype.itemsize
            writer.add_tensor_info(name, tuple(tensor.shape), dtype, size)
            hole += writer.ggml_pad(size, writer.data_alignment)
            continue
        array = tensor.float().contiguous().numpy()
        chosen = gguf.GGMLQuantizationType.F32 if _wide(name, tensor) else gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, quantize(array, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    if sparse:
        writer.write_ti_data_to_file()
        writer.close()
        os.truncate(path, writer.ggml_pad(path.stat().st_size, writer.data_alignment) + hole)
        return
    writer.write_tensors_to_file()
    writer.close()


def quantized(library, source: Path, target: Path, mixture: str) -> None:
    """`source` (16 bits) through llama.cpp into a mixture. RuntimeError when it refuses."""
    silent(library)
    params = library.llama_model_quantize_default_params()
    params.ftype, params.nthread = FTYPES[mixture], 1
    status = library.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    if status:
        raise RuntimeError(f"llama.cpp could not make {mixture} of {source.name}: status {status}.")


def estimated(library, source: Path, mixture: str) -> float:
    """Bytes of the tensors in a mixture as llama.cpp's dry run reports them (in MiB with two decimals): its own choice of
    block formats for a whole model, without the values."""
    said: list[str] = []
    silent(library, said)
    params = library.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.dry_run = FTYPES[mixture], 1, True
    status = library.llama_model_quantize(str(source).encode(), b"unused", ctypes.byref(params))
    found = re.search(r"quant size += +([\d.]+) MiB", "".join(said))
    if status or not found:
        raise RuntimeError(f"llama.cpp could not estimate {mixture} of {source.name}: {''.join(said)[-300:]}")
    return float(found[1]) * MIB


def silent(library, keep: list | None = None) -> None:
    """llama.cpp's messages go nowhere, or into a list."""

    @library.llama_log_callback
    def log(level, text, data):
        if keep is not None:
            keep.append(text.decode("utf-8", "replace"))

    library._accuracy_log = log  # kept alive: C code calls it
    library.llama_log_set(log, ctypes.c_void_p(0))


def weighed(path: Path) -> tuple[int, dict[str, int]]:
    """(bytes of the tensors, bytes by block format) as the file's own table says."""
    import gguf

    found: dict[str, int] = {}
    for tensor in gguf.GGUFReader(str(path)).tensors:
        found[tensor.tensor_type.name] = found.get(tensor.tensor_type.name, 0) + int(tensor.n_bytes)
    return sum(found.values()), found


def mixtures(subject) -> list[str]:
    """The mixtures that llama.cpp can make of a subject."""
    experts = bool(_first(subject.config, "num_local_experts", "num_experts"))
    return [name for name in MIXTURES if name in FTYPES and (experts or name != "MXFP4_MOE")]


def cache_bytes(library, path: Path, tokens: int, key: str = "f16", value: str = "f16") -> float:
    """Bytes of the key-value cache that llama.cpp allocates for a context of `tokens`, from its own report (in MiB with
    two decimals)."""
    said: list[str] = []
    silent(library, said)
    model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
    params = library.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads = tokens, 32, 32, 1
    params.type_k, params.type_v = (getattr(library, f"GGML_TYPE_{kind.upper()}") for kind in (key, value))
    params.flash_attn_type = 1  # a quantized V needs it
    context = library.llama_init_from_model(model, params) if model else None
    text = "".join(said)
    if not context:
        raise RuntimeError(f"llama.cpp could not open {path.name}: {text[-300:]}")
    library.llama_free(context)
    library.llama_model_free(model)
    found = re.search(r"llama_kv_cache: size = +([\d.]+) MiB", text)
    if not found:
        raise RuntimeError(f"llama.cpp did not report its cache: {text[-300:]}")
    return float(found[1]) * MIB


def _wide(name: str, tensor) -> bool:
    """Whether llama.cpp's converter leaves a tensor in 32 bits: vectors and routers."""
    return tensor.dim() == 1 or "ffn_gate_inp" in name


def _first(config, *keys):
    return next((getattr(config, key) for key in keys if getattr(config, key, None)), None)
