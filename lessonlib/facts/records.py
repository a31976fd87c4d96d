"""The rows of the fact base as classes: which fields a row has, in which unit, and which values they may take.

These annotations are the one list of fields: editors complete them, `schema` checks the tables against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from .tables import checked_on, titles

ALWAYS, SHIPPED = "always", "shipped"  # a row must have it: in every file; in the tables of the course only


@dataclass(frozen=True)
class Field:
    """What is known about a field: meaning, unit, bounds (both included), allowed values, and which rows need it.

    `date`: the text holds a date (2026, 2026-03 or 2026-03-05, with words around it if need be)."""

    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    one_of: tuple[str, ...] = ()
    need: str = ""
    date: bool = False


class Record:
    """One row of the table `home`: its fields are attributes; `get(name, default)` for fields that not every row has."""

    def __init__(self, fields: dict, home: str):
        self.__dict__.update(_fields=fields, _home=home)

    def __getattr__(self, name: str):
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"{fields.get('id', 'this record')} has no field {name!r}; it has {', '.join(fields)}.")

    def __setattr__(self, name: str, value) -> None:
        raise AttributeError(f"Records of the fact base are read-only: {self.id}.{name} cannot be set.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Records of the fact base are read-only: {self.id}.{name} cannot be deleted.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]

    def __repr__(self) -> str:
        return f"<{self._fields['id']}>"

    def get(self, name: str, default=None):
        """The field `name`, or `default` when this row has none."""
        return self._fields.get(name, default)

    def as_dict(self) -> dict:
        """The fields of this row, as plain data."""
        return dict(self._fields)

    def source_titles(self) -> list[str]:
        """The sources of this row, in words."""
        said = self._fields.get("source")
        return [str(said)] if said else [titles(self._home)[key] for key in self._fields.get("sources", ())]

    @property
    def source(self) -> str:
        """The sources of this row in one line."""
        return "; ".join(self.source_titles())

    @property
    def as_of(self) -> str:
        """The date of the row: its own when it has one, else the date when the fact base was checked."""
        return str(self._fields.get("as_of") or checked_on())


ID = Annotated[str, Field("short name, unique in its table", need=ALWAYS)]
NAME = Annotated[str, Field("name as people write it", need=ALWAYS)]
AS_OF = Annotated[str, Field("when the figures of this row held", date=True)]
SOURCES = Annotated[list[str], Field("keys of the table's sources", need=SHIPPED)]
SOURCE = Annotated[str, Field("where the figures come from, in words")]
SEED = Annotated[str, Field("what the source lesson has in this place")]
NOTE = Annotated[str, Field("remark")]
COUNT = Annotated[int, Field("how many", low=0)]
ONE_OR_MORE = Annotated[int, Field("how many", low=1)]
PRICE = Annotated[float | None, Field("price", "USD", low=0)]
RANGE = Annotated[list[float] | None, Field("lowest and highest price", "USD", low=0)]
TFLOPS = Annotated[float | None, Field("dense rate, no sparsity", "TFLOPS", low=0, high=1e6)]


class Model(Record):
    """An open model: its exact size and the shape that cache and speed follow from. Sizes in 1e9 bytes (GB)."""

    id: ID
    name: NAME
    hf_id: Annotated[str | None, Field("organisation/name on the Hugging Face hub", need=SHIPPED)]
    family: Annotated[str | None, Field("family name", need=SHIPPED)]
    model_type: Annotated[str, Field("configuration class of transformers that has these tensors", need=ALWAYS)]
    license: Annotated[str | None, Field("licence of the weights", need=SHIPPED)]
    total_params_exact: Annotated[int, Field("all parameters, tied matrices once", "parameters", low=1, need=ALWAYS)]
    total_params_b: Annotated[float, Field("the same, rounded", "billion parameters", low=0, high=1e5, need=ALWAYS)]
    active_params_b: Annotated[
        float, Field("parameters used for one token", "billion parameters", low=0, high=1e5, need=ALWAYS)
    ]
    active_params_note: NOTE
    native_weight_dtype: Annotated[str | None, Field("format of the published weights", need=SHIPPED)]
    max_context: Annotated[int, Field("longest context that the maker states", "tokens", low=1, need=ALWAYS)]
    native_context: Annotated[int, Field("context without an extension method", "tokens", low=1)]
    context_method: Annotated[str, Field("how the longer context is reached")]
    config_positions: Annotated[int, Field("positions in config.json, where max_context is another", "tokens", low=1)]
    layers: Annotated[int, Field("decoder layers", low=1, high=10_000, need=ALWAYS)]
    attention_heads: Annotated[int, Field("query heads", low=1, need=ALWAYS)]
    kv_heads: Annotated[int | None, Field("key-value heads; none in latent attention", low=1, need=SHIPPED)]
    head_dim: Annotated[int | None, Field("values of a head; none in latent attention", low=1, need=SHIPPED)]
    hidden_size: Annotated[int, Field("width of the residual stream", low=1, need=ALWAYS)]
    intermediate_size: Annotated[int | None, Field("width of the dense feed-forward layer", low=0, need=SHIPPED)]
    dense_intermediate_size: ONE_OR_MORE
    vocab_size: Annotated[int, Field("rows of the embedding matrix", "tokens", low=1, need=ALWAYS)]
    tied_embeddings: Annotated[bool, Field("embedding and output matrix are one", need=ALWAYS)]
    embedding_params_exact: Annotated[int, Field("the embedding matrix alone", "parameters", low=1, need=ALWAYS)]
    attention: Annotated[
        str,
        Field(
            "kind of attention",
            one_of=(
                "mha", "gqa", "mqa", "mla", "mha-sliding", "gqa-sliding", "mqa-sliding", "mha-chunked", "gqa-chunked",
                "mqa-chunked", "hybrid-gated-deltanet", "hybrid-mamba2", "hybrid-short-conv",
            ),
            need=ALWAYS,
        ),
    ]  # fmt: skip
    attention_bias: Annotated[bool, Field("query, key and value projections have biases")]
    mlp_bias: Annotated[bool, Field("feed-forward projections have biases")]
    attention_output_bias: Annotated[bool, Field("the output projection of attention has a bias")]
    output_bias: Annotated[bool, Field("the output matrix has a bias")]
    qk_norm: Annotated[bool, Field("queries and keys are normalised")]
    layer_norms: Annotated[list[str], Field("the norms of a layer, where the family alone does not tell")]
    full_attention_layers: Annotated[int, Field("layers whose cache grows with the whole text", low=0)]
    window_layers: COUNT
    attention_window: Annotated[int, Field("how far the window layers look back", "tokens", low=1)]
    layer_types: Annotated[list[str], Field("kind of each layer, where counts do not tell the order")]
    mlp_layer_types: Annotated[list[str], Field("sparse or dense, a layer each, where counts do not tell it")]
    dense_layers: Annotated[int, Field("first layers without experts", low=0)]
    moe_layers: COUNT
    moe_layer_step: Annotated[int, Field("every n-th layer has experts", low=1)]
    moe_experts: Annotated[int, Field("routed experts of a layer", low=1)]
    moe_experts_per_token: Annotated[int, Field("routed experts that a token uses", low=1)]
    moe_shared_experts: COUNT
    moe_intermediate_size: ONE_OR_MORE
    moe_shared_intermediate_size: ONE_OR_MORE
    moe_latent_size: ONE_OR_MORE
    moe_router_groups: ONE_OR_MORE
    moe_router_groups_used: ONE_OR_MORE
    linear_attention_layers: COUNT
    linear_key_heads: ONE_OR_MORE
    linear_value_heads: ONE_OR_MORE
    linear_head_dim: ONE_OR_MORE
    linear_value_head_dim: ONE_OR_MORE
    linear_conv_kernel: ONE_OR_MORE
    linear_conv_bias: Annotated[bool, Field("short convolutions have biases")]
    mamba_layers: COUNT
    mamba_heads: ONE_OR_MORE
    mamba_head_dim: ONE_OR_MORE
    mamba_state_size: ONE_OR_MORE
    mamba_groups: ONE_OR_MORE
    mamba_conv_kernel: ONE_OR_MORE
    mamba_bias: Annotated[bool, Field("projections of Mamba-2 layers have biases")]
    mamba_conv_bias: Annotated[bool, Field("convolutions of Mamba-2 layers have biases")]
    layer_pattern: Annotated[str, Field("one letter a layer: M Mamba-2, E experts, * attention, - feed-forward")]
    mla_kv_lora_rank: Annotated[int, Field("latent values that a token keeps in the cache", low=1)]
    mla_q_lora_rank: Annotated[int | None, Field("latent size of queries", low=1)]
    mla_qk_rope_head_dim: ONE_OR_MORE
    mla_qk_nope_head_dim: ONE_OR_MORE
    mla_v_head_dim: ONE_OR_MORE
    sparse_index_heads: ONE_OR_MORE
    sparse_index_head_dim: ONE_OR_MORE
    sparse_index_topk: ONE_OR_MORE
    sparse_index_layers: Annotated[list[int], Field("layers with an index, where not all have one", low=0)]
    kv_bytes_per_token_fp16: Annotated[
        int, Field("what each further token adds to a 16-bit cache, once windows are full", "bytes", low=0, need=ALWAYS)
    ]
    kv_bytes_per_token_fp16_until_window: Annotated[int, Field("the same, while windows fill", "bytes", low=1)]
    kv_formula: Annotated[str, Field("the formula of that cache", need=ALWAYS)]
    kv_gb_fp16_at: Annotated[dict[str, float], Field("16-bit cache of one sequence by its tokens", "GB", need=SHIPPED)]
    fixed_state_bytes_per_sequence: Annotated[int, Field("state that does not grow with the text", "bytes", low=0)]
    fixed_state_note: NOTE
    weights_gb: Annotated[dict[str, float], Field("size of the weights by format", "GB", need=SHIPPED)]
    seed_says: Annotated[str, Field("what the source lesson has on this model", need=SHIPPED)]
    notes: NOTE
    as_of: AS_OF
    source: SOURCE
    sources: SOURCES


class CommercialModel(Record):
    """A model that is sold as a service only."""

    id: ID
    name: NAME
    context: Annotated[int | None, Field("longest context", "tokens", low=1, need=ALWAYS)]
    total_params_b: Annotated[float, Field("parameters", "billion parameters", low=0)]
    humaneval: Annotated[float, Field("HumanEval score", "percent", low=0, high=100)]
    seed_says: SEED
    verdict: Annotated[str, Field("what became of the source lesson's figures")]
    note: NOTE
    as_of: AS_OF
    source: SOURCE
    sources: Annotated[list[str], Field("keys of the table's sources")]


class GPU(Record):
    """A graphics card, a computer with unified memory, a server or a rack. Rates are dense, without sparsity."""

    id: ID
    name: NAME
    tier: Annotated[
        str | None,
        Field("class of machine", one_of=("consumer", "prosumer", "datacenter", "server", "rack"), need=SHIPPED),
    ]
    vram_gb: Annotated[
        float | None, Field("memory as sold; cards hold that many GiB", "GiB", low=0.5, high=50_000, need=ALWAYS)
    ]
    vram_note: NOTE
    raw_memory_gb: Annotated[float, Field("memory before what is set aside", "GiB", low=0.5, high=50_000)]
    memory_type: Annotated[str | None, Field("kind of memory", need=SHIPPED)]
    bandwidth_gbs: Annotated[float | None, Field("memory bandwidth", "GB/s", low=1, high=1e6, need=ALWAYS)]
    fp16_bf16_tensor_dense_tflops: Annotated[
        float | None, Field("FP16 or BF16 on tensor cores, FP32 sums", "TFLOPS", low=0, high=1e6, need=SHIPPED)
    ]
    tf32_tensor_dense_tflops: TFLOPS
    fp8_dense_tflops: TFLOPS
    fp4_dense_tflops: TFLOPS
    fp16_sparse_tflops: Annotated[float | None, Field("rate with 2:4 sparsity", "TFLOPS", low=0, high=1e6)]
    fp16_with_fp16_accumulate_dense_tflops: TFLOPS
    shader_fp16_tflops: Annotated[float | None, Field("rate outside the tensor cores", "TFLOPS", low=0, high=1e6)]
    fp16_note: NOTE
    board_power_w: Annotated[float | None, Field("power limit", "W", low=1, high=1e6, need=SHIPPED)]
    interconnect: Annotated[dict[str, Any] | None, Field("links to the host and to other GPUs", need=SHIPPED)]
    link_note: NOTE
    price_usd: Annotated[float | None, Field("price", "USD", low=0, need=SHIPPED)]
    price_usd_range: RANGE
    price_as_of: Annotated[str | None, Field("when that price held", date=True, need=SHIPPED)]
    price_status: Annotated[str | None, Field("how well the price is known", need=SHIPPED)]
    tensor_cores: COUNT
    gpu_cores: COUNT
    sms: Annotated[int, Field("streaming multiprocessors", low=1)]
    gpus: Annotated[int, Field("GPUs inside, in a server or rack", low=1)]
    per_gpu: Annotated[dict[str, float], Field("figures of one GPU of a server or rack")]
    release_year: Annotated[int, Field("year of release", low=2000, high=2100)]
    release_note: NOTE
    status: NOTE
    seed_row: SEED
    corrections: Annotated[list[str], Field("what the source lesson has wrong, in words")]
    as_of: AS_OF
    source: SOURCE
    sources: SOURCES


class Engine(Record):
    """An inference engine: where it runs and what it can do."""

    id: ID
    name: Annotated[str, Field("name as people write it", need=SHIPPED)]
    gpu: Annotated[list[str], Field("makers or interfaces of GPUs that it runs on", need=SHIPPED)]
    cpu: Annotated[str, Field("whether it runs without a GPU", need=SHIPPED)]
    multi_gpu: Annotated[str, Field("how it uses several GPUs")]
    quantization: Annotated[str, Field("weight formats that it reads")]
    concurrency: Annotated[str, Field("what bounds requests at the same time")]
    status: NOTE
    note: NOTE
    seed: SEED
    seed_cpu: SEED
    seed_multi_gpu: SEED
    verdict: Annotated[str, Field("verdict", one_of=("computed", "cited", "corrected", "estimate"), need=SHIPPED)]
    as_of: AS_OF
    sources: SOURCES


class Benchmark(Record):
    """A published measurement that the source lesson quotes, as it was found at its source."""

    id: ID
    found: Annotated[str, Field("what the source says", need=SHIPPED)]
    seed: SEED
    verdict: Annotated[str, Field("verdict", one_of=("computed", "cited", "corrected", "estimate"), need=SHIPPED)]
    note: NOTE
    as_of: AS_OF
    sources: SOURCES


class Price(Record):
    """A dated price: of an API, a subscription, hardware, hosting or electricity. All in US dollars."""

    id: ID
    group: Annotated[str, Field("the list of the prices table that holds it")]
    name: Annotated[str, Field("name as people write it")]
    input: Annotated[float, Field("price of 1e6 input tokens", "USD", low=0, high=1e4)]
    output: Annotated[float, Field("price of 1e6 output tokens", "USD", low=0, high=1e4)]
    blend_2_to_1: Annotated[float, Field("of 1e6 tokens, two of input for one of output", "USD", low=0, high=1e4)]
    blend_1_to_1: Annotated[float, Field("of 1e6 tokens, as much input as output", "USD", low=0, high=1e4)]
    context: Annotated[int, Field("longest context", "tokens", low=1)]
    usd: Annotated[float | list[float] | None, Field("price, or its lowest and highest", "USD", low=0)]
    usd_range: RANGE
    usd_month: Annotated[float, Field("price of a month", "USD", low=0)]
    usd_year: Annotated[float, Field("price of a year", "USD", low=0)]
    usd_user_month: Annotated[float | list[float], Field("price of a month for one user", "USD", low=0)]
    usd_hour: Annotated[float, Field("price of an hour", "USD", low=0)]
    usd_kwh: Annotated[float, Field("price of a kilowatt-hour", "USD", low=0, high=10)]
    times_token_spend: Annotated[list[float], Field("a whole programme as a multiple of its tokens", low=0)]
    life_months: Annotated[float, Field("months over which a purchase is written off", "months", low=1)]
    status: Annotated[str, Field("how well the price is known")]
    note: NOTE
    seed: SEED
    as_of: Annotated[str, Field("when the price held", date=True, need=ALWAYS)]
    source: SOURCE
    sources: Annotated[list[str], Field("keys of the table's sources")]


class Claim(Record):
    """A statement of the source lesson and what became of it when it was checked."""

    id: ID
    section: Annotated[int, Field("section of the source lesson", low=0, need=SHIPPED)]
    section_title: Annotated[str, Field("its title", need=SHIPPED)]
    seed_line: Annotated[int, Field("line of the source lesson", low=1, need=SHIPPED)]
    claim: Annotated[str, Field("the statement in the course's words", need=SHIPPED)]
    seed_value: Annotated[str, Field("its figure as it stands there", need=SHIPPED)]
    kind: Annotated[
        str,
        Field(
            "what it is about",
            one_of=("analogy-with-number", "api", "benchmark", "date", "derived", "formula", "price", "spec"),
            need=SHIPPED,
        ),
    ]
    verdict: Annotated[str, Field("verdict", one_of=("computed", "cited", "corrected", "estimate"), need=SHIPPED)]
    calc: Annotated[str, Field("the calculation as a Python expression")]
    value: Annotated[Any, Field("what that calculation gives")]
    expected: Annotated[Any, Field("the stated figure, to compare with")]
    tolerance: Annotated[float, Field("largest relative difference that still agrees", low=0, high=1)]
    matches: Annotated[bool, Field("value and expected agree within the tolerance")]
    right_value: Annotated[Any, Field("what is right, where the statement was corrected")]
    note: NOTE
    source_status: Annotated[
        str, Field("whether its sources confirm it", one_of=("ok", "unverified", "partly unverified"), need=SHIPPED)
    ]
    as_of: AS_OF
    sources: SOURCES


# Each table's lists of rows. The prices table may have any number of lists: they are its groups.
ROWS: dict[str, dict[str, type[Record]]] = {
    "models": {"models": Model, "commercial_models": CommercialModel},
    "gpus": {"gpus": GPU},
    "engines": {"engines": Engine, "benchmarks": Benchmark},
    "prices": {},
    "claims": {"claims": Claim},
}
