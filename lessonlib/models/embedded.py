"""The models that ship with the course: names, folders, what each one is, and their vocabulary."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from .hub import ModelNotAvailable

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Card:
    """An embedded model: `bytes` is its weights file on disk, `context` the longest input and `vocabulary` the number of
    ids, both in tokens; a token passes through `active_parameters` of the `parameters` (all, but for a mixture of experts)."""

    name: str
    parameters: int
    bytes: int
    context: int
    licence: str
    purpose: str
    active_parameters: int
    vocabulary: int


def embedded_names() -> list[str]:
    """Names of the models that ship with lessonlib."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/training.json"))


def embedded_path(name: str) -> Path:
    """The folder of an embedded model: plain `AutoModelForCausalLM.from_pretrained(path)` opens it too."""
    names = embedded_names()
    if name not in names:
        near = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        hint = (
            f"; did you mean {near[0]!r}?" if near else "; other models are given as a folder or a hub id owner/name."
        )
        raise ModelNotAvailable(f"No embedded model is called {name!r}, there are {', '.join(names) or 'none'}{hint}")
    return WEIGHTS / name


def catalogue() -> list[Card]:
    """The embedded models, read from the files that ship with them."""
    cards = []
    for name in embedded_names():
        folder = WEIGHTS / name
        record, config = _json(folder / "training.json"), _json(folder / "config.json")
        cards.append(
            Card(
                name=name,
                parameters=record["parameters"],
                bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
                context=config["max_position_embeddings"],
                licence=record["licence"],
                purpose=record["purpose"],
                active_parameters=record["parameters"] - _idle_parameters(config),
                vocabulary=config["vocab_size"],
            )
        )
    return cards


def encoding(name: str):
    """The vocabulary of an embedded model as a tiktoken.Encoding: same ids, no network."""
    from .training.bpe import to_tiktoken

    file = _json(embedded_path(name) / "tokenizer.json")
    vocabulary = dict(file["model"]["vocab"])
    vocabulary.update({token["content"]: token["id"] for token in file["added_tokens"]})
    return to_tiktoken(vocabulary, f"lessonlib-{name}")


def _idle_parameters(config: dict) -> int:
    """Parameters of the experts that a token does not use: each expert of a layer is three matrices, up, gate and down."""
    idle = config.get("num_local_experts", 0) - config.get("num_experts_per_tok", 0)
    return idle * config["num_hidden_layers"] * 3 * config["hidden_size"] * config["intermediate_size"]


def _json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
