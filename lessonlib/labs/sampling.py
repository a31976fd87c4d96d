"""Sampling, written out: from logits to one token, and from tokens to a text, each step equal to transformers' own.

A row of logits has one number for each token of the vocabulary; `-inf` means: never. Shapes: B batch, L length of the
text so far; the last axis of logits is the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

NEVER = float("-inf")


@dataclass(frozen=True)
class Setting:
    """How the next token is chosen. The defaults change nothing: a plain draw from the model's own distribution.

    `temperature` 0 is greedy; `top_k` 0, `top_p` 1, `min_p` 0 and `penalty` 1 are off."""

    name: str
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    penalty: float = 1.0


def temperature(logits: torch.Tensor, value: float) -> torch.Tensor:
    """The logits divided by `value`: below 1 the gaps between tokens grow, above 1 they shrink.

    0 means greedy, the limit of small values: only the largest logit of each row stays, the first of equal ones.
    ValueError below 0."""
    if value < 0:
        raise ValueError(f"temperature is {value}, but must be 0 (greedy) or more.")
    if value == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, NEVER).scatter(-1, best, logits.gather(-1, best))
    return logits / value


def top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Only the `k` largest logits of each row stay; all that equal the k-th stay too. A. Fan et al. 2018."""
    if k < 1:
        raise ValueError(f"k is {k}, but at least one token must stay.")
    least = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < least, NEVER)


def top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """The smallest set of likeliest tokens whose probabilities reach `p` stays (the nucleus), one token at least.

    The token that crosses `p` stays. We add up from the unlikeliest token, as transformers does: it goes while the sum
    of it and all below it is at most 1 - p. A. Holtzman et al. 2020."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, but must lie between 0 and 1.")
    rising, where = logits.sort(dim=-1)
    gone = rising.softmax(-1).cumsum(-1) <= 1 - p
    gone[..., -1] = False
    return logits.masked_fill(gone.scatter(-1, where, gone), NEVER)


def min_p(logits: torch.Tensor, share: float) -> torch.Tensor:
    """Tokens stay that are at least `share` times as likely as the likeliest one. M. Nguyen et al. 2024."""
    if not 0 <= share <= 1:
        raise ValueError(f"min-p is {share}, but must lie between 0 and 1.")
    probabilities = logits.softmax(-1)
    best = probabilities.max(-1, keepdim=True)
    gone = (probabilities < share * best.values).scatter(-1, best.indices, False)
    return logits.masked_fill(gone, NEVER)


def repetition_penalty(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Tokens in `seen` (B, L) become less likely: a positive logit is divided by `penalty`, a negative one multiplied.

    N. Keskar et al. 2019. logits (B, vocabulary); a token that stands twice in `seen` is changed once."""
    if penalty <= 0:
        raise ValueError(f"penalty is {penalty}, but must be above 0.")
    old = logits.gather(-1, seen)
    return logits.scatter(-1, seen, torch.where(old < 0, old * penalty, old / penalty))


def process(logits: torch.Tensor, seen: torch.Tensor, s: Setting) -> torch.Tensor:
    """The logits (B, vocabulary) after all that `s` asks for, in transformers' order: penalty, temperature, top-k,
    top-p, min-p. `seen` (B, L) is the text so far. Each step reads what the one before has left."""
    if s.penalty != 1:
        logits = repetition_penalty(logits, seen, s.penalty)
    logits = temperature(logits, s.temperature)
    if s.top_k:
        logits = top_k(logits, s.top_k)
    if s.top_p < 1:
        logits = top_p(logits, s.top_p)
    return min_p(logits, s.min_p) if s.min_p else logits


def in_transformers(s: Setting) -> dict:
    """The same setting as keywords of `model.generate`."""
    keywords = dict(repetition_penalty=float(s.penalty))
    if s.temperature == 0:
        return dict(do_sample=False, **keywords)
    filters = dict(top_k=s.top_k, top_p=float(s.top_p), min_p=s.min_p or None)
    return dict(do_sample=True, temperature=float(s.temperature), **filters, **keywords)


def survivors(logits: torch.Tensor) -> int:
    """How many tokens of one row can still be drawn."""
    return int((logits > NEVER).sum())


def encode(tokenizer, texts: Sequence[str], device="cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask (B, L) of texts of different lengths: padded on the left, so that every text ends in
    the last column, where the next token is predicted. Each begins with the tokenizer's begin token where it has one."""
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    rows = [begin + tokenizer.encode(text, add_special_tokens=False) for text in texts]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), _pad(tokenizer))
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for row, tokens in enumerate(rows):
        ids[row, width - len(tokens) :] = torch.tensor(tokens)
        mask[row, width - len(tokens) :] = 1
    return ids.to(device), mask.to(device)


@torch.no_grad()
def next_logits(model, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The logits (B, vocabulary) of the next token, in float32 for any model's dtype, without a cache."""
    positions = None if mask is None else _positions(mask)
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1)
    return out.logits[:, -1].float()


@dataclass(frozen=True)
class Written:
    """What one row wrote: token ids without the end token, and for each of them its surprise in bits, -log2 of the
    probability that the model itself (temperature 1, nothing cut) gave it. `ended`: it wrote the end token."""

    ids: list[int]
    bits: list[float]
    ended: bool


