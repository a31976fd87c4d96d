"""The model card, made from the training record so that its numbers cannot drift."""

from __future__ import annotations

from .presets import MIXES, PRESETS

LICENCE = "Apache-2.0"
PURPOSE = {
    "mini": "stories in simple English, short functions; small enough for every machine",
    "target": "the course's main model: attention, cache, quantization, sampling",
    "draft": "guesses ahead for `target` in speculative decoding",
    "moe": "mixture of experts: routing, active against total parameters",
}

# What each part of the corpus is and who is to be credited, its licence, and where it was taken from.
SOURCES = {
    "tinystories": (
        "TinyStories, a subset (R. Eldan and Y. Li; written by GPT-3.5 and GPT-4)",
        "CDLA-Sharing-1.0",
        "maxme1/tiny-stories@037e886f, ToonTalk/jlens-tinystories@8c6e947e, "
        "mattmegarry/tiny-stories-transformer@71ad35f5, mines-opt-ml/decoding-gpt@79274e31, czhou578/train-gpt2@b213c75b",
    ),
    "chitchat": (
        "Self-dialogue Corpus (J. Fainberg and others), sentences only",
        "BSD-3-Clause",
        "jfainberg/self_dialogue_corpus@113a1b0f",
    ),
    "taskdialog": (
        "Schema-Guided Dialogue (Google LLC), text of the turns",
        "CC BY-SA 4.0",
        "google-research-datasets/dstc8-schema-guided-dialogue@e852981a",
    ),
    "childbooks": (
        "nineteenth-century children's books, Project Gutenberg texts (ChiLit)",
        "public domain",
        "birmingham-ccr/corpora@ae1e53df",
    ),
    "novels": (
        "nineteenth-century novels and other books, Project Gutenberg texts",
        "public domain",
        "birmingham-ccr/corpora@ae1e53df",
    ),
    "skills": ("drills made for this course: sums, copying, recall, questions, tool calls, functions", LICENCE, None),
    "fairytale_qa": (
        "FairytaleQA, tale sections with questions and answers",
        "Apache-2.0",
        "uci-soe/FairytaleQAData@a24ddc17",
    ),
    "fairytales": (
        "FairytaleQA, folk and fairy tales",
        "Apache-2.0 (texts: public domain)",
        "uci-soe/FairytaleQAData@a24ddc17",
    ),
    "trivia": ("OpenTriviaQA, questions with answers", "CC BY-SA 4.0", "uberspot/OpenTriviaQA@dd31530b"),
    "python": ("the standard library of CPython 3.11.7 (Python Software Foundation)", "PSF-2.0", "CPython, Lib/"),
    "fables": (
        "TinyFabulist, fables written by Mistral-7B, Qwen2.5-7B, SmolLM2-1.7B and Phi-3-mini",
        "MIT",
        "klusai/tinyfabulist@1bff173b",
    ),
    "sentences": (
        "English sentences of Tatoeba and manythings.org, 2018-05-13",
        "CC BY 2.0",
        "Hoangduc212001/hoang@2cfd26f9",
    ),
    "picturebooks": (
        "picture-book texts of Pratham Books and African Storybook, by the authors named in the source files",
        "CC BY 4.0, CC BY, public domain",
        "global-asp/pb-source@9ea530df, global-asp/asp-source@99e02236",
    ),
    "simplenews": (
        "OneStopEnglish corpus, elementary and intermediate",
        "CC BY-SA 4.0",
        "nishkalavallabhi/OneStopEnglishCorpus@37f8db39",
    ),
    "orderdialog": (
        "Taskmaster-4 (Google LLC), coffee orders",
        "CC BY 4.0",
        "google-research-datasets/Taskmaster@d92cb6af",
    ),
}


def card(record: dict) -> str:
    """The model card in Markdown, every number taken from the record."""
    sections = [_head(record), _table(record), _scores(record)]
    if record.get("probes"):
        sections += [_probes(record), _samples(record)]
    sections += [_limits(record), _credits(record["shape"])]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _head(record: dict) -> list[str]:
    purpose = record["purpose"]
    return [
        f"# {record['name']}",
        "",
        f"{purpose[0].upper()}{purpose[1:]}. A teaching model: it writes, it does not know facts.",
    ]


