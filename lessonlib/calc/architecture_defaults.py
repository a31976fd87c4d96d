"""What a config.json calls the fields of facts/models.yaml, and what it leaves out: the defaults of the configuration
classes of transformers 5.23."""

from __future__ import annotations

# Field of a row: what families call it in config.json.
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "attention_heads": ("num_attention_heads", "n_head", "num_heads"),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "hidden_size": ("hidden_size", "n_embd", "n_embed"),
    "intermediate_size": ("intermediate_size", "n_inner"),
    "vocab_size": ("vocab_size",),
    "max_context": ("max_position_embeddings", "n_positions", "seq_length"),
    "tied_embeddings": ("tie_word_embeddings",),
    "attention_bias": ("attention_bias", "qkv_bias"),
    "mlp_bias": ("mlp_bias",),
    "qk_norm": ("use_qk_norm", "qk_layernorm"),
    "moe_experts": ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"),
    "moe_experts_per_token": ("num_experts_per_tok", "moe_topk", "moe_k"),
    "moe_shared_experts": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "moe_intermediate_size": ("moe_intermediate_size",),
    "moe_shared_intermediate_size": (
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
    ),
    "moe_latent_size": ("moe_latent_size",),
    "moe_router_groups": ("n_group",),
    "moe_router_groups_used": ("topk_group",),
    "moe_layer_step": ("interleave_moe_layer_step",),
    "dense_intermediate_size": ("intermediate_size_mlp",),
    "dense_layers": ("first_k_dense_replace", "num_dense_layers"),
    "mla_kv_lora_rank": ("kv_lora_rank",),
    "mla_q_lora_rank": ("q_lora_rank",),
    "mla_qk_rope_head_dim": ("qk_rope_head_dim",),
    "mla_qk_nope_head_dim": ("qk_nope_head_dim",),
    "mla_v_head_dim": ("v_head_dim",),
    "sparse_index_heads": ("index_n_heads",),
    "sparse_index_head_dim": ("index_head_dim",),
    "sparse_index_topk": ("index_topk",),
    "linear_key_heads": ("linear_num_key_heads",),
    "linear_value_heads": ("linear_num_value_heads",),
    "linear_head_dim": ("linear_key_head_dim",),
    "linear_value_head_dim": ("linear_value_head_dim",),
    "linear_conv_kernel": ("linear_conv_kernel_dim", "conv_L_cache"),
    "linear_conv_bias": ("conv_bias",),
    "output_bias": ("lm_head_bias",),
    "attention_output_bias": ("attention_out_bias",),
    "mamba_heads": ("mamba_num_heads", "mamba_n_heads"),
    "mamba_head_dim": ("mamba_head_dim", "mamba_d_head"),
    "mamba_state_size": ("ssm_state_size", "mamba_d_state"),
    "mamba_groups": ("n_groups", "mamba_n_groups"),
    "mamba_conv_kernel": ("conv_kernel", "mamba_d_conv"),
    "mamba_bias": ("use_bias", "mamba_proj_bias"),
    "mamba_conv_bias": ("use_conv_bias", "mamba_conv_bias"),
}
# What some families call such a field, in place of the usual names, one or more; "" where the class reads no such field.
OWN_NAMES = {
    "bloom": {"kv_heads": "", "head_dim": "", "intermediate_size": ""},
    "codegen": {"kv_heads": "", "head_dim": "", "intermediate_size": "n_inner"},
    "ernie4_5": {"attention_bias": "use_bias", "mlp_bias": "use_bias"},
    "ernie4_5_moe": {"attention_bias": "use_bias", "mlp_bias": "use_bias"},
    "falcon": {"attention_bias": "bias", "mlp_bias": "bias", "kv_heads": "num_kv_heads", "head_dim": ""}
    | {"intermediate_size": "ffn_hidden_size"},
    "gpt_neo": {"kv_heads": "", "head_dim": ""},
    "gpt_neox": {"kv_heads": "", "head_dim": ""},
    "gptj": {"kv_heads": "", "head_dim": "", "intermediate_size": "n_inner"},
    "internlm3": {"mlp_bias": "mlp_bias bias"},
    "opt": {"attention_bias": "enable_bias", "mlp_bias": "enable_bias", "kv_heads": "", "head_dim": ""}
    | {"intermediate_size": "ffn_dim"},
    "qwen2_moe": {"attention_bias": "qkv_bias"},
    "stablelm": {"attention_bias": "use_qkv_bias", "head_dim": ""},
    "starcoder2": {"attention_bias": "use_bias", "mlp_bias": "use_bias"},
}
SHAPE = ("layers", "attention_heads", "kv_heads", "head_dim", "hidden_size", "intermediate_size", "vocab_size")
SHAPE += ("max_context", "tied_embeddings")
MOE = ("moe_experts", "moe_experts_per_token", "moe_intermediate_size")
FINE = (*MOE, "moe_shared_experts", "moe_router_groups", "moe_router_groups_used")
LATENT = ("mla_kv_lora_rank", "mla_q_lora_rank", "mla_qk_rope_head_dim", "mla_qk_nope_head_dim", "mla_v_head_dim")
INDEX = ("sparse_index_heads", "sparse_index_head_dim", "sparse_index_topk")
DELTANET = ("linear_key_heads", "linear_value_heads", "linear_head_dim", "linear_value_head_dim", "linear_conv_kernel")
MAMBA = ("mamba_heads", "mamba_head_dim", "mamba_state_size", "mamba_groups", "mamba_conv_kernel")


