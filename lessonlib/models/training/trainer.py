"""The training loop: packed windows, Muon and AdamW, a schedule by time or tokens, checkpoints that resume exactly."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from .bpe import train_bpe
from .corpus import Corpus, Sampler, pack
from .evaluate import bits_per_byte
from .grow import grow
from .muon import optimisers
from .presets import Preset, config_for

WARM_UP = 0.02  # share of the run
REPORT_EVERY = 20  # steps
BALANCE = 0.05  # weight of the loss that keeps experts evenly used
CHECKS = 12  # looks at held-out text during a run
PATIENCE = 3  # so many without a better score end it, once the rate falls: before that a worse score tells little
CHECK_BYTES = 15_000  # held-out text of each part at such a look


@dataclass
class Run:
    """What to do: `tokens` (of the shape) or `minutes` bounds the run (the sooner one), `bf16` trains under autocast.
    `tokenizer` is a tokenizer.json to take over, so that two models share one vocabulary; without it one is trained.
    `start` and `teacher` are the folders of the models to grow from and to imitate, where the shape names them."""

    shape: Preset
    corpus: Corpus
    out: Path
    device: str = "cpu"
    minutes: float | None = None
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    tokenizer: Path | None = None
    start: Path | None = None
    teacher: Path | None = None
    save_every: float = 120.0  # seconds


def rate(progress: float, decay: float = 0.35) -> float:
    """The share of the peak learning rate at `progress` (0 to 1): warm up, hold, then fall in a line to 2 % over the last
    `decay` of the run."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.05)
    return max(min(1.0, (1 - progress) / max(decay, 1e-9)), 0.02)


def where(device: str) -> dict:
    """The device that trains and the versions of what it runs: an export may be written on another machine."""
    import platform

    import transformers

    from ..device import describe_device

    about = describe_device(device)
    versions = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
    }
    return {"device": f"{about['name']} ({about['device']})", "versions": versions}


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

    The output folder gets tokenizer.json, the token arrays, checkpoint.pt and best.pt (written beside and renamed). The
    state holds step, tokens, seconds, device, versions, the loss curve and `valid`, the looks at held-out text as [tokens,
    bits per byte]; best.pt has the weights of the best look, and the run ends early when, with the rate falling, PATIENCE
    looks brought none better. ValueError when the folder holds a checkpoint and `resume` is false, so that no run is ever
    overwritten."""
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
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True) if checkpoint.exists() else None
    state = saved["state"] if saved else {"step": 0, "tokens": 0, "seconds": 0.0, "curve": []}
    state.setdefault("valid", [])
    state |= where(run.device)
    state["looked"] = min(state.get("looked", 0.0), _progress(state, run))  # a longer budget turns progress back
    model = (_model(shape) if saved or not shape.start else _grown(run, tokenizer)).to(run.device).train()
    made = optimisers(model, shape.muon, shape.adamw, shape.weight_decay)
    if saved:
        _restore(saved, checkpoint, model, made, sampler, run)
    del saved
    window = state.setdefault("window", {"loss": 0.0, "seconds": 0.0, "steps": 0, "tokens": 0})
    forward = torch.compile(model) if run.compile else model
    teacher = load_teacher(run, tokenizer) if shape.distil_share else None
    cast = torch.autocast(torch.device(run.device).type, torch.bfloat16) if run.bf16 else nullcontext()
    started, saved, first_step = time.monotonic() - state["seconds"], time.monotonic(), state["step"]

    while (progress := _progress(state, run)) < 1:
        tick = time.monotonic()
        for optimiser in made:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate(progress, shape.decay)
        sequence = shape.context if progress >= 1 - shape.long_share else shape.sequence
        batch = sampler.batch(max(1, shape.batch * shape.sequence // sequence), sequence)
        rows = torch.from_numpy(batch).to(run.device)
        imitated = teacher if progress >= 1 - shape.distil_share else None
        with cast:
            loss, total = _losses(forward, rows, imitated, shape, model.config)
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
        now = _progress(state, run)
        if int(CHECKS * now) > int(CHECKS * state["looked"]):
            state["looked"] = now
            _check(state, model, tokenizer, run)
            report(f"{shape.name} held-out text: {state['valid'][-1][1]:.4f} bits per byte")
            if progress >= 1 - shape.decay and early(state["valid"]):
                break
        if time.monotonic() - saved > run.save_every:
            _save(checkpoint, model, made, sampler, state, run)
            saved = time.monotonic()
        if stop_after is not None and state["step"] - first_step >= stop_after:
            break
    _save(checkpoint, model, made, sampler, state, run)
    return model.eval(), tokenizer, state


def _losses(forward, rows: torch.Tensor, teacher, shape: Preset, config):
    """(cross-entropy in nats a token, what is minimised) of rows (B, L + 1): with experts the balance of their load is
    added, with a teacher its distribution is the larger part."""
    out = forward(input_ids=rows[:, :-1], use_cache=False)
    logits = out.logits.float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
    routes = getattr(out, "router_logits", None)
    total = loss if routes is None else loss + BALANCE * balance(routes, config.num_experts_per_tok)
    if teacher is not None:
        with torch.no_grad():
            wanted = teacher(input_ids=rows[:, :-1], use_cache=False).logits.float()
        total = (1 - shape.distil_weight) * total + shape.distil_weight * divergence(wanted, logits)
    return loss, total


def balance(routes, chosen: int) -> torch.Tensor:
    """How unevenly routers spread tokens, mean of the layers: experts x sum of (share of the tokens x mean probability),
    1 when even (W. Fedus and others, "Switch Transformers", 2022). `routes` holds a layer's (tokens, experts) logits
    each. Transformers' own loss sums the layers first, so that a layer may starve an expert that another one feeds."""
    layers = []
    for logits in routes:
        probabilities = logits.float().softmax(-1)
        picked = torch.zeros_like(probabilities).scatter(-1, probabilities.topk(chosen, dim=-1).indices, 1 / chosen)
        layers.append(logits.shape[-1] * (picked.mean(0) * probabilities.mean(0)).sum())
    return torch.stack(layers).mean()