def _table(record: dict) -> list[str]:
    shape = record["shape"]
    kind = f"Mixtral class, {shape['experts']} experts" if shape["experts"] else "Llama class"
    windows = f"trained on windows of {shape['sequence']} tokens"
    if shape["long_share"]:
        windows += f", the last {shape['long_share']:.0%} on windows of {shape['context']}"
    steps = []
    if shape.get("start"):
        steps.append(f"grown from `{shape['start']}`")
    if shape.get("distil_share") and shape.get("teacher"):
        steps.append(f"the last {shape['distil_share']:.0%} in imitation of `{shape['teacher']}`")
    return [
        "| what | value |",
        "|---|---|",
        f"| parameters | {record['parameters']:,} ({kind}, tied embeddings), bfloat16 |",
        f"| shape | hidden {shape['hidden']}, {shape['layers']} layers, {shape['heads']} query heads, "
        f"{shape['kv_heads']} key-value heads, head size {shape['hidden'] // shape['heads']}, "
        f"feed-forward {shape['feed_forward']} |",
        f"| context | {shape['context']} positions; {windows} |",
        f"| training | {record['tokens_seen']:,} sampled tokens in {record['steps']:,} steps, "
        f"{record['training_minutes']} minutes, seed {record['seed']}, {record['date']} |",
        *(f"| how | {step} |" for step in ["; ".join(steps)] if step),
        *(f"| changed settings | {text} |" for text in [_changed(shape)] if text),
        *_best(record),
        *(f"| last training loss | {loss:.3f} nats a token |" for _, loss in record["curve"][-1:]),
        f"| device | {record['device']} |",
        f"| versions | {', '.join(f'{name} {version}' for name, version in record['versions'].items())} |",
        f"| corpus | sha256 `{record['data_sha256']}` |",
        f"| weights | {record['licence']}, sha256 `{record['weights_sha256']}` |",
    ]


def _changed(shape: dict) -> str:
    """The settings of the run that are not its preset's, as `--set` takes them."""
    if shape["name"] not in PRESETS:
        return ""
    usual = PRESETS[shape["name"]].record()
    named = {"mix": next((name for name, mix in MIXES.items() if mix == shape["mix"]), "another")}
    changed = [name for name, value in shape.items() if value != usual[name]]
    return ", ".join(f"`{name}={named.get(name, shape[name])}`" for name in changed)


def _best(record: dict) -> list[str]:
    looks = record.get("valid_curve")
    if not looks:
        return []
    best, score = min(looks, key=lambda look: look[1])
    return [
        f"| chosen weights | the best of {len(looks)} looks at held-out text: {score:.3f} bits per byte at {best:,} tokens |"
    ]


# What each probe counts, in the order of the card.
PROBES = {
    "copy_8_words": "8 words copied whole, after one example",
    "pass_key_at_64": "a five-digit pass key recalled after 64 tokens of other text",
    "pass_key_at_128": "... after 128 tokens",
    "pass_key_at_256": "... after 256 tokens",
    "sums_of_2_digits": "sums of two 2-digit numbers, after three examples",
    "json_tool_calls": "JSON tool calls with the right arguments",
    "stories_without_a_loop": "stories of 200 tokens at temperature 0.7 without a loop",
    "best_induction_head": "induction score of the best head (attention to what followed the same token before)",
    "best_previous_token_head": "previous-token score of the best head (attention to the token before)",
    "expert_load_entropy": "evenness of the experts' load (1 is even)",
    "expert_load_shift": "tokens that change experts between kinds of text and their mean",
}


