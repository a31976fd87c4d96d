"""The training loop: packed windows, Muon and AdamW, a schedule by time or tokens, checkpoints that resume exactly."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from .bpe import train_bpe
from .corpus import Corpus, Sampler, pack
from .muon import optimisers
from .presets import Preset, config_for

WARM_UP, DECAY = 0.02, 0.35  # shares of the run
REPORT_EVERY = 20  # steps


@dataclass
class Run:
    """What to do: `tokens` (of the shape) or `minutes` bounds the run (the sooner one), `bf16` trains under autocast.
    `tokenizer` is a tokenizer.json to take over, so that two models share one vocabulary; without it one is trained."""

    shape: Preset
    corpus: Corpus
    out: Path
    device: str = "cpu"
    minutes: float | None = None
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    tokenizer: Path | None = None
    save_every: float = 120.0  # seconds


def rate(progress: float) -> float:
    """The share of the peak learning rate at `progress` (0 to 1): warm up, hold, then fall in a line to 2 %."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.05)
    return max(min(1.0, (1 - progress) / DECAY), 0.02)


def get_tokenizer(run: Run):
    """The run's tokenizer: taken over or trained once, then read from the output folder."""
    from tokenizers import Tokenizer

    path = run.out / "tokenizer.json"
    if not path.exists():
        if run.tokenizer and not run.tokenizer.is_file():
            raise ValueError(
                f"There is no tokenizer file {str(run.tokenizer)!r}: give a tokenizer.json, or leave it out."
            )
        tokenizer = Tokenizer.from_file(str(run.tokenizer)) if run.tokenizer else None
        tokenizer = tokenizer or train_bpe(run.corpus, run.shape.mix, seed=run.seed)
        partial = path.with_suffix(".part")
        tokenizer.save(str(partial))
        partial.replace(path)
    return Tokenizer.from_file(str(path))


def train(run: Run, resume: bool = False, report=print, stop_after: int | None = None):
    """Train to the end of the budget; returns (model in eval mode, tokenizers.Tokenizer, state). `stop_after` steps ends
    early, as a kill right after a checkpoint would.

    The output folder gets tokenizer.json, the token arrays and checkpoint.pt (written beside and renamed), whose state
    holds step, tokens, seconds and the loss curve. ValueError when the folder holds a checkpoint and `resume` is false,
    so that no run is ever overwritten."""
    from transformers import AutoModelForCausalLM

    run.out.mkdir(parents=True, exist_ok=True)
    checkpoint = run.out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise ValueError(f"{run.out} holds a checkpoint: add --resume to go on with it, or choose another --out.")
    tokenizer = get_tokenizer(run)
    shape = run.shape
    arrays = {name: pack(run.corpus, "train", name, tokenizer, run.out / "tokens") for name in shape.mix}
    longest = shape.context if shape.long_share else shape.sequence
    sampler = Sampler(arrays, shape.mix, longest, run.seed)
    torch.manual_seed(run.seed)
    model = AutoModelForCausalLM.from_config(config_for(shape), attn_implementation="sdpa").to(run.device).train()
    made = optimisers(model, shape.muon, shape.adamw, shape.weight_decay)
    state = {"step": 0, "tokens": 0, "seconds": 0.0, "curve": []}
    if checkpoint.exists():
        state = _restore(checkpoint, model, made, sampler, run)
    window = state.setdefault("window", {"loss": 0.0, "seconds": 0.0, "steps": 0, "tokens": 0})
    forward = torch.compile(model) if run.compile else model
    cast = torch.autocast(torch.device(run.device).type, torch.bfloat16) if run.bf16 else nullcontext()
    started, saved, first_step = time.monotonic() - state["seconds"], time.monotonic(), state["step"]

    while (progress := _progress(state, run)) < 1:
        tick = time.monotonic()
        for optimiser in made:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate(progress)
        sequence = shape.context if progress >= 1 - shape.long_share else shape.sequence
        batch = sampler.batch(max(1, shape.batch * shape.sequence // sequence), sequence)
        rows = torch.from_numpy(batch).to(run.device)
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
            raise ValueError(f"The loss became {value} at step {state['step']}: lower the learning rate and resume.")
        tokens = rows.shape[0] * sequence
        state["step"] += 1
        state["tokens"] += tokens
        state["seconds"] = time.monotonic() - started
        for key, more in (("loss", value), ("seconds", time.monotonic() - tick), ("steps", 1), ("tokens", tokens)):
            window[key] += more
        if state["step"] % REPORT_EVERY == 0:
            mean = window["loss"] / window["steps"]
            state["curve"].append([state["tokens"], round(mean, 4)])
            report(
                f"{shape.name} {progress:6.1%} step {state['step']:>6,} tokens {state['tokens'] / 1e6:7.2f} M "
                f"loss {mean:.3f} {window['tokens'] / window['seconds']:,.0f} tokens/s"
            )
            window.update(loss=0.0, seconds=0.0, steps=0, tokens=0)
        if time.monotonic() - saved > run.save_every:
            _save(checkpoint, model, made, sampler, state, run)
            saved = time.monotonic()
        if stop_after is not None and state["step"] - first_step >= stop_after:
            break
    _save(checkpoint, model, made, sampler, state, run)
    return model.eval(), tokenizer, state


def load_checkpoint(run: Run):
    """The model (eval), tokenizer and state of a run's last checkpoint, with the preset it was trained by."""
    from transformers import AutoModelForCausalLM

    path = run.out / "checkpoint.pt"
    if not path.exists():
        raise ValueError(f"{run.out} holds no checkpoint: train first.")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    shape = Preset(**{"long_share": 0.0} | json.loads(saved["shape"]))
    model = AutoModelForCausalLM.from_config(config_for(shape), attn_implementation="sdpa")
    model.load_state_dict(saved["model"])
    return model.to(run.device).eval(), get_tokenizer(run), saved["state"], shape


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
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "state": state,
            "shape": json.dumps(run.shape.record()),
        },
        partial,
    )
    partial.replace(path)


def _restore(path: Path, model, made, sampler, run: Run) -> dict:
    saved = torch.load(path, map_location="cpu", weights_only=True)
    was, now = {"long_share": 0.0} | json.loads(saved["shape"]), run.shape.record()
    free = ("tokens", "long_share")  # a longer budget may be given, and long windows for what is left of it
    changed = [key for key in now if now[key] != was.get(key) and key not in free]
    if changed:
        raise ValueError(
            f"The checkpoint {path} was made with other settings ({', '.join(changed)}): use another --out."
        )
    model.load_state_dict(saved["model"])
    for optimiser, state in zip(made, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    sampler.state = json.loads(saved["sampler"])
    torch.set_rng_state(saved["torch_rng"])
    if saved.get("cuda_rng") and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda_rng"])
    return saved["state"]
