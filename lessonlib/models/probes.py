"""Probes: what a small model can do, a number each. The model cards print them and the tests measure them again.

Answers count only when they are what greedy decoding would write, whole. Heads are scored by the attention that they
give, drafts by the target calls that they save, experts by the tokens that they get. Every draw is seeded."""

from __future__ import annotations

import math
import random
from contextlib import contextmanager

WORDS = (
    "lamp river stone apple bird cloud door fish garden hat island jar kite leaf moon nest orange pencil queen rope spoon "
    "tree umbrella violin window yarn zebra bridge candle drum engine feather glove hammer ink jacket kettle ladder"
).split()
CITIES = "Paris Berlin Rome Madrid Lisbon Athens Cairo Nairobi Accra Tokyo Ottawa Lima Oslo Helsinki Vienna".split()
NAMES = "Tom Lily Ben Mia Sam Anna Max Sue Tim Lucy Jack Emma Leo Nina".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
FILL = (
    "The sun was warm and the sky was clear.", "A small bird sang in the tall tree.", "The train was late that day.",
    "Two children walked along the road.", "A cat slept on the soft chair.", "Rain fell on the roof for an hour.",
    "The old man read his paper in the shade.", "They drank tea and talked about the weather.",
)  # fmt: skip

# Openings for generation and for counting accepted drafts, by kind of text.
PROMPTS = {
    "stories": (
        "Once upon a time, there was a little girl named Lily. She",
        "Tom had a big red ball. One day,",
        "The little rabbit lived in the forest. It was very",
        "Sam and his mom went to the park.",
    ),
    "dialogue": (
        "User: I want to book a table for two people.\nAssistant:",
        "User: Can you find me a bus to the city?\nAssistant:",
        "User: I would like a cup of coffee, please.\nAssistant:",
        "User: What is the weather like today?\nAssistant:",
    ),
    "code": (
        "def fibonacci(n):\n",
        "def is_prime(n):\n",
        "def count_vowels(s):\n",
        "def maximum(numbers):\n",
    ),
    "drills": (
        "Copy: lamp fish moon\nAnswer: lamp fish moon\nReverse: kite jar\nAnswer:",
        "3 + 4 = 7\n12 + 5 = 17\n8 - 2 = 6\n",
        "The capital of France is Paris.\nThe capital of",
        "User: What is the weather in Rome?\nAssistant:",
    ),
}


def probe(model, tokenizer) -> dict[str, float]:
    """All probes of one model, by name; shares and scores from 0 to 1."""
    results = {
        "copy_8_words": share_right(model, tokenizer, copying(8)),
        **{f"pass_key_at_{n}": share_right(model, tokenizer, pass_keys(tokenizer, n)) for n in (64, 128, 256)},
        "sums_of_2_digits": share_right(model, tokenizer, sums()),
        "json_tool_calls": share_right(model, tokenizer, tool_calls()),
        "stories_without_a_loop": without_loops(model, tokenizer),
        "best_induction_head": induction_scores(model).max().item(),
        "best_previous_token_head": previous_token_scores(model).max().item(),
    }
    if getattr(model.config, "num_local_experts", 0):
        load = expert_load(model, tokenizer)
        everything = sum(load.values()) / len(load)
        results["expert_load_entropy"] = load_entropy(everything)
        results["expert_load_shift"] = sum(load_shift(kind, everything) for kind in load.values()) / len(load)
    return {name: round(value, 4) for name, value in results.items()}


def copying(words: int, tries: int = 40, seed: int = 0) -> list[tuple[str, str]]:
    """(prompt, answer) pairs: copy `words` words after one shown example."""
    rng, pairs = random.Random(seed), []
    for _ in range(tries):
        example, asked = (" ".join(rng.sample(WORDS, n)) for n in (4, words))
        pairs.append((f"Copy: {example}\nAnswer: {example}\nCopy: {asked}\nAnswer:", f" {asked}\n"))
    return pairs


def pass_keys(tokenizer, distance: int, tries: int = 40, seed: int = 0) -> list[tuple[str, str]]:
    """(prompt, answer) pairs: five digits, asked for after at least `distance` tokens of other text."""
    rng, pairs = random.Random(seed), []
    for _ in range(tries):
        key, between = str(rng.randint(10_000, 99_999)), ""
        while len(tokenizer.encode(between, add_special_tokens=False)) < distance:
            between += " " + rng.choice(FILL)
        pairs.append(
            (
                "There is a pass key hidden in this text. Find it and remember it.\n"
                f"The pass key is {key}. Remember it. {key} is the pass key.{between}\n"
                "What is the pass key? The pass key is",
                f" {key}.",
            )
        )
    return pairs


