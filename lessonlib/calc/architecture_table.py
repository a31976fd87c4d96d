"""What distinguishes the families of models: one entry for each configuration class of transformers 5.23.

Names are those of the classes; the formulas that read these entries stand in architecture_families and
architecture_mixers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Family:
    """How a family differs from Llama.

    Attention. `bias`: which of q, k, v and o can have one; `biased`, whether they have, True, False or None (the field
    attention_bias says so). `head_norms`: a norm of q and k of one "head", of the whole "width", of all "heads" in one
    matrix, or of "each" head alone; `norms_asked`: only where the field qk_norm says so. `latent`, `indexed`: latent
    attention, with the index of sparse attention. `gated_queries`: a gate beside each query; `sinks`: a number a head.
    Layers that are no attention: `mixer` is "deltanet" (`split`: one matrix for each input), "mamba" or "conv".
    Feed-forward. `mlp_bias`: True, False or None (the field mlp_bias); `gated`: gate and up, not up alone. `block`,
    `router` and `shared` are the family's words. `local`: experts are intermediate_size wide, not moe_intermediate_size.
    `shared_width`: of the experts for every token together, "" (none), "experts" (moe_shared_experts x
    moe_intermediate_size), "own" (moe_shared_intermediate_size, none without) or "dense" (intermediate_size);
    `shared_gate`: a gate before them. `fused_experts`: gate and up of an expert are one matrix in files, too.
    `dense_first`: the first dense_layers have no experts. `router_bias`: the name of a trained correction.
    `fused`: "qkv" and "gate_up", matrices in one. `norms` of a layer (`layer_norm`: with biases), `last` the norm at
    the end, "" without. `positions`: learned ones, so many more than the context. `square`: heads fill the hidden size.
    `output_bias`: the output matrix has a bias (True, False, or the field that says so). `names`: other words for parts
    of a name."""

    bias: str = "qkvo"
    biased: bool | None = None
    head_norms: str = ""
    norms_asked: bool = False
    latent: bool = False
    indexed: bool = False
    gated_queries: bool = False
    sinks: bool = False
    mixer: str = ""
    split: bool = False
    mlp_bias: bool | None = False
    gated: bool = True
    block: str = "mlp"
    router: str = "gate"
    shared: str = "shared_experts"
    local: bool = False
    shared_width: str = ""
    shared_gate: bool = False
    fused_experts: bool = False
    dense_first: bool = False
    router_bias: str = ""
    fused: tuple[str, ...] = ()
    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    layer_norm: bool = False
    last: str = "norm"
    positions: int | None = None
    square: bool = False
    output_bias: bool | str = False
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def other(self) -> str:
        """What its layers are that do not attend to the whole text."""
        kinds = {"deltanet": "linear_attention", "mamba": "linear_attention", "conv": "conv"}
        return kinds.get(self.mixer, "sliding_attention")


PRE = Family.norms
POST = ("post_attention_layernorm", "post_feedforward_layernorm")
SANDWICH = (*PRE, "pre_feedforward_layernorm", "post_feedforward_layernorm")
LLAMA = Family(mlp_bias=None)
NO_BIAS = Family(bias="")
QWEN3 = Family(head_norms="head")
# DeepSeek-V3 and its kin: latent attention, fine-grained experts behind a few dense layers
LATENT = Family(latent=True, dense_first=True, shared_width="experts")
DELTANET = replace(QWEN3, mixer="deltanet", gated_queries=True)
SHARED_MLP = dict(shared="shared_mlp", shared_width="own", block="block_sparse_moe", router="router", local=True)
# GPT-2 and its kin: fused or separate queries, keys and values with biases, no gate, learned positions
GPT2 = Family(
    biased=True,
    mlp_bias=True,
    gated=False,
    fused=("qkv",),
    norms=("ln_1", "ln_2"),
    layer_norm=True,
    last="ln_f",
    positions=0,
    square=True,
    names={
        **{"embed_tokens": "wte", "embed_positions": "wpe", "layers": "h", "self_attn": "attn", "qkv_proj": "c_attn"},
        **{"o_proj": "c_proj", "up_proj": "c_fc", "down_proj": "c_proj"},
    },
)
GPTJ = replace(
    GPT2,
    bias="",
    fused=(),
    norms=("ln_1",),
    positions=None,
    output_bias=True,
    names={
        **{"embed_tokens": "wte", "layers": "h", "self_attn": "attn", "o_proj": "out_proj"},
        **{"up_proj": "fc_in", "down_proj": "fc_out"},
    },
)
BLOOM = replace(
    GPT2,
    norms=PRE,
    positions=None,
    names={
        **{"embed_tokens": "word_embeddings", "layers": "h", "self_attn": "self_attention", "o_proj": "dense"},
        **{"qkv_proj": "query_key_value", "up_proj": "dense_h_to_4h", "down_proj": "dense_4h_to_h"},
    },
)
LFM2 = Family(
    bias="",
    head_norms="head",
    mixer="conv",
    block="feed_forward",
    norms=("operator_norm", "ffn_norm"),
    last="embedding_norm",
    names={
        **{"o_proj": "out_proj", "q_norm": "q_layernorm", "k_norm": "k_layernorm"},
        **{"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"},
    },
)
HUNYUAN = Family(head_norms="head", names={"q_norm": "query_layernorm", "k_norm": "key_layernorm"})

FAMILIES = {
    "gpt2": GPT2,
    "gpt_bigcode": GPT2,
    "llama": LLAMA,
    "mistral": NO_BIAS,
    "mixtral": replace(NO_BIAS, local=True),
    "qwen2": Family(bias="qkv", biased=True),
    "qwen3": QWEN3,
    "qwen3_moe": QWEN3,
    "qwen3_next": replace(DELTANET, shared="shared_expert", shared_width="own", shared_gate=True),
    "deepseek_v3": LATENT,
    "deepseek_v32": replace(LATENT, indexed=True),
    "glm4_moe": Family(bias="qkv", head_norms="head", norms_asked=True, dense_first=True, shared_width="experts"),
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": replace(LATENT, indexed=True),
    "llama4_text": Family(
        block="feed_forward",
        router="router",
        shared="shared_expert",
        local=True,
        shared_width="dense",
        fused_experts=True,
    ),
    "minimax_m2": Family(bias="", head_norms="width", local=True),
    "gpt_oss": Family(router="router", local=True, sinks=True, fused_experts=True),
    "granite": LLAMA,
    "phi3": replace(NO_BIAS, fused=("qkv", "gate_up")),
    "nemotron_h": Family(
        bias="",
        mixer="mamba",
        mlp_bias=None,
        gated=False,
        norms=("norm",),
        last="norm_f",
        block="mixer",
        shared_width="own",
        names={"embed_tokens": "embeddings", "self_attn": "mixer"},
    ),
    "gemma3_text": Family(head_norms="head", norms=SANDWICH),
    "olmo2": Family(head_norms="width", norms=POST),
    # the families below have no row in the fact base
    "gemma": Family(),
    "gemma2": Family(norms=SANDWICH),
    "qwen2_moe": Family(bias="qkv", shared="shared_expert", shared_width="own", shared_gate=True),
    "qwen3_5_text": replace(DELTANET, split=True),
    "qwen3_5_moe_text": replace(DELTANET, split=True, shared="shared_expert", shared_width="own", shared_gate=True),
    "starcoder2": Family(mlp_bias=None, gated=False, layer_norm=True, names={"up_proj": "c_fc", "down_proj": "c_proj"}),
    "smollm3": LLAMA,
    "cohere": Family(head_norms="heads", norms_asked=True, norms=("input_layernorm",)),
    "cohere2": Family(norms=("input_layernorm",)),
    "stablelm": Family(
        bias="qkv",
        head_norms="each",
        norms_asked=True,
        layer_norm=True,
        square=True,
        names={"q_norm": "q_layernorm", "k_norm": "k_layernorm"},
    ),
    "olmo": Family(norms=(), last=""),
    "olmo3": Family(head_norms="width", norms=POST),
    "olmoe": Family(head_norms="width", local=True),
    "flex_olmo": Family(head_norms="width", norms=POST, local=True),
    "phi": Family(
        biased=True,
        head_norms="head",
        norms_asked=True,
        mlp_bias=True,
        gated=False,
        norms=("input_layernorm",),
        layer_norm=True,
        last="final_layernorm",
        output_bias=True,
        names={
            **{"o_proj": "dense", "up_proj": "fc1", "down_proj": "fc2"},
            **{"q_norm": "q_layernorm", "k_norm": "k_layernorm"},
        },
    ),
    "phimoe": Family(router="router", local=True, layer_norm=True, output_bias="output_bias"),
    "exaone4": Family(bias="", head_norms="head", norms=POST),
    "exaone_moe": Family(bias="", head_norms="head", dense_first=True, shared_width="experts"),
    "glm": Family(bias="qkv", fused=("gate_up",)),
    "glm4": Family(bias="qkv", fused=("gate_up",), norms=(*PRE, "post_self_attn_layernorm", "post_mlp_layernorm")),
    "ernie4_5": LLAMA,
    "ernie4_5_moe": Family(
        mlp_bias=None,
        dense_first=True,
        shared_width="experts",
        router_bias="gate.moe_statics.e_score_correction_bias",
        output_bias="mlp_bias",
    ),
    "seed_oss": Family(bias="qkv", mlp_bias=None),
    "granitemoe": Family(block="block_sparse_moe", router="router", local=True),
    "granitemoeshared": Family(**SHARED_MLP),
    "granitemoehybrid": Family(**SHARED_MLP, mixer="mamba"),
    "lfm2": LFM2,
    "lfm2_moe": replace(LFM2, dense_first=True),
    "hunyuan_v1_dense": HUNYUAN,
    "hunyuan_v1_moe": replace(HUNYUAN, router="gate.wg", shared="shared_mlp", shared_width="dense", local=True),
    "dots1": Family(head_norms="head", dense_first=True, shared_width="experts"),
    "solar_open": Family(bias="qkv", dense_first=True, shared_width="experts"),
    "hy_v3": Family(head_norms="head", mlp_bias=None, dense_first=True, shared_width="experts"),
    "apertus": Family(head_norms="head", gated=False, norms=("attention_layernorm", "feedforward_layernorm")),
    "arcee": replace(LLAMA, gated=False),
    "nemotron": Family(mlp_bias=None, gated=False, layer_norm=True),
    "helium": Family(bias="qkv", mlp_bias=None),
    "bitnet": Family(),
    "cwm": Family(bias="", mlp_bias=None),
    "deepseek_v2": replace(LATENT, mlp_bias=None),
    "gpt_neox": replace(
        BLOOM,
        biased=None,
        last="final_layer_norm",
        names={**BLOOM.names, "embed_tokens": "embed_in", "layers": "layers", "self_attn": "attention"},
    ),
    "gptj": GPTJ,
    "codegen": replace(GPTJ, fused=("qkv",)),
    "gpt_neo": replace(
        GPT2,
        bias="o",
        fused=(),
        names={**GPT2.names, "self_attn": "attn.attention", "o_proj": "out_proj"},
    ),
    "opt": replace(
        GPT2,
        biased=None,
        mlp_bias=None,
        fused=(),
        norms=("self_attn_layer_norm", "final_layer_norm"),
        last="decoder.final_layer_norm",
        positions=2,
        names={
            **{"embed_tokens": "decoder.embed_tokens", "embed_positions": "decoder.embed_positions"},
            **{"layers": "decoder.layers", "mlp": "", "o_proj": "out_proj", "up_proj": "fc1", "down_proj": "fc2"},
        },
    ),
    "falcon": replace(BLOOM, biased=None, mlp_bias=None, norms=("input_layernorm",)),
    "bloom": BLOOM,
}
