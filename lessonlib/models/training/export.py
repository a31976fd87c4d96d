"""From a checkpoint to a model folder: bf16 weights, tokenizer, the record of the training, and the card made from it."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

from .bpe import to_transformers
from .trainer import Run, evaluate_parts, load_checkpoint

PURPOSE = {
    "mini": "stories in simple English, short functions; small enough for every machine",
    "target": "the course's main model: attention, cache, quantization, sampling",
    "draft": "guesses ahead for `target` in speculative decoding",
    "moe": "mixture of experts: routing, active against total parameters",
}

# What each part of the corpus is, its licence, and the credit it asks for.
SOURCES = {
    "tinystories": ("TinyStories, a subset (R. Eldan and Y. Li; written by GPT-3.5 and GPT-4)", "CDLA-Sharing-1.0"),
    "chitchat": ("Self-dialogue Corpus (J. Fainberg and others)", "BSD-3-Clause"),
    "taskdialog": ("Schema-Guided Dialogue (Google LLC)", "CC BY-SA 4.0"),
    "childbooks": ("nineteenth-century children's books, Project Gutenberg texts (ChiLit)", "public domain"),
    "novels": ("nineteenth-century novels, Project Gutenberg texts", "public domain"),
    "skills": ("drills made for this course: sums, copying, recall, questions, tool calls, functions", "Apache-2.0"),
    "fairytale_qa": ("FairytaleQA", "Apache-2.0"),
    "fairytales": ("folk and fairy tales of FairytaleQA", "Apache-2.0 (texts: public domain)"),
    "trivia": ("OpenTriviaQA", "CC BY-SA 4.0"),
    "python": ("the standard library of CPython 3.11", "PSF-2.0"),
    "fables": ("TinyFabulist, fables written by Mistral-7B, Qwen2.5-7B, SmolLM2-1.7B and Phi-3-mini", "MIT"),
    "sentences": ("Tatoeba and manythings.org, English sentences", "CC BY 2.0"),
    "picturebooks": ("Pratham Books and African Storybook, their authors", "CC BY 4.0 / CC BY / public domain"),
    "simplenews": ("OneStopEnglish corpus", "CC BY-SA 4.0"),
    "orderdialog": ("Taskmaster-4 (Google LLC)", "CC BY 4.0"),
}


def export(run: Run, folder: Path) -> dict:
    """Write the run's last checkpoint to `folder` as a model that transformers opens, with its record and card.

    Everything is written beside and moved into place; an older export is replaced as a whole. Returns the record."""
    import torch
    import transformers

    model, tokenizer, state = load_checkpoint(run)
    record = {
        "name": run.shape.name,
        "purpose": PURPOSE[run.shape.name],
        "parameters": model.num_parameters(),
        "shape": run.shape.record(),
        "seed": run.seed,
        "data_sha256": run.corpus.hash(),
        "tokens_seen": state["tokens"],
        "steps": state["step"],
        "training_minutes": round(state["seconds"] / 60, 1),
        "curve": state["curve"],
        "bits_per_byte": evaluate_parts(model, tokenizer, run.corpus),
        "device": str(run.device),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "date": datetime.date.today().isoformat(),
    }
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    to_transformers(tokenizer).save_pretrained(partial)
    (partial / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (partial / "README.md").write_text(card(record), encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return record


def card(record: dict) -> str:
    """The model card in Markdown, every number taken from the record."""
    shape, bits = record["shape"], record["bits_per_byte"]
    kind = "Mixtral" if shape["experts"] else "Llama"
    lines = [
        f"# {record['name']}",
        "",
        f"{record['purpose'][0].upper()}{record['purpose'][1:]}. A teaching model: it writes, it does not know facts.",
        "",
        "| what | value |",
        "|---|---|",
        f"| parameters | {record['parameters']:,} ({kind} class, tied embeddings) |",
        f"| shape | hidden {shape['hidden']}, {shape['layers']} layers, {shape['heads']} query heads, "
        f"{shape['kv_heads']} key-value heads, head size {shape['hidden'] // shape['heads']}, "
        f"feed-forward {shape['feed_forward']} |",
        f"| context | {shape['context']} positions; trained on windows of {shape['sequence']} tokens |",
        f"| training | {record['tokens_seen']:,} sampled tokens in {record['steps']:,} steps, "
        f"{record['training_minutes']} minutes on {record['device']}, seed {record['seed']}, {record['date']} |",
        f"| versions | {', '.join(f'{k} {v}' for k, v in record['versions'].items())} |",
        f"| data | sha256 {record['data_sha256']} |",
        "| weights licence | Apache-2.0 |",
        "",
        "Held-out text, bits per byte (lower is better; the part was not seen in training, other parts of the same source were):",
        "",
        "| part | bits per byte | in the training mix |",
        "|---|---|---|",
        *(
            f"| {name} | {value:.3f} | {'yes' if name in shape['mix'] else 'all parts' if name == 'all' else 'no'} |"
            for name, value in sorted(bits.items(), key=lambda item: item[1])
        ),
        "",
        "## Limits",
        "",
        "It makes grammatical stories of a few sentences and repeats functions it saw often. It has no reliable recall, no",
        "facts and no reasoning, and was not tuned to be safe: use it to look inside a model, not to ask it things. Positions",
        f"past {shape['sequence']} were never trained, so long inputs show cost and mechanics, not quality.",
        "",
        "## Sources, licences and credits",
        "",
        *(
            f"- {name}: {SOURCES[name][0]}; {SOURCES[name][1]}; share of sampled tokens {weight / sum(shape['mix'].values()):.1%}"
            for name, weight in shape["mix"].items()
        ),
        "",
        "The texts are not shipped, only the weights learned from them. Remake them with `python -m lessonlib.models.training`",
        "and the corpus; `training.json` holds settings, seed, data hash and the loss curve.",
        "",
    ]
    return "\n".join(lines)