def sums(tries: int = 60, seed: int = 0) -> list[tuple[str, str]]:
    """(prompt, answer) pairs: two numbers of two digits each, after three solved sums."""
    rng, pairs = random.Random(seed), []
    for _ in range(tries):
        numbers = [(rng.randint(10, 99), rng.randint(10, 99)) for _ in range(4)]
        lines = [f"{a} + {b} = {a + b}\n" for a, b in numbers]
        asked, answer = lines[-1].split(" =")
        pairs.append(("".join(lines[:-1]) + asked + " =", answer))
    return pairs


def tool_calls(tries: int = 40, seed: int = 0) -> list[tuple[str, str]]:
    """(prompt, answer) pairs: a request, and the JSON call with the right arguments."""
    rng, pairs = random.Random(seed), []
    for number in range(tries):
        if number % 2:
            city = rng.choice(CITIES)
            asked, call = f"What is the weather in {city}?", f'{{"tool": "get_weather", "city": "{city}"}}'
        else:
            name, item, day = rng.choice(NAMES), rng.choice(WORDS), rng.choice(DAYS)
            asked = f"Remind {name} to bring the {item} on {day}."
            call = f'{{"tool": "set_reminder", "name": "{name}", "item": "{item}", "day": "{day}"}}'
        pairs.append((f"User: {asked}\nAssistant:", f" {call}"))
    return pairs


def share_right(model, tokenizer, pairs: list[tuple[str, str]], batch: int = 20) -> float:
    """The share of (prompt, answer) pairs whose whole answer greedy decoding would write.

    One forward pass over prompt and answer together: greedy decoding writes the answer just when each of its tokens is
    the likeliest one after what stands before it."""
    import torch

    right, device = 0, model.device
    for first in range(0, len(pairs), batch):
        rows = [
            (_ids(tokenizer, prompt), _plain_ids(tokenizer, answer)) for prompt, answer in pairs[first : first + batch]
        ]
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)  # padded on the right: causal attention never looks there
        for row, (prompt, answer) in enumerate(rows):
            ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        with torch.no_grad():
            best = model(ids.to(device), use_cache=False).logits.argmax(-1).cpu()
        for row, (prompt, answer) in enumerate(rows):
            guessed = best[row, len(prompt) - 1 : len(prompt) + len(answer) - 1].tolist()
            right += guessed == answer
    return right / len(pairs)


