"""Two forms to fill in as JSON, one that the embedded model was trained on and one that it never saw: with and without a
mask, how often is what it writes valid?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from . import sampling
from .sampling import Setting
from .sampling_grammar import TokenMask, longest, token_texts


@dataclass(frozen=True)
class Form:
    """A prompt, the schema of the answer, and the value that is right, where there is one (a part of the answer)."""

    name: str
    prompt: str
    schema: dict
    right: tuple = ()


def _object(**properties) -> dict:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


CALL = Form(
    "tool call",
    "User: What is the weather in Rome?\nAssistant:",
    _object(
        tool={"type": "string", "enum": ["get_weather", "set_reminder", "find_book"]},
        city={"type": "string", "pattern": "^[A-Z][a-z]+$", "maxLength": 12},
    ),
    ("city", "Rome"),
)
CARD = Form(
    "card of a person",
    "Lily is seven years old. She has a dog and likes cake.\nLily as JSON:",
    _object(
        name={"type": "string", "pattern": "^[A-Z][a-z]{1,9}$"},
        age={"type": "integer", "minimum": 0, "maximum": 120},
        likes={"type": "array", "items": {"type": "string", "enum": ["cake", "ball", "books"]}, "maxItems": 2},
        happy={"type": "boolean"},
    ),
    ("age", 7),
)
FORMS = (CALL, CARD)


@dataclass(frozen=True)
class Filled:
    """One form at one temperature: shares of valid answers without (`plain`) and with a mask (`masked`), the share of the
    masked answers that hold the right value, the mean share of the model's own probability that the mask left at each
    token, and an example of both."""

    form: Form
    temperature: float
    plain: float
    masked: float
    right: float
    left: float
    examples: tuple[str, str]


def validator(schema: dict) -> tuple[str, Callable[[str], str]]:
    """The name of the judge, and a function that says what is wrong with a text ("" when it is valid JSON of `schema`).

    The judge is the package jsonschema where it is installed (Jupyter brings it), else the few rules of this subset."""
    try:
        import jsonschema
    except ImportError:
        return "this lab's own rules", lambda text: _judge(text, lambda value: _fault(value, schema))
    judge = jsonschema.Draft202012Validator(schema)

    def fault(value) -> str:
        found = next(judge.iter_errors(value), None)
        return found.message if found else ""

    return "the package jsonschema", lambda text: _judge(text, fault)


def fill(model, tokenizer, form: Form, temperatures: Sequence[float], samples: int = 8, seed: int = 0) -> list[Filled]:
    """Fill in `form` `samples` times at each temperature, all in one batch, without a mask and with it.

    Without a mask the answer is the line that the model writes. With it every answer must be valid: the longest document
    of the schema bounds the tokens, since each allowed token brings a character at least."""
    pieces = token_texts(tokenizer, _width(model))
    mask = TokenMask(form.schema, pieces, tokenizer.eos_token_id, lead=" ")  # as after a colon in any text
    settings = [Setting("", t) for t in temperatures for _ in range(samples)]
    ids, seen = sampling.encode(tokenizer, [form.prompt] * len(settings), model.device)
    new = longest(mask.start) + 1
    plain = sampling.write(model, ids, seen, new, settings, seed, tokenizer.eos_token_id)
    masked = sampling.write(model, ids, seen, new, settings, seed, tokenizer.eos_token_id, mask)
    _, problem = validator(form.schema)
    found = []
    for number, temperature in enumerate(temperatures):
        part = slice(number * samples, (number + 1) * samples)
        lines = [tokenizer.decode(w.ids).split("\n")[0].strip() for w in plain[part]]
        texts = [tokenizer.decode(w.ids) for w in masked[part]]
        good = [not problem(text) for text in texts]
        key, value = form.right
        right = [json.loads(text)[key] == value for text, fine in zip(texts, good, strict=True) if fine]
        left = [share for w in masked[part] for share in mass_left(model, ids[:1], w.ids, mask)]
        found.append(Filled(
            form, temperature, sum(not problem(line) for line in lines) / samples, sum(good) / samples,
            sum(right) / samples, sum(left) / len(left), (lines[0], texts[0]),
        ))  # fmt: skip
    return found


def greedy_both_ways(model, tokenizer, form: Form) -> tuple[list[int], list[int]]:
    """The greedy answer under the mask, by this lab's loop and by `model.generate` with `prefix_allowed_tokens_fn`, the
    place that transformers has for such a mask: token ids without the end token."""
    end = tokenizer.eos_token_id
    mask = TokenMask(form.schema, token_texts(tokenizer, _width(model)), end, lead=" ")
    ids, seen = sampling.encode(tokenizer, [form.prompt], model.device)
    start, new = ids.shape[1], longest(mask.start) + 1

    def allowed(row, text):
        return mask(row, text[start:].tolist()).nonzero().flatten().tolist()

    ours = sampling.write(model, ids, seen, new, [Setting("greedy", 0)], end=end, allow=mask)[0].ids
    theirs = model.generate(
        ids,
        attention_mask=seen,
        max_new_tokens=new,
        do_sample=False,
        pad_token_id=end,
        prefix_allowed_tokens_fn=allowed,
    )
    theirs = theirs[0, start:].tolist()
    return ours, theirs[: theirs.index(end)] if end in theirs else theirs


def metrics(rows: Sequence[Filled]) -> dict[str, tuple[str, float]]:
    """{metric: (unit, value)} of filled forms, as the record of the benchmark names them."""
    values = {}
    for row in rows:
        name = f"{row.form.name} T {row.temperature:g}".replace(" ", "_")
        values[f"{name}_valid_without_mask"] = ("share", row.plain)
        values[f"{name}_valid_with_mask"] = ("share", row.masked)
        values[f"{name}_right_with_mask"] = ("share", row.right)
        values[f"{name}_probability_left_by_mask"] = ("share", row.left)
    return values


@torch.no_grad()
def mass_left(model, ids: torch.Tensor, written: Sequence[int], mask: TokenMask) -> list[float]:
    """For each token of `written` after ids (1, L): the share of the model's probability on the tokens that were allowed."""
    text = torch.cat([ids, torch.tensor([list(written)], device=ids.device)], 1)
    probabilities = model(input_ids=text, use_cache=False).logits.float().softmax(-1)[0, ids.shape[1] - 1 : -1].cpu()
    return [probabilities[n, mask(0, written[:n])].sum().item() for n in range(len(written))]