def _probes(record: dict) -> list[str]:
    probes = record["probes"]
    accepted = {name.removeprefix("accepted_"): value for name, value in probes.items() if name.startswith("accepted_")}
    lines = [
        "## What it can do",
        "",
        "Measured by `lessonlib.models.probes` on these weights, greedy unless said: an answer counts when it is right whole.",
        "",
        "| probe | result |",
        "|---|---|",
        *(f"| {what} | {_share(name, probes[name])} |" for name, what in PROBES.items() if name in probes),
    ]
    if accepted:
        teacher = record["shape"]["teacher"]
        lines += [
            "",
            f"As a draft for `{teacher}`, 4 tokens ahead, one call of `{teacher}` yields (1 without a draft, 5 at most):",
            "",
            f"| {' | '.join(accepted)} |",
            f"|{'---|' * len(accepted)}",
            f"| {' | '.join(f'{value:.2f}' for value in accepted.values())} |",
        ]
    return lines


def _samples(record: dict) -> list[str]:
    lines = [
        "## What it writes",
        "",
        "One opening of each kind, at three temperatures, seed 0, nothing chosen by hand:",
        "",
    ]
    for row in record["samples"]:
        text = row["text"].replace("```", "` ` `")  # a model may write the end of the block it is shown in
        lines += [f"Temperature {row['temperature']}:", "", "```text", f"{row['prompt']}▸{text}", "```", ""]
    return lines[:-1]


def _share(name: str, value: float) -> str:
    """Scores as they are, shares of tries in per cent."""
    return f"{value:.2f}" if name.startswith(("best", "expert_load_entropy")) else f"{value:.0%}"


def _scores(record: dict) -> list[str]:
    mix = record["shape"]["mix"]
    rows = sorted(record["bits_per_byte"].items(), key=lambda row: row[1])
    trained = {name: "yes" if name in mix else "all parts together" if name == "all" else "no" for name, _ in rows}
    return [
        "## How well it predicts",
        "",
        "Bits for a byte of held-out text; lower is better. Held out by document: other documents of the same source were",
        "trained on where the last column says so.",
        "",
        "| part | bits per byte | source in the training mix |",
        "|---|---|---|",
        *(f"| {name} | {value:.3f} | {trained[name]} |" for name, value in rows),
    ]


def _limits(record: dict) -> list[str]:
    shape = record["shape"]
    lines = [
        "## Limits",
        "",
        "It makes grammatical stories of a few sentences and repeats functions that it saw often. It may copy from its input,",
        "but has no facts and no reasoning, and was not tuned to be safe: use it to look inside a model, not to ask it things.",
        "A chat is written as lines `User: ...` and `Assistant: ...`, as in the dialogues it saw; the role tokens of the",
        "vocabulary are reserved and untrained. English only. Texts of crowd workers and of other models left their habits.",
    ]
    recipe = PRESETS[shape["name"]].tokens if shape["name"] in PRESETS else shape["tokens"]
    share = record["tokens_seen"] / recipe
    if record["device"].endswith("(cpu)") and share < 1:
        lines.append(
            f"Trained on a processor: {share:.0%} of the {recipe:,} tokens of the recipe. The same "
            "command on a GPU, without the changed settings, finishes the job."
        )
    elif share < 0.95:
        lines.append(
            f"The run ended at {share:.0%} of the {recipe:,} tokens of the recipe: with more time it learns more."
        )
    if not shape["long_share"]:
        lines.append(f"Positions past {shape['sequence']} were never trained: long inputs show mechanics, not quality.")
    return lines


def _credits(shape: dict) -> list[str]:
    total = sum(shape["mix"].values())
    lines = ["## Sources, licences and credits", ""]
    for name, weight in sorted(shape["mix"].items(), key=lambda row: -row[1]):
        what, licence, source = SOURCES.get(name, ("text of one's own", "unknown", None))
        taken = f"; {source}" if source else ""
        lines.append(f"- **{name}**, {weight / total:.1%} of the sampled tokens: {what}. {licence}{taken}.")
    return [
        *lines,
        "",
        "Only the weights learned from these texts are here, not the texts. `training.json` holds the settings, the seed, the",
        "hash of the corpus and the loss curve; `python -m lessonlib.models.training` trains the model again.",
    ]