def without_loops(model, tokenizer, tokens: int = 200, each: int = 3, temperature: float = 0.7, seed: int = 0) -> float:
    """The share of sampled stories of `tokens` tokens in which no run of 10 tokens stands three times."""
    import torch

    good = []
    for prompt in PROMPTS["stories"]:
        start = torch.tensor([_ids(tokenizer, prompt)] * each, device=model.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = model.generate(
                start, do_sample=True, temperature=temperature, top_k=0, max_new_tokens=tokens, eos_token_id=None,
                pad_token_id=1,
            )  # fmt: skip
        good += [not has_loop(row) for row in made[:, start.shape[1] :].tolist()]
    return sum(good) / len(good)


def samples(model, tokenizer, tokens: int = 60, seed: int = 0) -> list[dict]:
    """What the model writes after one opening of each kind at temperature 0 (greedy), 0.7 and 1.5: rows with `prompt`,
    `temperature` and `text`. It may end before `tokens`."""
    import torch

    rows = []
    for prompts in PROMPTS.values():
        start = torch.tensor([_ids(tokenizer, prompts[0])], device=model.device)
        for temperature in (0, 0.7, 1.5):
            how = dict(do_sample=True, temperature=temperature, top_k=0) if temperature else dict(do_sample=False)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                made = model.generate(start, max_new_tokens=tokens, pad_token_id=1, **how)
            text = tokenizer.decode(made[0, start.shape[1] :], skip_special_tokens=True)
            rows.append({"prompt": prompts[0], "temperature": temperature, "text": text})
    return rows


def has_loop(ids: list[int], run: int = 10, times: int = 3) -> bool:
    """Whether some `run` tokens in a row stand at least `times` times in `ids`, copies not overlapping."""
    seen: dict[tuple, list[int]] = {}
    for at in range(len(ids) - run + 1):
        places = seen.setdefault(tuple(ids[at : at + run]), [])
        if not places or at - places[-1] >= run:
            places.append(at)
        if len(places) >= times:
            return True
    return False


def induction_scores(model, length: int = 48, rows: int = 8, seed: int = 0):
    """(layers, H) float tensor: mean attention of the second copy of random tokens to the token after their first copy.

    The measure of C. Olsson and others, "In-context Learning and Induction Heads", 2022."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(300, model.config.vocab_size, (rows, length), generator=generator)
    attention = _attention(model, torch.cat([first, first], dim=1).to(model.device))
    at = torch.arange(length, 2 * length - 1)
    return torch.stack([layer[:, :, at, at - length + 1].float().mean((0, 2)) for layer in attention]).cpu()


def previous_token_scores(model, length: int = 64, rows: int = 8, seed: int = 0):
    """(layers, H) float tensor: mean attention of each token to the one before it, on random tokens."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(300, model.config.vocab_size, (rows, length), generator=generator)
    attention = _attention(model, ids.to(model.device))
    at = torch.arange(2, length)  # the second token has hardly a choice
    return torch.stack([layer[:, :, at, at - 1].float().mean((0, 2)) for layer in attention]).cpu()


def accepted(target, draft, tokenizer, kind: str = "stories", drafts: int = 4, tokens: int = 120) -> float:
    """Mean tokens that one call of `target` yields when `draft` guesses `drafts` tokens ahead, both greedy.

    A call keeps the guesses up to the first wrong one and adds a token of its own (Y. Leviathan and others, "Fast
    Inference from Transformers via Speculative Decoding", 2023), so it yields 1 to `drafts` + 1. Greedy guesses are
    conditioned on what the target writes as long as they are right, so one pass of the draft over the target's own text
    tells all of them."""
    import torch

    made_tokens = calls = 0
    for prompt in PROMPTS[kind]:
        start = torch.tensor([_ids(tokenizer, prompt)], device=target.device)
        with torch.no_grad():
            written = target.generate(start, do_sample=False, max_new_tokens=tokens, eos_token_id=None, pad_token_id=1)
            guesses = draft(written, use_cache=False).logits.argmax(-1)[0, start.shape[1] - 1 : -1]
        right = (guesses == written[0, start.shape[1] :]).tolist()
        at = 0
        while at + drafts < len(right):  # the last calls, cut short by the end, are left out
            kept = next((n for n in range(drafts) if not right[at + n]), drafts)
            at, made_tokens, calls = at + kept + 1, made_tokens + kept + 1, calls + 1
    return made_tokens / calls


def agreement(target, draft, tokenizer, kind: str = "stories", tokens: int = 120, seed: int = 0) -> float:
    """The chance that a token drawn by `draft` is kept when both sample at temperature 1: mean of sum(min(p, q)) over
    positions of a text that the target writes."""
    import torch

    total = count = 0
    for prompt in PROMPTS[kind]:
        start = torch.tensor([_ids(tokenizer, prompt)], device=target.device)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            text = target.generate(
                start, do_sample=True, top_k=0, max_new_tokens=tokens, eos_token_id=None, pad_token_id=1
            )
            p, q = (
                m(text, use_cache=False).logits[0, start.shape[1] - 1 :].float().softmax(-1) for m in (target, draft)
            )
        kept = torch.minimum(p, q).sum(-1)
        total, count = total + kept.sum().item(), count + len(kept)
    return total / count


def expert_load(model, tokenizer) -> dict:
    """Kind of text -> (layers, experts) tensor: the share of the routed tokens that each expert gets, rows sum to 1."""
    import torch

    loads = {}
    for kind, prompts in PROMPTS.items():
        counts = torch.zeros(model.config.num_hidden_layers, model.config.num_local_experts)
        for prompt in prompts:
            start = torch.tensor([_ids(tokenizer, prompt)], device=model.device)
            with torch.no_grad():
                text = model.generate(start, do_sample=False, max_new_tokens=60, eos_token_id=None, pad_token_id=1)
                logits = model(text, use_cache=False, output_router_logits=True).router_logits
            for layer, scores in enumerate(logits):
                chosen = scores.topk(model.config.num_experts_per_tok, dim=-1).indices.flatten().cpu()
                counts[layer] += torch.bincount(chosen, minlength=counts.shape[1])
        loads[kind] = counts / counts.sum(-1, keepdim=True)
    return loads


def load_entropy(load) -> float:
    """How evenly experts are used: the entropy of a (layers, experts) load over its largest value, mean of the layers."""
    entropy = -(load * load.clamp_min(1e-12).log()).sum(-1)
    return (entropy / math.log(load.shape[-1])).mean().item()


def load_shift(load, other) -> float:
    """How far two loads are apart: the share of tokens that would have to change experts, mean of the layers."""
    return (0.5 * (load - other).abs().sum(-1)).mean().item()


def _ids(tokenizer, text: str) -> list[int]:
    """Token ids of a document's beginning: the training text has `<|endoftext|>` between documents."""
    return [tokenizer.bos_token_id, *_plain_ids(tokenizer, text)]


def _plain_ids(tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _attention(model, ids):
    """Attention weights of every layer, each (B, H, L, S)."""
    import torch

    with _eager(model), torch.no_grad():
        return model(ids, output_attentions=True, use_cache=False).attentions


@contextmanager
def _eager(model):
    """Attention by plain matrix products meanwhile: the fused kernels keep no weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