def early(valid: list) -> bool:
    """Whether a run is to stop: the best of its looks at held-out text lies PATIENCE or more looks back."""
    scores = [score for _, score in valid]
    return bool(scores) and len(scores) - 1 - scores.index(min(scores)) >= PATIENCE


def _check(state: dict, model, tokenizer, run: Run) -> None:
    """Score some held-out text of each part, weighed as the mix weighs them, and keep the weights if it is the best yet."""
    mix, parts = run.shape.mix, {}
    for name in mix:
        documents, size = [], 0
        for document in run.corpus.documents("valid", name):
            documents.append(document)
            size += len(document.encode())
            if size >= CHECK_BYTES:
                break
        parts[name] = bits_per_byte(model, tokenizer, documents)
    score = sum(mix[name] * bits for name, bits in parts.items()) / sum(mix.values())
    if all(score < before for _, before in state["valid"]):
        _write(run.out / "best.pt", {"model": model.state_dict(), "tokens": state["tokens"]})
    state["valid"].append([state["tokens"], round(score, 4)])


def load_checkpoint(run: Run):
    """The model (eval), tokenizer and state of a run, with the preset it was trained by: the weights are those that did
    best on held-out text, or the last ones of a run too short to have looked."""
    path = run.out / "checkpoint.pt"
    if not path.exists():
        raise ValueError(f"{run.out} holds no checkpoint: train first.")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    shape = _shape(saved)
    best = run.out / "best.pt"
    chosen = saved | saved["state"]
    if best.exists() and saved["state"].get("valid"):
        chosen = torch.load(best, map_location="cpu", weights_only=True)
        saved["state"]["best_tokens"] = chosen["tokens"]
    model = _model(shape)
    model.load_state_dict(chosen["model"])
    return model.to(run.device).eval(), get_tokenizer(run), saved["state"], shape


def divergence(wanted: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Mean KL divergence, in nats a token, from the teacher's distribution to the student's; both (B, L, V) logits."""
    wanted, logits = wanted.flatten(0, 1).log_softmax(-1), logits.flatten(0, 1).log_softmax(-1)
    return torch.nn.functional.kl_div(logits, wanted, reduction="batchmean", log_target=True)


def load_teacher(run: Run, tokenizer):
    """The model to imitate, frozen, or None for a shape that has no teacher."""
    if not run.shape.teacher:
        return None
    teacher = _open_kin(run.teacher, run.shape.teacher, "learns from", "--teacher", tokenizer, run)
    return teacher.to(run.device).eval().requires_grad_(False)


def _open_kin(folder: Path | None, name: str, relation: str, option: str, tokenizer, run: Run):
    """The model in `folder`, in float32; ValueError when it is not there or has another vocabulary than this run."""
    from transformers import AutoModelForCausalLM

    if folder is None or not (folder / "config.json").is_file():
        raise ValueError(
            f"{run.shape.name} {relation} {name}, and there is no model folder {str(folder)!r}: train and export {name} "
            f"first, then give its folder with {option} DIR."
        )
    theirs = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    if theirs != json.loads(tokenizer.to_str())["model"]["vocab"]:
        raise ValueError(
            f"The model {str(folder)!r} has another vocabulary than this run: take over its tokenizer.json with "
            "--tokenizer FILE, in a new --out."
        )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def _model(shape: Preset):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config_for(shape), attn_implementation="sdpa")


def _grown(run: Run, tokenizer):
    """The model to train, grown from the smaller one that the shape names."""
    small = _open_kin(run.start, run.shape.start, "grows from", "--start", tokenizer, run)
    return grow(small, _model(run.shape), run.seed)


def _shape(saved: dict) -> Preset:
    """The preset that a checkpoint was made by; windows of the whole context came after the first of them."""
    return Preset(**{"long_share": 0.0} | json.loads(saved["shape"]))


def _progress(state: dict, run: Run) -> float:
    by_time = state["seconds"] / (run.minutes * 60) if run.minutes else 0.0
    return max(by_time, state["tokens"] / run.shape.tokens)


def _write(path: Path, data: dict) -> None:
    partial = path.with_suffix(".part")
    torch.save(data, partial)
    partial.replace(path)


def _save(path: Path, model, made, sampler, state: dict, run: Run) -> None:
    _write(
        path,
        {
            "model": model.state_dict(),
            "optimisers": [o.state_dict() for o in made],
            "sampler": json.dumps(sampler.state),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "state": state,
            "shape": json.dumps(run.shape.record()),
        },
    )


def _restore(saved: dict, path: Path, model, made, sampler, run: Run) -> None:
    now = run.shape.record()
    was = asdict(_shape(saved))
    free = ("tokens", "decay", "long_share", "distil_share")  # a longer budget may be given, and other shares of it
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