@torch.no_grad()
def write(
    model, ids: torch.Tensor, mask: torch.Tensor, new: int, settings: Sequence[Setting], seed: int = 0,
    end: int | None = None, allow: Callable | None = None,
) -> list[Written]:  # fmt: skip
    """Continue every row of ids (B, L) by at most `new` tokens, each row by its own setting, with a cache.

    Process the logits, softmax, draw, append: that is all of sampling. A row is over when it writes the token `end`.
    `allow(row, written)` gives a mask (vocabulary) of the tokens that may come next, or None for all of them; it is
    applied before everything else. The draws depend on `seed` and on the whole batch. ValueError unless there are as many
    settings as rows."""
    if len(settings) != len(ids):
        raise ValueError(f"There are {len(settings)} settings for {len(ids)} rows: give one for each row.")
    seen, memory, fresh = ids, None, ids
    made: list[list[int]] = [[] for _ in ids]
    bits: list[list[float]] = [[] for _ in ids]
    over = [False] * len(ids)
    groups = {s: [row for row, one in enumerate(settings) if one == s] for s in dict.fromkeys(settings)}
    with torch.random.fork_rng(devices=[ids.device] if ids.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for _ in range(new):
            positions = _positions(mask)[:, -fresh.shape[1] :]
            out = model(input_ids=fresh, attention_mask=mask, position_ids=positions, past_key_values=memory,
                        use_cache=True, logits_to_keep=1)  # fmt: skip
            memory, logits = out.past_key_values, out.logits[:, -1].float()
            own = logits.log_softmax(-1)
            if allow is not None:
                logits = _masked(logits, made, over, allow)
            ready = torch.empty_like(logits)
            for s, rows in groups.items():
                ready[rows] = process(logits[rows], seen[rows], s)
            fresh = torch.multinomial(ready.softmax(-1), 1)  # (B, 1)
            surprise = (-own.gather(-1, fresh) / torch.log(torch.tensor(2.0))).flatten().tolist()
            for row, token in enumerate(fresh.flatten().tolist()):
                if over[row] or token == end:
                    over[row] = True
                else:
                    made[row].append(token)
                    bits[row].append(surprise[row])
            if all(over):
                break
            seen, mask = torch.cat([seen, fresh], 1), torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
    return [Written(*row) for row in zip(made, bits, over, strict=True)]


@dataclass(frozen=True)
class Beam:
    """A finished text of a beam search: its score (sum of log-probabilities / length ** length_penalty), its ids."""

    score: float
    ids: list[int]


@torch.no_grad()
def beam_search(model, ids: torch.Tensor, beams: int, new: int, end: int | None = None, length_penalty: float = 1.0):
    """The best of the texts that a search with `beams` parallel beams finds after ids (1, L): a `Beam`.

    Each step scores every beam followed by every token, and keeps the best. A text that writes `end` leaves the search;
    it is over when no running text can still beat the finished ones, or after `new` tokens. As in
    `model.generate(num_beams=beams)`."""
    running, finished = [(0.0, [])], []  # (sum of log-probabilities, ids written)
    out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    for n in range(1, new + 1):
        log_probs = out.logits[:, -1].float().log_softmax(-1)  # (beams, vocabulary)
        total = log_probs + torch.tensor([[score] for score, _ in running], device=ids.device)
        best = total.flatten().topk(2 * beams)  # twice as many: even if half of them end, enough go on
        goes_on = []
        for rank, (score, place) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            row, token = divmod(place, log_probs.shape[-1])
            text = running[row][1] + [token]
            if token == end or n == new:
                finished += [Beam(score / n**length_penalty, text)] if rank < beams else []
            else:
                goes_on.append((row, (score, text)))
        finished = sorted(finished, key=lambda b: -b.score)[:beams]
        goes_on = goes_on[:beams]
        if n == new or (len(finished) == beams and goes_on[0][1][0] / n**length_penalty <= finished[-1].score):
            break
        rows, running = [row for row, _ in goes_on], [text for _, text in goes_on]
        out.past_key_values.reorder_cache(torch.tensor(rows, device=ids.device))  # each beam takes its parent's cache
        fresh = torch.tensor([[text[-1]] for _, text in running], device=ids.device)
        out = model(input_ids=fresh, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
    return finished[0]


@torch.no_grad()
def log_probability(model, ids: torch.Tensor, written: Sequence[int]) -> float:
    """The sum of the natural log-probabilities of the tokens `written` after ids (1, L)."""
    text = torch.cat([ids, torch.tensor([list(written)], device=ids.device)], 1)
    log_probs = model(input_ids=text, use_cache=False).logits.float().log_softmax(-1)[0, ids.shape[1] - 1 : -1]
    return log_probs.gather(-1, text[0, ids.shape[1] :, None]).sum().item()


def _masked(logits: torch.Tensor, made: list, over: list, allow: Callable) -> torch.Tensor:
    """The logits with -inf where `allow` says no; rows that are over, or without a mask, stay as they are."""
    may = torch.ones_like(logits, dtype=torch.bool)
    for row, written in enumerate(made):
        mask = None if over[row] else allow(row, written)
        if mask is not None:
            may[row] = mask.to(logits.device)
    return logits.masked_fill(~may, NEVER)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token (B, L): padding does not count."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _pad(tokenizer) -> int:
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
