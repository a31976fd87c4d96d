"""What a setting does to texts: how varied, how repetitive, how surprising they are, and whether code parses; and what
a run of a model repeats exactly and what it does not.

B batch, L length; rows are texts. All counts are over tokens, so they do not depend on how words are spelled."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import sampling
from .sampling import Setting, Written

STORIES = (
    "Once upon a time, there was a little girl named Lily. She",
    "Tom had a big red ball. One day,",
    "The little rabbit lived in the forest. It was very",
    "Sam and his mom went to the park.",
    "One day, a bird sat on a tree and",
    "There was an old man who had a dog.",
)
CODE = (
    "def fibonacci(n):", "def is_even(n):", "def count_vowels(text):", "def maximum(numbers):", "def add(a, b):",
    "def reverse(items):",
)  # fmt: skip
SETTINGS = (
    Setting("greedy", 0),
    Setting("T 0.5", 0.5),
    Setting("T 0.8", 0.8),
    Setting("T 1.0", 1.0),
    Setting("T 1.5", 1.5),
    Setting("T 1.0, top-p 0.9", 1.0, top_p=0.9),
    Setting("T 1.5, min-p 0.1", 1.5, min_p=0.1),
)
MORE_SETTINGS = (
    *SETTINGS,
    Setting("T 0.2", 0.2),
    Setting("T 1.2", 1.2),
    Setting("greedy, penalty 1.2", 0, penalty=1.2),
)
NEW = 96  # tokens a text has at most


def grams(ids: Sequence[int], n: int) -> list[tuple]:
    """All runs of `n` neighbouring tokens, in order."""
    return [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """Distinct-n: different runs of n tokens over all runs in all texts together, 0 to 1. J. Li et al. 2016.

    More or longer texts give smaller values, so compare only groups of one size. NaN where there is no run."""
    runs = [gram for ids in texts for gram in grams(ids, n)]
    return len(set(runs)) / len(runs) if runs else float("nan")


def repeated(ids: Sequence[int], n: int = 4) -> float:
    """The share of the runs of n tokens that stood in the same text before: 0 without repetition, near 1 in a loop."""
    runs = grams(ids, n)
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def first_function(code: str) -> str | None:
    """The lines of `code` from its `def` to the first line that is not indented; None when that never comes."""
    lines = code.split("\n")
    for number, line in enumerate(lines[1:], 1):
        if line.strip() and not line.startswith((" ", "\t")):
            return "\n".join(lines[:number])
    return None


def parses(prompt: str, continuation: str, ended: bool) -> bool:
    """Whether the function that the prompt begins was finished and is Python: read by `ast`, never run.

    It is finished when a line without indentation follows it, or when the model ended the text."""
    code = first_function(prompt + continuation)
    if code is None and ended:
        code = prompt + continuation
    if code is None:
        return False
    try:
        with warnings.catch_warnings():  # odd code makes the parser warn
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.FunctionDef)


@dataclass(frozen=True)
class Quality:
    """What the texts of one setting are like. `distinct` is distinct-2 over the group, `repeated` and `bits` means over
    tokens of the texts, `parses` a share of the texts (None for stories), `sample` the first text."""

    setting: Setting
    kind: str
    distinct: float
    repeated: float
    bits: float
    parses: float | None
    sample: str


def judge(setting: Setting, kind: str, prompts: Sequence[str], texts: Sequence[Written], tokenizer) -> Quality:
    """The quality of the texts that one setting wrote after `prompts`."""
    words = [tokenizer.decode(text.ids) for text in texts]
    bits = [bit for text in texts for bit in text.bits]
    good = [parses(prompt, text, w.ended) for prompt, text, w in zip(prompts, words, texts, strict=True)]
    return Quality(
        setting, kind, distinct([t.ids for t in texts], 2), sum(repeated(t.ids) for t in texts) / len(texts),
        sum(bits) / max(1, len(bits)), sum(good) / len(good) if kind == "code" else None, words[0],
    )  # fmt: skip


def survey(model, tokenizer, settings: Sequence[Setting] = SETTINGS, seed: int = 0, new: int = NEW) -> list[Quality]:
    """Stories and functions by every setting, one batch for each kind (a batch of all takes more memory and no less time);
    two rows (stories, code) for each setting."""
    found = []
    for kind, prompts in {"stories": STORIES, "code": CODE}.items():
        ids, mask = sampling.encode(tokenizer, prompts, model.device)
        many = [setting for setting in settings for _ in prompts]
        ids, mask = ids.repeat(len(settings), 1), mask.repeat(len(settings), 1)
        texts = sampling.write(model, ids, mask, new, many, seed, tokenizer.eos_token_id)
        for number, setting in enumerate(settings):
            mine = texts[number * len(prompts) : (number + 1) * len(prompts)]
            found.append(judge(setting, kind, prompts, mine, tokenizer))
    return found


def metrics(found: Sequence[Quality]) -> dict[str, tuple[str, float]]:
    """{metric: (unit, value)} of a survey, as the record of the benchmark names them."""
    values = {}
    for q in found:
        name = f"{q.kind}_{q.setting.name}".replace(", ", "_").replace(" ", "_").replace("-", "_")
        values[f"{name}_distinct_2"] = ("share", q.distinct)
        values[f"{name}_repeated_4_grams"] = ("share", q.repeated)
        values[f"{name}_surprise"] = ("bits a token", q.bits)
        if q.parses is not None:
            values[f"{name}_parses"] = ("share", q.parses)
    return values


def draw(left, right, found: Sequence[Quality], person: float) -> None:
    """Against temperature, into two axes of matplotlib: surprise (with that of a person's text), and distinct-2 with the
    share of functions that parse. Settings with filters or a penalty are left out."""
    for kind, style in (("stories", "-"), ("code", "--")):
        plain = [q for q in found if q.kind == kind and q.setting == Setting(q.setting.name, q.setting.temperature)]
        plain.sort(key=lambda q: q.setting.temperature)
        heat = [q.setting.temperature for q in plain]
        left.plot(heat, [q.bits for q in plain], style, label=kind)
        right.plot(heat, [q.distinct for q in plain], style, label=f"distinct-2, {kind}")
        if kind == "code":
            right.plot(heat, [q.parses for q in plain], ":", label="code that parses")
    left.axhline(person, color="#717581", linestyle=":", marker="", label="a person's story")
    left.set(xlabel="temperature", ylabel="surprise, bits a token", yscale="log")
    right.set(xlabel="temperature", ylabel="share, 0 to 1", ylim=(0, 1.05))
    left.legend()
    right.legend()


def jobs(metrics: dict) -> list[list[str]]:
    """Which setting for which job: rows (job, setting, evidence), the evidence from the metrics of the stored record."""

    def m(name: str, style: str = ".1f") -> str:
        return format(metrics[name]["median"], style)

    cold, plain, warm = "stories_greedy", "stories_T_0.8", "stories_T_1.0"
    filtered, tamed = "stories_T_1.0_top_p_0.9", "stories_T_1.5_min_p_0.1"
    card, call = "card_of_a_person_T_0.7", "tool_call"
    return [
        ["code, one answer", "T 0 to 0.5",
         f"{m('code_T_0.5_parses', '.0%')} parse; at T 1.2 {m('code_T_1.2_parses', '.0%')}, at T 1.5 "
         f"{m('code_T_1.5_parses', '.0%')}"],
        ["a story", "T 0.8 to 1",
         f"{m(f'{plain}_surprise')} to {m(f'{warm}_surprise')} bits a token around a person's {m('person_surprise')}; greedy "
         f"{m(f'{cold}_surprise')}, T 1.5 {m('stories_T_1.5_surprise')}"],
        ["several different ideas", "T 1 with top-p, or hotter with min-p",
         f"distinct-2 {m(f'{filtered}_distinct_2', '.2f')} and {m(f'{tamed}_distinct_2', '.2f')}, greedy "
         f"{m(f'{cold}_distinct_2', '.2f')}; bits stay at {m(f'{filtered}_surprise')} and {m(f'{tamed}_surprise')}"],
        ["JSON for a program", "mask, low T",
         f"valid {m(f'{card}_valid_with_mask', '.0%')}, without a mask {m(f'{card}_valid_without_mask', '.0%')}; right tool "
         f"calls {m(f'{call}_T_0.7_right_with_mask', '.0%')}, at T 1.5 {m(f'{call}_T_1.5_right_with_mask', '.0%')}"],
        ["a test that must repeat", "greedy, same batch, same machine", "again: no difference; another batch or format: above"],
        ["a text that circles", "higher T, or a penalty",
         f"repeated 4-grams {m('stories_T_0.2_repeated_4_grams', '.1%')} at T 0.2, {m(f'{warm}_repeated_4_grams', '.1%')} at "
         f"T 1; greedy {m(f'{cold}_repeated_4_grams', '.1%')}, with a penalty "
         f"{m(f'{cold}_penalty_1.2_repeated_4_grams', '.1%')}"],
    ]  # fmt: skip


@torch.no_grad()
def surprise(model, tokenizer, text: str) -> float:
    """Mean bits a token of a given text under the model: what a person's text looks like on the same scale."""
    ids, _ = sampling.encode(tokenizer, [text], model.device)
    log_probs = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[0, :-1]
    return -log_probs.gather(-1, ids[0, 1:, None]).mean().item() / torch.log(torch.tensor(2.0)).item()
