"""The training loop: packed windows, Muon and AdamW, a schedule by time or tokens, checkpoints that resume exactly."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .bpe import train_bpe
from .corpus import Corpus, Sampler, pack
from .evaluate import bits_per_byte
from .muon import optimisers
from .presets import Preset, config_for

WARM_UP, DECAY = 0.02, 0.35  # shares of the run


@dataclass
class Run:
    """What to do: `tokens` or `minutes` bounds the run (the sooner one), `bf16` trains under autocast."""

    shape: Preset
    corpus: Corpus
    out: Path
    device: str = "cpu"
    minutes: float | None = None
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    save_every: float = 120.0  # seconds


def rate(progress: float) -> float:
    """The share of the peak learning rate at `progress` (0 to 1): warm up, hold, then fall in a line to 2 %."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.05)
    return max(min(1.0, (1 - progress) / DECAY), 0.02)


def get_tokenizer(run: Run):
    """The run's tokenizer: trained once, then read from the output folder."""
    from tokenizers import Tokenizer

    path = run.out / "tokenizer.json"
    if not path.exists():
        tokenizer = train_bpe(run.corpus, run.shape.mix, seed=run.seed)
        partial = path.with_suffix(".part")
        tokenizer.save(str(partial))
        partial.replace(path)
    return Tokenizer.from_file(str(path))


def train(run: Run, resume: bool = False, report=print, stop_after: int | None = None):
    """Train to the end of the budget; returns the model in eval mode. `stop_after` steps ends early, as a kill would.

    The output folder gets tokenizer.json, checkpoint.pt (atomic) and curve.jsonl. ValueError when the folder holds a
    checkpoint and `resume` is false, so that no run is ever overwritten."""
    from transformers import AutoModelForCausalLM

    run.out.mkdir(parents=True, exist_ok=True)
    checkpoint = run.out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise ValueError(f"{run.out} holds a checkpoint: add --resume to go on with it, or choose another --out.")
    tokenizer = get_tokenizer(run)
    shape = run.shape
    arrays = {name: pack(run.corpus, "train", name, tokenizer, run.out / "tokens") for name in shape.mix}
    sampler = Sampler(arrays, shape.mix, shape.sequence, run.seed)
    torch.manual_seed(run.seed)
    model = AutoModelForCausalLM.from_config(config_for(shape), attn_implementation="sdpa").to(run.device).train()
    made = optimisers(model, shape.muon, shape.adamw, shape.weight_decay)
    state = {"step": 0, "tokens": 0, "seconds": 0.0, "curve": []}
    if checkpoint.exists():
        state = _restore(checkpoint, model, made, sampler, run)
    forward = torch.compile(model) if run.compile else model
    cast = torch.autocast(torch.device(run.device).type, torch.bfloat16) if run.bf16 else nullcontext()
    started, saved, window = time.monotonic() - state["seconds"], time.monotonic(), []
    first_step = state["step"]

    while (progress := _progress(state, run)) < 1:
        tick = time.monotonic()
        for optimiser in made:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate(progress)
        rows = torch.from_numpy(sampler.batch(shape.batch)).to(run.device)
        with cast:
            out = forward(input_ids=rows[:, :-1], use_cache=False)
            loss = torch.nn.functional.cross_entropy(out.logits.float().flatten(0, 1), rows[:, 1:].flatten())
            balance = getattr(out, "aux_loss", None)
            total = loss if balance is None else loss + model.config.router_aux_loss_coef * balance
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in made:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        value = loss.item()
        if not math.isfinite(value):
            raise RuntimeError(f"The loss became {value} at step {state['step']}: lower the learning rate and resume.")
        state["step"] += 1
        state["tokens"] += shape.batch * shape.sequence
        state["seconds"] = time.monotonic() - started
        window.append((value, time.monotonic() - tick))
        if state["step"] % 20 == 0:
            mean = sum(v for v, _ in window) / len(window)
            speed = len(window) * shape.batch * shape.sequence / sum(t for _, t in window)
            state["curve"].append([state["tokens"], round(mean, 4)])
            report(
                f"{shape.name} {progress:6.1%} step {state['step']:>6,} tokens {state['tokens'] / 1e6:7.2f} M "
                f"loss {mean:.3f} {speed:,.0f} tokens/s"
            )
            window = []
        if time.monotonic() - saved > run.save_every:
            _save(checkpoint, model, made, sampler, state, run)
            saved = time.monotonic()
        if stop_after is not None and state["step"] - first_step >= stop_after:
            break
    _save(checkpoint, model, made, sampler, state, run)
    return model.eval(), tokenizer, state


def evaluate_parts(model, tokenizer, corpus: Corpus) -> dict[str, float]:
    """Bits per byte on each held-out part, and over all of them (`all`)."""
    parts, everything = {}, []
    for name in corpus.names("valid"):
        documents = corpus.documents("valid", name)
        everything += documents
        parts[name] = round(bits_per_byte(model, tokenizer, documents), 4)
    parts["all"] = round(bits_per_byte(model, tokenizer, everything), 4)
    return parts


def load_checkpoint(run: Run):
    """The model (eval), tokenizer and state of a run's last checkpoint."""
    from transformers import AutoModelForCausalLM

    path = run.out / "checkpoint.pt"
    if not path.exists():
        raise ValueError(f"{run.out} holds no checkpoint: train first.")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    model = AutoModelForCausalLM.from_config(config_for(run.shape), attn_implementation="sdpa")
    model.load_state_dict(saved["model"])
    return model.to(run.device).eval(), get_tokenizer(run), saved["state"]


def _progress(state: dict, run: Run) -> float:
    by_time = state["seconds"] / (run.minutes * 60) if run.minutes else 0.0
    return max(by_time, state["tokens"] / run.shape.tokens)


def _save(path: Path, model, made, sampler, state: dict, run: Run) -> None:
    partial = path.with_suffix(".part")
    torch.save(
        {
            "model": model.state_dict(),
            "optimisers": [o.state_dict() for o in made],
            "sampler": json.dumps(sampler.state),
            "torch_rng": torch.get_rng_state(),
            "state": state,
            "shape": json.dumps(run.shape.record()),
        },
        partial,
    )
    partial.replace(path)


def _restore(path: Path, model, made, sampler, run: Run) -> dict:
    saved = torch.load(path, map_location="cpu", weights_only=True)
    was = json.loads(saved["shape"])
    now = replace(run.shape, tokens=was["tokens"]).record()  # a longer budget may be given on resuming
    if was != now:
        changed = ", ".join(k for k in now if now[k] != was.get(k))
        raise ValueError(f"The checkpoint {path} was made with other settings ({changed}): use another --out.")
    model.load_state_dict(saved["model"])
    for optimiser, state in zip(made, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    sampler.state = json.loads(saved["sampler"])
    torch.set_rng_state(saved["torch_rng"])
    return saved["state"]