def _class(shape, extra=(), values=(), **more) -> dict:
    """The defaults of a configuration class by field: the values of SHAPE, those of `extra`, and more."""
    return dict(zip(SHAPE, shape, strict=True)) | dict(zip(extra, values, strict=True)) | more


# None: no value of its own. kv_heads are then the heads, head_dim is hidden_size / heads; elsewhere there is no such part.
DEFAULTS = {
    "gpt2": _class((12, 12, None, None, 768, None, 50257, 1024, True)),
    "gpt_bigcode": _class((12, 12, 1, None, 768, None, 50257, 1024, True)),
    "llama": _class((32, 32, None, None, 4096, 11008, 32000, 2048, False), attention_bias=False, mlp_bias=False),
    "qwen2": _class((32, 32, 32, None, 4096, 22016, 151936, 32768, False)),
    "qwen3": _class((32, 32, 32, 128, 4096, 22016, 151936, 32768, False), attention_bias=False),
    "qwen3_moe": _class((24, 32, 4, None, 2048, 6144, 151936, 32768, False), MOE, (128, 8, 768), attention_bias=False),
    "qwen3_next": _class(
        (48, 16, 2, 256, 2048, 5632, 151936, 32768, False),
        (*MOE, "moe_shared_intermediate_size", *DELTANET),
        (512, 10, 512, 512, 16, 32, 128, 128, 4),
        attention_bias=False,
    ),
    "deepseek_v3": _class(
        (61, 128, 128, None, 7168, 18432, 129280, 4096, False),
        (*FINE, "dense_layers", *LATENT),
        (256, 8, 2048, 1, 8, 4, 3, 512, 1536, 64, 128, 128),
        attention_bias=False,
    ),
    "deepseek_v32": _class(
        (61, 128, 128, None, 7168, 18432, 129280, 163840, False),
        (*FINE, "dense_layers", *LATENT, *INDEX),
        (256, 8, 2048, 1, 8, 4, 3, 512, 1536, 64, 128, 128, 64, 128, 2048),
        attention_bias=False,
    ),
    "glm4_moe": _class(
        (46, 96, 8, None, 4096, 10944, 151552, 131072, False),
        (*FINE, "dense_layers"),
        (128, 8, 1408, 1, 1, 1, 1),
        attention_bias=False,
        qk_norm=False,
    ),
    "glm4_moe_lite": _class(
        (47, 20, 20, None, 2048, 10240, 154880, 202752, False),
        (*FINE, "dense_layers", *LATENT),
        (64, 4, 1536, 1, 1, 1, 1, 512, 768, 64, 192, 256),
        attention_bias=False,
    ),
    "glm_moe_dsa": _class(
        (78, 64, 64, None, 6144, 12288, 154880, 202752, False),
        (*FINE, "dense_layers", *LATENT, *INDEX),
        (256, 8, 2048, 1, 1, 1, 3, 512, 2048, 64, 192, 256, 32, 128, 2048),
        attention_bias=False,
    ),
    "llama4_text": _class(
        (48, 40, 8, 128, 5120, 8192, 202048, 131072, False),
        ("moe_experts", "moe_experts_per_token", "moe_layer_step", "dense_intermediate_size"),
        (16, 1, 1, 16384),
        attention_bias=False,
    ),
    "mixtral": _class((32, 32, 8, None, 4096, 14336, 32000, 131072, False), MOE[:2], (8, 2)),
    "mistral": _class((32, 32, 8, None, 4096, 14336, 32000, 131072, False)),
    "minimax_m2": _class((62, 48, 8, 128, 3072, 1536, 200064, 196608, False), MOE[:2], (256, 8)),
    "gpt_oss": _class((36, 64, 8, 64, 2880, 2880, 201088, 131072, False), MOE[:2], (128, 4), attention_bias=True),
    "granite": _class((32, 32, None, None, 4096, 11008, 32000, 2048, False), attention_bias=False, mlp_bias=False),
    "phi3": _class((32, 32, None, None, 3072, 8192, 32064, 4096, False)),
    "nemotron_h": _class(
        (None, 32, 8, 128, 4096, 21504, 131072, 4096, False),
        (*FINE, "moe_shared_intermediate_size", "moe_latent_size", *MAMBA),
        (8, 2, 7688, 1, 1, 1, 7688, None, 128, 64, 128, 8, 4),
        mlp_bias=False,
        mamba_bias=False,
        mamba_conv_bias=True,
    ),
    "gemma3_text": _class((26, 8, 4, 256, 2304, 9216, 262208, 131072, True), attention_bias=False),
    "olmo2": _class((32, 32, None, None, 4096, 11008, 50304, 2048, False), attention_bias=False),
    "internlm3": _class((48, 32, 2, 128, 4096, 10240, 128512, 32768, False), attention_bias=False, mlp_bias=False),
    "ministral": _class((32, 32, 8, None, 4096, 14336, 32000, 131072, False)),
    "ministral3": _class((34, 32, 8, 128, 4096, 14336, 131072, 262144, False)),
    "mistral4": _class(
        (36, 32, 32, None, 4096, 12288, 131072, 1048576, False),
        (*FINE, "dense_layers", *LATENT),
        (128, 4, 2048, 1, 1, 1, 0, 256, 1024, 64, 64, 128),
        attention_bias=False,
    ),
    "qwen2_vl_text": _class((80, 64, 8, None, 8192, 29568, 152064, 32768, False)),
    "qwen3_vl_text": _class((32, 32, 32, 128, 4096, 22016, 151936, 128000, False), attention_bias=False),
    "qwen3_vl_moe_text": _class(
        (24, 16, 16, 128, 2048, 5632, 151936, 128000, False), MOE, (60, 4, 1408), attention_bias=False
    ),
    "glm4v_text": _class((40, 32, 2, None, 4096, 13696, 151552, 32768, False)),
    "glm4v_moe_text": _class(
        (46, 96, 8, None, 4096, 10944, 151424, 65536, False),
        (*FINE, "dense_layers"),
        (128, 8, 1408, 1, 1, 1, 1),
        attention_bias=True,
        qk_norm=False,
    ),
    "gemma": _class((28, 16, 16, 256, 3072, 24576, 256000, 8192, True), attention_bias=False),
    "gemma2": _class((26, 8, 4, 256, 2304, 9216, 256000, 8192, True), attention_bias=False),
    "qwen2_moe": _class(
        (24, 16, 16, None, 2048, 5632, 151936, 32768, False),
        (*MOE, "moe_shared_intermediate_size"),
        (60, 4, 1408, 5632),
        attention_bias=True,
    ),
    "qwen3_5_text": _class(
        (32, 16, 4, 256, 4096, 12288, 248320, 32768, False), DELTANET, (16, 32, 128, 128, 4), attention_bias=False
    ),
    "qwen3_5_moe_text": _class(
        (40, 16, 2, 256, 2048, None, 248320, 32768, False),
        (*MOE, "moe_shared_intermediate_size", *DELTANET),
        (256, 8, 512, 512, 16, 32, 128, 128, 4),
        attention_bias=False,
    ),
    "starcoder2": _class((30, 24, 2, None, 3072, 12288, 49152, 4096, True), attention_bias=True, mlp_bias=True),
    "smollm3": _class((36, 16, 4, None, 2048, 11008, 128256, 32768, True), attention_bias=False, mlp_bias=False),
    "cohere": _class((40, 64, None, None, 8192, 22528, 256000, 8192, True), attention_bias=False, qk_norm=False),
    "cohere2": _class((40, 64, None, None, 8192, 22528, 256000, 8192, True), attention_bias=False),
    "stablelm": _class((32, 32, 32, None, 2560, 6912, 50304, 4096, False), attention_bias=False, qk_norm=False),
    "olmo": _class((32, 32, None, None, 4096, 11008, 50304, 2048, False), attention_bias=False),
    "olmo3": _class((32, 32, None, None, 4096, 11008, 50304, 2048, False), attention_bias=False),
    "olmoe": _class((16, 16, None, None, 2048, 2048, 50304, 4096, False), MOE[:2], (64, 8), attention_bias=False),
    "flex_olmo": _class((32, 32, None, None, 4096, 11008, 100352, 4096, False), MOE[:2], (7, 5), attention_bias=False),
    "phi": _class((24, 32, None, None, 2048, 8192, 51200, 2048, False), qk_norm=False),
    "phimoe": _class(
        (32, 32, 8, None, 4096, 6400, 32064, 131072, False), MOE[:2], (16, 2), attention_bias=False, output_bias=False
    ),
    "exaone4": _class((32, 32, 32, None, 4096, 16384, 102400, 2048, False)),
    "exaone_moe": _class(
        (32, 32, 32, None, 4096, 16384, 102400, 2048, False), (*FINE, "dense_layers"), (64, 8, 1024, 1, 1, 1, 1)
    ),
    "glm": _class((40, 32, 2, 128, 4096, 13696, 151552, 131072, False), attention_bias=True),
    "glm4": _class((40, 32, 2, 128, 4096, 13696, 151552, 131072, False), attention_bias=True),
    "ernie4_5": _class((18, 16, 2, 128, 1024, 3072, 103424, 131072, True), attention_bias=False, mlp_bias=False),
    "ernie4_5_moe": _class(
        (28, 20, 4, None, 2560, 12288, 103424, 131072, True),
        (*MOE, "moe_shared_experts"),
        (64, 6, 1536, 2),
        attention_bias=False,
        mlp_bias=False,
        dense_layers=1,
    ),
    "seed_oss": _class(
        (64, 80, 8, 128, 4096, 27648, 155136, 524288, False),
        attention_bias=True,
        mlp_bias=False,
        attention_output_bias=False,
    ),
    "granitemoe": _class((32, 32, None, None, 4096, 11008, 32000, 2048, False), MOE[:2], (8, 2), attention_bias=False),
    "granitemoeshared": _class(
        (32, 32, None, None, 4096, 11008, 32000, 2048, False),
        (*MOE[:2], "moe_shared_intermediate_size"),
        (8, 2, 0),
        attention_bias=False,
    ),
    "granitemoehybrid": _class(
        (32, 32, None, None, 4096, 11008, 32000, 2048, False),
        (*MOE[:2], "moe_shared_intermediate_size", *MAMBA),
        (8, 2, 1024, 128, 64, 256, 1, 4),
        attention_bias=False,
        mamba_bias=False,
        mamba_conv_bias=True,
    ),
    "lfm2": _class((32, 32, 8, None, 2560, 12288, 65536, 128000, True), linear_conv_kernel=3, linear_conv_bias=False),
    "lfm2_moe": _class(
        (32, 32, 8, None, 2048, 7168, 65536, 128000, True),
        (*MOE, "dense_layers"),
        (32, 4, 1792, 2),
        linear_conv_kernel=3,
        linear_conv_bias=False,
    ),
    "hunyuan_v1_dense": _class((32, 32, None, None, 4096, 11008, 290943, 2048, False), attention_bias=False),
    "hunyuan_v1_moe": _class(
        (32, 32, None, None, 4096, 11008, 290943, 2048, False), MOE[:2], (1, 1), attention_bias=False
    ),
    "dots1": _class(
        (62, 32, 32, None, 4608, 10944, 152064, 2048, False),
        (*FINE, "dense_layers"),
        (None, None, 1408, None, 1, 1, 0),
        attention_bias=False,
    ),
    "solar_open": _class(
        (48, 64, 8, 128, 4096, None, 196608, 131072, False),
        (*FINE, "dense_layers"),
        (128, 8, 1280, 1, 1, 1, 0),
        attention_bias=False,
    ),
    "hy_v3": _class(
        (80, 64, 8, 128, 4096, 13312, 120832, 131072, False),
        (*MOE, "moe_shared_experts", "dense_layers"),
        (192, 8, 1536, 1, 1),
        attention_bias=False,
        mlp_bias=False,
    ),
    "apertus": _class((32, 32, None, None, 4096, 14336, 131072, 65536, False), attention_bias=False),
    "arcee": _class((32, 32, None, None, 2560, 18432, 32000, 4096, False), attention_bias=False, mlp_bias=False),
    "nemotron": _class((32, 48, None, None, 6144, 24576, 256000, 4096, False), attention_bias=False, mlp_bias=False),
    "helium": _class((24, 20, 20, 128, 2560, 7040, 48000, 4096, False), attention_bias=False, mlp_bias=False),
    "bitnet": _class((30, 20, 5, None, 2560, 6912, 128256, 2048, False), attention_bias=False),
    "cwm": _class((64, 48, 8, 128, 6144, 21504, 128256, 131072, False), mlp_bias=False),
    "deepseek_v2": _class(
        (32, 32, None, None, 4096, 11008, 102400, 2048, False),
        (*FINE, "dense_layers", *LATENT),
        (64, None, 1407, 2, None, None, 0, 512, 1536, 64, 128, 128),
        attention_bias=False,
        mlp_bias=False,
    ),
    "gpt_neox": _class((44, 64, None, None, 6144, 24576, 50432, 2048, False), attention_bias=True),
    "gptj": _class((28, 16, None, None, 4096, None, 50400, 2048, False)),
    "codegen": _class((28, 16, None, None, 4096, None, 50400, 2048, False)),
    "gpt_neo": _class((24, 16, None, None, 2048, None, 50257, 2048, True)),
    "opt": _class((12, 12, None, None, 768, 3072, 50272, 2048, True), attention_bias=True, mlp_bias=True),
    "falcon": _class((32, 71, None, None, 4544, None, 65024, 2048, True), attention_bias=False, mlp_bias=False),
    "bloom": _class((2, 8, None, None, 64, None, 250880, 2048, True)),
}
# The window that a class has when the file names none, by family; those that are not here know no window.
WINDOW = {"mistral": 4096, "mixtral": None, "phi3": None, "qwen2": 4096, "qwen3": 4096}
WINDOW |= dict.fromkeys(
    ("gemma2", "cohere2", "olmo3", "exaone4", "exaone_moe", "ministral", "qwen2_moe", "dots1"), 4096
)
WINDOW |= dict.fromkeys(("starcoder2", "smollm3", "phimoe", "ministral3", "qwen2_vl_text", "qwen3_vl_text"), None)
WINDOW |= {
    "cwm": 8192,
    "gpt_neo": 256,
    "qwen3_vl_moe_text": None,
    "gemma3_text": 4096,
    "gpt_oss": 128,
    "llama4_text": 8192,
}
# One layer of so many sees the whole text, unless the file says otherwise under the name beside it.
FULL_EVERY = {
    "gemma3_text": (6, "sliding_window_pattern"),
    "gpt_oss": (2, None),
    "llama4_text": (4, "no_rope_layer_interval"),
    "qwen3_next": (4, "full_attention_interval"),
    "qwen3_5_text": (4, "full_attention_interval"),
    "qwen3_5_moe_text": (4, "full_attention_interval"),
    "gemma2": (2, None),
    "cohere2": (4, "sliding_window_pattern"),
    "olmo3": (4, None),
    "exaone4": (4, "sliding_window_pattern"),
    "exaone_moe": (4, "sliding_window_pattern"),
}
SWITCHED = ("qwen2", "qwen3", "qwen2_moe", "smollm3")  # whose window use_sliding_window must switch on
FIRST_WINDOW = {
    "qwen2": 28,
    "qwen3": 28,
    "dots1": 62,
}  # the max_window_layers of a class: those before see the whole text
# Other names for the same tensors (where the class has other defaults, they stand above under its own name).
SAME_AS = {
    "kimi_k2": "deepseek_v3",
    "mistral4": "deepseek_v3",
    "internlm3": "llama",
    "ministral": "mistral",
    "ministral3": "mistral",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
    "glm4v_text": "glm4",
    "glm4v_moe_text": "glm4_moe",
}
LIKE = {"qwen2_vl": "qwen2_vl_text", "qwen2_5_vl": "qwen2_vl_text", "qwen2_5_vl_text": "qwen2_vl_text"}  # same defaults
# What the text part of a wrapper is when it does not say.
WRAPPED = {
    "llava": "llama",
    "llava_next": "llama",
    "idefics3": "llama",
    "smolvlm": "llama",
    "gemma3": "gemma3_text",
    "llama4": "llama4_text",
    "mistral3": "mistral",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
}
TEXT_PARTS = ("text_config", "llm_config", "language_config")
MAY_BE_NULL = ("mla_q_lora_rank", "moe_latent_size", "kv_heads", "head_dim", "intermediate_size", "moe_experts")
MAY_BE_NULL += ("moe_router_groups", "moe_router_groups_used", "moe_shared_experts")
