"""From a checkpoint to a model folder: bf16 weights, tokenizer, the record of the training, and the card made from it."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from pathlib import Path

from ..probes import PROMPTS, accepted, probe, samples
from .bpe import to_transformers
from .card import LICENCE, PURPOSE, card
from .evaluate import evaluate_parts
from .trainer import Run, load_checkpoint


def export(run: Run, folder: Path) -> dict:
    """Write the run's best weights to `folder` as a model that transformers opens, with its record and card.

    Bits per byte and probes are those of the bf16 weights that are written; a model that learned from a teacher is also
    tried as its draft. Everything is written beside and moved into place;
    an older export is replaced as a whole. Returns the record."""
    import torch

    model, tokenizer, state, shape = load_checkpoint(run)
    model = model.to(torch.bfloat16)
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    to_transformers(tokenizer, shape.context).save_pretrained(partial)
    for path in partial.iterdir():
        path.chmod(0o644)  # safetensors writes for the owner only, and an installed course is read by all
    model = model.float()
    record = {
        "name": shape.name,
        "purpose": PURPOSE.get(shape.name, "a model of one's own"),
        "licence": LICENCE,
        "parameters": model.num_parameters(),
        "shape": shape.record(),
        "seed": run.seed,
        "data_sha256": run.corpus.hash(),
        "tokens_seen": state["tokens"],
        "steps": state["step"],
        "training_minutes": round(state["seconds"] / 60, 1),
        "bits_per_byte": evaluate_parts(model, tokenizer, run.corpus),
        **measure(partial, run.teacher if shape.teacher else None),
        "best_tokens": state.get("best_tokens", state["tokens"]),
        "device": state["device"],
        "versions": state["versions"],
        "date": datetime.date.today().isoformat(),
        "weights_sha256": hashlib.sha256((partial / "model.safetensors").read_bytes()).hexdigest(),
        "valid_curve": state["valid"],
        "curve": state["curve"],
    }
    write(partial, record)
    old = folder.with_name(folder.name + ".old")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return record


def measure(folder: Path, teacher: Path | None = None) -> dict:
    """`probes` and `samples` of an exported model; with the folder of its teacher also the probes `accepted_*`, what it is
    worth as a draft."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def opened(path: Path):
        return AutoModelForCausalLM.from_pretrained(path, dtype="float32", local_files_only=True).eval()

    model, tokenizer = opened(folder), AutoTokenizer.from_pretrained(folder, local_files_only=True)
    probes = probe(model, tokenizer)
    if teacher is not None:
        target = opened(teacher)
        probes |= {f"accepted_{kind}": round(accepted(target, model, tokenizer, kind), 4) for kind in PROMPTS}
    return {"probes": probes, "samples": samples(model, tokenizer)}


def write(folder: Path, record: dict) -> None:
    """Put the record (training.json) and the card made from it (README.md) into a model folder."""
    long = [name for name in ("valid_curve", "curve") if name in record]  # on one line each: the rest stays readable
    text = json.dumps({k: v for k, v in record.items() if k not in long}, indent=1, ensure_ascii=False)
    for name in long:
        curve = json.dumps(record[name], separators=(",", ":"))
        text = text.removesuffix("\n}") + f',\n "{name}": {curve}\n}}'
    text += "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(card(record), encoding="utf-8")
