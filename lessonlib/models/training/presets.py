"""Shapes, data mix and recipe of each embedded model: the one table that the trainer reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace

VOCAB_SIZE = 4096
SPECIALS = ("<|endoftext|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")  # ids 0 to 5

# Share of the sampled tokens that each part of the corpus gives.
MIX = {
    "tinystories": 0.36, "chitchat": 0.10, "taskdialog": 0.08, "childbooks": 0.08, "skills": 0.075,
    "fairytale_qa": 0.05, "trivia": 0.05, "fairytales": 0.04, "python": 0.04, "fables": 0.03, "sentences": 0.03,
    "picturebooks": 0.02, "simplenews": 0.02, "novels": 0.02, "orderdialog": 0.005,
}  # fmt: skip
# A model of a few million parameters has no room for nineteenth-century prose: give its share to simple text.
SMALL_MIX = {
    "tinystories": 0.50, "skills": 0.12, "taskdialog": 0.10, "python": 0.06, "fables": 0.05, "sentences": 0.05,
    "chitchat": 0.04, "fairytale_qa": 0.03, "picturebooks": 0.02, "fairytales": 0.02, "orderdialog": 0.01,
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """One model: its shape (`experts` = 0 is a dense Llama, else a Mixtral) and how it is trained.

    `batch` is sequences a step, `sequence` tokens a sequence; for the last `long_share` of the run a sequence is the
    whole `context` and a step has fewer of them, so that late positions are trained too. `muon` and `adamw` are peak
    learning rates, held until the last `decay` of the run and lowered in a line from there. `dropout` is that of the
    attention weights.

    `start` names a smaller model of the same vocabulary to grow from (`grow`), in place of random weights.

    A `teacher`, the name of another model with the same vocabulary, is imitated in the last `distil_share` of the run: the
    loss is then (1 - `distil_weight`) x cross-entropy + `distil_weight` x KL divergence from the teacher's distribution
    to the student's (G. Hinton and others, "Distilling the Knowledge in a Neural Network", 2015)."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int = 1024
    experts: int = 0
    active_experts: int = 0
    dropout: float = 0.0
    batch: int = 64
    sequence: int = 512
    long_share: float = 0.15
    start: str = ""
    teacher: str = ""
    distil_share: float = 0.0
    distil_weight: float = 0.9
    muon: float = 0.02
    adamw: float = 3e-3
    weight_decay: float = 0.1
    decay: float = 0.35
    tokens: int = 150_000_000
    mix: dict = field(default_factory=lambda: dict(MIX))

    def record(self) -> dict:
        """The preset as plain data, for the training record."""
        return asdict(self)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("mini", 192, 6, 6, 2, 512, batch=48, long_share=0.0, tokens=80_000_000, mix=dict(SMALL_MIX)),
        Preset("target", 384, 9, 6, 2, 1024, dropout=0.1, muon=0.01, adamw=1.5e-3, start="mini"),
        Preset("draft", 256, 2, 4, 2, 704, teacher="target", distil_share=0.6),
        Preset("moe", 192, 6, 6, 2, 192, experts=8, active_experts=2, muon=0.01, adamw=1.5e-3, start="mini"),
    )
}


MIXES = {"full": MIX, "simple": SMALL_MIX}


def preset(name: str) -> Preset:
    """The preset called `name`; ValueError lists the names when there is none."""
    if name not in PRESETS:
        raise ValueError(f"No model preset is called {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def config_for(shape: Preset):
    """The transformers configuration of a preset (Llama, or Mixtral where it has experts)."""
    from transformers import LlamaConfig, MixtralConfig

    common = dict(
        vocab_size=VOCAB_SIZE,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        attention_dropout=shape.dropout,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    if shape.experts:
        return MixtralConfig(
            **common,
            num_local_experts=shape.experts,
            num_experts_per_tok=shape.active_experts,
            output_router_logits=True,
            sliding_window=None,
        )
    return LlamaConfig(**common)


def changed(shape: Preset, settings: list[str]) -> Preset:
    """The preset with `NAME=VALUE` settings put in, as the command line gives them; `mix` takes the name of a mix.

    ValueError for a name that is no setting, a value of another type, or one below 0."""
    kinds = {field.name: type(getattr(shape, field.name)) for field in fields(shape) if field.name != "name"}
    values = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        kind = kinds.get(name)
        if kind is None:
            raise ValueError(f"--set {setting}: {name!r} is no setting of a preset; write NAME=VALUE, as in batch=16.")
        if kind is dict:
            if text not in MIXES:
                raise ValueError(f"--set {setting}: no mix is called {text!r}; choose one of {', '.join(MIXES)}.")
            values[name] = dict(MIXES[text])
            continue
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"--set {setting}: {name} takes {kind.__name__} values, not {text!r}.") from None
        if kind is not str and not value >= 0:
            raise ValueError(f"--set {setting}: {name} must not be below 0.")
        values[name] = value
    return replace(shape, **values)