def _width(model) -> int:
    """Logits of one token: some models have more than the tokenizer has tokens."""
    return model.get_output_embeddings().weight.shape[0]


def _judge(text: str, fault: Callable) -> str:
    try:
        return fault(json.loads(text))
    except json.JSONDecodeError as error:
        return f"no JSON: {error}"


def _fault(value, schema: dict) -> str:
    """What is wrong with a value by the kinds of schema that the mask knows; "" when nothing is."""
    kind = schema["type"]
    names = {"object": dict, "string": str, "integer": int, "boolean": bool, "array": list}
    if type(value) is not names[kind]:
        return f"{value!r} is no {kind}"
    if kind == "object":
        if set(value) != set(schema["properties"]):
            return f"the keys are {sorted(value)}"
        return next(filter(None, (_fault(value[key], inner) for key, inner in schema["properties"].items())), "")
    if kind == "array":
        if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
            return f"{len(value)} items"
        return next(filter(None, (_fault(item, schema["items"]) for item in value)), "")
    if kind == "integer" and not schema["minimum"] <= value <= schema["maximum"]:
        return f"{value} is out of range"
    if kind == "string":
        if value not in schema.get("enum", [value]) or not re.search(schema.get("pattern", ""), value):
            return f"{value!r} is no such string"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            return f"{value!r} has {len(value)} characters"
    return ""
