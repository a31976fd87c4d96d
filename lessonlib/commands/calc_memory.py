"""`lessonlib calc kv | vram | training`: how much memory a cache, a model on its GPUs, and its training take."""

from __future__ import annotations

from pathlib import Path

from ..calc import architecture, cache, training, units, vram, weights
from ..calc.breakdown import Breakdown, in_units
from ..calc.formats import weight_format
from ..facts import catalog
from .arguments import command, count, number, read_config, source_line, unused

PLAIN_SOURCE = "the numbers given"
MOST_LAYERS = 10_000  # each is listed by its kind
MARK = {True: "fits", False: "does not fit"}


def add(subparsers) -> None:
    """Register the three commands."""
    _add_vram(subparsers)
    _add_kv(subparsers)
    _add_training(subparsers)


# Which model


def _add_model(one) -> None:
    one.add_argument("--model", metavar="NAME", help="a model of the fact base, in any spelling")
    one.add_argument("--config", metavar="FILE", help="a config.json of Hugging Face instead")


def _model(args, plain: str, given: bool = False):
    """(model, name, source, as_of) of --model or --config; None when plain numbers are `given` instead. ValueError when
    there are none or several; `plain` names the options of the plain numbers."""
    chosen = [option for option in ("model", "config") if getattr(args, option) is not None]
    if len(chosen) + given != 1:
        problem = "too many descriptions of the model" if chosen else "which model? Nothing describes it"
        raise ValueError(f"{problem}: give exactly one of --model NAME, --config FILE, or {plain}.")
    if given:
        return None
    if args.model is not None:
        found = catalog.model(args.model)
        return found, found.name, found.source, found.as_of
    found = architecture.from_config(read_config(args.config))
    return found, Path(args.config).name, f"the configuration in {Path(args.config).name}", None


def _needed(args, *options: str) -> None:
    missing = [f"--{option.replace('_', '-')}" for option in options if getattr(args, option) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing: plain numbers need all of them.")


# kv


def _add_kv(subparsers) -> None:
    one = command(subparsers, "kv", "bytes of a key-value cache", "--model qwen2.5-coder-32b --tokens 50000")
    _add_model(one)
    one.add_argument("--layers", type=count, help="plain numbers: layers with a cache")
    one.add_argument("--kv-heads", type=count, help="plain numbers: key-value heads")
    one.add_argument("--head-dim", type=count, help="plain numbers: values of a head")
    one.add_argument("--window-layers", type=count, default=0, help="plain numbers: layers that see only a window")
    one.add_argument("--window", type=count, help="plain numbers: tokens of that window")
    one.add_argument("--tokens", type=count, required=True, help="tokens of each sequence: 50000, 128k, 128Ki")
    one.add_argument("--batch", type=count, default=1, help="sequences at once (default 1)")
    one.add_argument(
        "--dtype", "--cache-dtype", default="bf16", help=f"one of {', '.join(cache.DTYPES)}, or bytes a value"
    )
    one.add_argument("--group", type=count, help="count a 16-bit scale and zero for so many quantized values")
    one.add_argument("--block", type=count, default=1, help="round a sequence up to such blocks (16 in vLLM)")
    one.set_defaults(run=run_kv)


def run_kv(args) -> tuple[dict, str]:
    """Bytes of a cache, in total, by part and for each token."""
    plain = any(getattr(args, name) is not None for name in ("layers", "kv_heads", "head_dim"))
    found = _model(args, "--layers, --kv-heads and --head-dim", plain)
    if not (plain and args.window_layers):
        unused(args, "without --window-layers" if plain else "with --model or --config", "window")
    if found is None:
        _needed(args, "layers", "kv_heads", "head_dim")
        model, name, source, as_of = _plain_shape(args), "plain numbers", PLAIN_SOURCE, None
    else:
        unused(args, "with --model or --config", "window_layers")
        model, name, source, as_of = found
    dtype = _dtype(args.dtype)
    options = dict(group=args.group, block=args.block)
    kept = cache.cache(model, args.tokens, args.batch, dtype, **options)
    each = cache.bytes_per_token(model, dtype, group=args.group)
    words = cache.formula(model, args.tokens, args.batch, dtype, **options)
    payload = {"model": name, "tokens": args.tokens, "batch": args.batch, "dtype": args.dtype}
    payload |= kept.as_dict() | {"bytes_per_token": each, "fixed_bytes": cache.fixed_bytes(model)}
    trained = architecture.fields(model)("max_context")
    payload |= {"trained_context": trained, "formula": words, "source": source, "as_of": as_of}
    rows = [(part.replace("_", " "), units.format_bytes(size)) for part, size in kept.items()] if len(kept) > 1 else []
    rows += [("cache", units.format_bytes(kept.total)), ("each further token", f"{each:,} bytes")]
    head = f"{name}, {args.batch} x {args.tokens:,} tokens, {args.dtype}"
    lines = [head, _rows(rows), words]
    if trained and args.tokens > trained:
        lines.append(f"That is memory alone: the model is made for at most {trained:,} tokens.")
    return payload, "\n".join([*lines, *kept.notes, _kv_mistake(model, kept, args, dtype), source_line(source, as_of)])


def _plain_shape(args) -> dict:
    if args.layers > MOST_LAYERS:
        raise ValueError(
            f"--layers is {args.layers:,}, but the deepest models have about a hundred: {MOST_LAYERS:,} at most."
        )
    shape = dict(layers=args.layers, kv_heads=args.kv_heads, head_dim=args.head_dim)
    if args.window_layers:
        _needed(args, "window")
        if args.window_layers > args.layers:
            raise ValueError(f"--window-layers is {args.window_layers}, but there are only {args.layers} layers.")
        kinds = ["full_attention"] * (args.layers - args.window_layers) + ["sliding_attention"] * args.window_layers
        shape |= dict(window_layers=args.window_layers, attention_window=args.window, layer_types=kinds)
    return shape


def _dtype(text: str):
    try:
        return float(text)
    except ValueError:
        return text


def _kv_mistake(model, kept: Breakdown, args, dtype) -> str:
    """The mistake that people make with this kind of cache, in numbers."""
    shape = cache.attention(model)
    heads = architecture.fields(model)("attention_heads")
    if "window" in shape.kinds and args.tokens > shape.window:
        value = cache.value_bytes(dtype, args.group)
        wrong = float(2 * len(shape.kinds) * shape.kv_heads * shape.head_dim * args.tokens * args.batch * value)
        return (
            f"Common mistake: all layers times all tokens, {units.format_bytes(wrong)}; most layers keep a window only."
        )
    if shape.latent:
        return "Common mistake: keys and values of every head; latent attention keeps one vector and one key a token."
    if "state" in shape.kinds:
        full = shape.kinds.count("full")
        return f"Common mistake: all {len(shape.kinds)} layers; only {full} keep keys and values, others a fixed state."
    if heads and heads > shape.kv_heads:
        wrong = kept.total * heads / shape.kv_heads
        return (
            f"Common mistake: the {heads} query heads instead of the {shape.kv_heads} key-value heads, "
            f"{units.format_bytes(wrong)}."
        )
    return "Common mistake: only K or only V, half of the truth; both are kept."


# vram


def _add_vram(subparsers) -> None:
    example = "--model qwen2.5-coder-32b --format awq --tokens 32k --card rtx-4090"
    one = command(subparsers, "vram", "memory of a model on its GPUs, and the cards that hold it", example)
    _add_model(one)
    one.add_argument("--parameters", type=count, help="plain numbers: parameters (32e9), the source lesson's rule")
    one.add_argument("--bits", type=number, help="plain numbers: bits of a weight")
    one.add_argument("--factor", type=number, default=1.1, help="plain numbers: times the weights (default 1.1)")
    one.add_argument("--extra-gb", type=number, default=2, help="plain numbers: GB on top (default 2)")
    one.add_argument("--format", default="bf16", help="of the weights: bf16, fp8, awq, nf4, Q4_K_M ... (default bf16)")
    one.add_argument("--tokens", type=count, default=8192, help="tokens of each sequence (default 8192)")
    one.add_argument("--batch", type=count, default=1, help="sequences at once (default 1)")
    one.add_argument("--cache-dtype", default="bf16", help="of the cache (default bf16)")
    one.add_argument("--card", metavar="NAME", help="a GPU of the fact base; all of them without")
    one.add_argument("--gpus", type=count, help="GPUs together: tensor parallel, unless --pp divides them")
    one.add_argument("--tp", type=count, help="tensor-parallel GPUs")
    one.add_argument("--pp", type=count, default=1, help="pipeline stages (default 1)")
    one.add_argument("--utilization", type=number, default=vram.UTILIZATION, help="share of a card (default 0.9)")
    one.add_argument("--chunk", type=count, default=vram.CHUNK, help="tokens of one prefill step (default 2048)")
    one.add_argument(
        "--context-gb", type=number, default=vram.CUDA_CONTEXT / units.GB, help="CUDA context of a GPU (default 0.6)"
    )
    one.set_defaults(run=run_vram)


def run_vram(args) -> tuple[dict, str]:
    """Memory of each GPU by part, which cards hold it, and how long its context can be there."""
    plain = args.parameters is not None or args.bits is not None
    found = _model(args, "--parameters and --bits", plain)
    if found is None:
        return _estimate(args)
    unused(args, "with --model or --config", "factor", "extra_gb")
    model, name, source, as_of = found
    tp = _tp(args)
    form = weight_format(args.format)
    same = dict(format=form, cache_dtype=_dtype(args.cache_dtype), tp=tp, pp=args.pp, chunk=args.chunk)
    same |= dict(context=args.context_gb * units.GB)
    split = vram.vram(model, args.tokens, args.batch, **same)
    worst, gpus = split.worst, tp * args.pp
    cards = [_card(card, model, split, args, same) for card in _cards(args)]
    whole_cache = cache.cache(model, args.tokens, args.batch, same["cache_dtype"])
    bits = weights.bits_per_parameter(model, form)
    n = architecture.parameters(model)
    words = [f"weights: {n:,} parameters x {bits:.4g} bits / 8 = {weights.weights(model, form).total:,} bytes"]
    words += [
        f"cache: {line}" for line in cache.formula(model, args.tokens, args.batch, same["cache_dtype"]).split("\n")
    ]
    payload = {"model": name, "tokens": args.tokens, "batch": args.batch, "format": form.name}
    payload |= {"cache_dtype": args.cache_dtype, "tp": tp, "pp": args.pp, "utilization": args.utilization}
    payload |= worst.as_dict() | {"gpus": [gpu.as_dict() for gpu in split.gpus], "layers": list(split.stages)}
    payload |= {"total": in_units(split.total, "bytes"), "weights": weights.weights(model, form).as_dict()}
    active = weights.weights(model, form, active=True).total
    payload |= {"active_weights": in_units(active, "bytes")}
    if weights.active_share(model) < 1:
        words.append(f"active: one token passes {active:,} bytes of weights, with the experts of its router")
    payload |= {"cache": whole_cache.as_dict(), "replicated": split.replicated, "padding": split.padding}
    payload |= {"cards": cards, "formula": "\n".join(words), "source": source, "as_of": as_of}
    where = f"each of {gpus} GPUs" if len(set(g.total for g in split.gpus)) == 1 and gpus > 1 else "the fullest GPU"
    title = f"{name}, {form.name}, {args.batch} x {args.tokens:,} tokens, {gpus} GPU{'s' * (gpus > 1)}: {where}"
    rows = [(part.replace("_", " "), units.format_bytes(size)) for part, size in worst.items() if size]
    rows.append(("total", units.format_bytes(worst.total)))
    lines = [title.replace("1 GPU: the fullest GPU", "1 GPU"), _rows(rows), *words, *split.notes]
    lines += [_card_line(card, gpus) for card in cards]
    trained = architecture.fields(model)("max_context")
    payload["trained_context"] = trained
    if trained:
        lines.append(f"That is memory alone: the model is made for at most {trained:,} tokens.")
    if args.card is None:
        lines.append(_cheapest(model, args, same, payload))
    return payload, "\n".join([*lines, _vram_mistake(split, gpus), source_line(source, as_of)])


def _tp(args) -> int:
    if args.gpus is None:
        return 1 if args.tp is None else args.tp
    if not args.pp or args.gpus % args.pp:
        raise ValueError(f"--gpus {args.gpus} cannot be cut into --pp {args.pp} stages: it must divide.")
    if args.tp is not None and args.tp * args.pp != args.gpus:
        raise ValueError(f"--gpus is {args.gpus}, but --tp {args.tp} x --pp {args.pp} makes {args.tp * args.pp}.")
    return args.gpus // args.pp


def _cards(args) -> list:
    found = [catalog.gpu(args.card)] if args.card is not None else [c for c in catalog.gpus() if not c.get("gpus")]
    unknown = [card.name for card in found if not card.get("vram_gb")]
    if args.card is not None and unknown:
        raise ValueError(f"The fact base has no memory size for {unknown[0]}: choose another --card.")
    return [card for card in found if card.get("vram_gb")]


def _gib(card) -> float:
    return card.vram_gb / (card.get("gpus") or 1)


def _card(card, model, split, args, same) -> dict:
    options = {**same, "utilization": args.utilization}
    usable = vram.usable_bytes(_gib(card), args.utilization)
    row = {"card": card.name, "gib": _gib(card), "usable": in_units(usable, "bytes")}
    row |= {"fits": split.fits(_gib(card), args.utilization)}
    try:
        row["largest_context"] = vram.largest_context(model, _gib(card), args.batch, **options)
    except ValueError:  # its cache stops growing: any context fits, or none
        row["largest_context"] = None if row["fits"] else 0
    row["largest_batch"] = vram.largest_batch(model, _gib(card), args.tokens, **options)
    return row


def _card_line(card: dict, gpus: int) -> str:
    times = f"{gpus} x " if gpus > 1 else ""
    longest = "any" if card["largest_context"] is None else f"{card['largest_context']:,}"
    return (
        f"{times}{card['card']} ({card['usable']['GB']:.1f} GB usable): {MARK[card['fits']]}; "
        f"longest context {longest} tokens, most sequences {card['largest_batch']:,}"
    )


def _cheapest(model, args, same, payload) -> str:
    options = dict(chunk=same["chunk"], context=same["context"], utilization=args.utilization)
    ranked = vram.cheapest(
        model, catalog.gpus(), args.tokens, args.batch, same["format"], same["cache_dtype"], **options
    )
    payload["cheapest"] = [vars(choice) for choice in ranked]
    best = next((c for c in ranked if c.fits and c.price_usd is not None), None)
    if best is None:
        return "No card of the fact base with a price holds this."
    return f"Cheapest of the fact base: {best.gpus} x {best.card}, {best.price_usd:,} USD ({best.price_as_of})."


def _vram_mistake(split, gpus: int) -> str:
    worst = split.worst
    if gpus > 1:
        wrong = units.format_bytes(_once(split, gpus))
        return f"Common mistake: all of one GPU divided by {gpus}, {wrong}; context and buffers repeat on every GPU."
    rest = worst.total - worst["weights"]
    return f"Common mistake: the weights alone; cache, buffers and context add {units.format_bytes(rest)}."


def _once(split, gpus: int) -> float:
    """What a GPU would hold if everything divided."""
    shared = sum(gpu["weights"] + gpu["cache"] for gpu in split.gpus)
    first = split.gpus[-1]
    return (shared + first["activations"] + first["logits"] + first["cuda_context"]) / gpus


def _estimate(args) -> tuple[dict, str]:
    """The source lesson's rule for plain numbers."""
    _needed(args, "parameters", "bits")
    unused(args, "with plain numbers", "format", "tokens", "batch", "cache_dtype", "chunk", "context_gb")
    found = vram.estimator(args.parameters, args.bits, args.factor, args.extra_gb * units.GB)
    if _tp(args) * args.pp != 1:
        raise ValueError("Plain numbers describe one GPU: a split over several needs --model or --config.")
    words = (
        f"{args.parameters:,} parameters x {args.bits:g} bits / 8 x {args.factor:g} + {args.extra_gb:g} GB "
        f"= {found.total:,} bytes"
    )
    payload = {"model": "plain numbers", "parameters": args.parameters, "bits": args.bits, "factor": args.factor}
    payload |= found.as_dict() | {"formula": words, "source": "the source lesson's estimator", "as_of": None}
    cards = [
        {
            "card": card.name,
            "usable": in_units(vram.usable_bytes(_gib(card), args.utilization), "bytes"),
            "fits": found.total <= vram.usable_bytes(_gib(card), args.utilization),
        }
        for card in _cards(args)
    ]
    payload["cards"] = cards
    rows = [(part, units.format_bytes(size)) for part, size in found.items()]
    lines = [_rows([*rows, ("total", units.format_bytes(found.total))]), words]
    lines += [f"{c['card']} ({c['usable']['GB']:.1f} GB usable): {MARK[c['fits']]}" for c in cards]
    lines.append("A rule of thumb: it knows no cache of your text and no layout of a file; --model does.")
    return payload, "\n".join(lines)


# training


def _add_training(subparsers) -> None:
    one = command(subparsers, "training", "memory to train a model", "--model qwen2.5-coder-32b --method qlora")
    _add_model(one)
    one.add_argument("--parameters", type=count, help="plain numbers: parameters; full fine-tuning, no activations")
    one.add_argument("--method", default="full", help=f"one of {', '.join(training.METHODS)} (default full)")
    one.add_argument("--tokens", type=count, default=2048, help="tokens of a sequence (default 2048)")
    one.add_argument("--batch", type=count, default=1, help="sequences of a step (default 1)")
    one.add_argument("--rank", type=count, default=16, help="of LoRA (default 16)")
    one.add_argument(
        "--targets", nargs="+", default=["all-linear"], help="of LoRA: all-linear, attention, mlp, q, v ..."
    )
    one.add_argument("--optimizer", default="adamw", help=f"one of {', '.join(training.OPTIMIZERS)} (default adamw)")
    one.add_argument(
        "--checkpointing", default="full", help=f"one of {', '.join(training.CHECKPOINTING)} (default full)"
    )
    one.add_argument("--no-flash", action="store_true", help="a kernel that keeps the attention matrix")
    one.add_argument("--no-master", action="store_true", help="no 32-bit copy of the weights")
    one.set_defaults(run=run_training)


def run_training(args) -> tuple[dict, str]:
    """Memory of training by part."""
    found = _model(args, "--parameters", args.parameters is not None)
    payload = {"method": args.method, "optimizer": args.optimizer}
    if found is None:
        if args.method != "full":
            raise ValueError(f"--method {args.method} needs --model or --config: an adapter stands beside matrices.")
        unused(args, "with plain numbers", "tokens", "batch", "rank", "targets", "checkpointing", "no_flash")
        needed, name, source, as_of = (
            training.flat(args.parameters, args.optimizer, not args.no_master), "plain numbers", PLAIN_SOURCE, None,
        )  # fmt: skip
        n, weight = args.parameters, needed["weights"]
    else:
        model, name, source, as_of = found
        unused(args, f"with --method {args.method}", *(["rank", "targets"] if args.method == "full" else ["no_master"]))
        payload |= {"tokens": args.tokens, "batch": args.batch}
        needed = training.training(
            model, args.method, tokens=args.tokens, batch=args.batch, rank=args.rank, targets=args.targets,
            optimizer=args.optimizer, checkpointing=args.checkpointing, flash=not args.no_flash, master=not args.no_master,
        )  # fmt: skip
        n, weight = architecture.parameters(model), needed["weights"]
    payload = {"model": name} | payload | needed.as_dict()
    words = f"{needed['weights']:,} bytes of weights"
    if args.method == "full":
        fixed = sum(value for part, value in needed.items() if part not in ("activations", "logits"))
        words = f"{n:,} parameters x {fixed / n:.4g} bytes = {fixed:,} bytes, without activations"
    elif found is not None:
        added = training.adapter(found[0], args.rank, args.targets)
        payload["adapter_parameters"] = added.parameters
        words = f"{added.parameters:,} adapter parameters: rank {args.rank} x (rows + columns) of each matrix"
    payload |= {"formula": words, "source": source, "as_of": as_of}
    rows = [(part.replace("_", " "), units.format_bytes(size)) for part, size in needed.items()]
    size = f"{args.batch} x {args.tokens:,} tokens, " if found is not None else ""
    title = f"{name}, {args.method}, {size}{args.optimizer}"
    mistake = (
        f"Common mistake: the weights alone, {units.format_bytes(weight)}; gradients and optimizer state come on top."
    )
    lines = [
        title,
        _rows([*rows, ("total", units.format_bytes(needed.total))]),
        words,
        mistake,
        source_line(source, as_of),
    ]
    return payload, "\n".join(lines)


def _rows(rows) -> str:
    wide = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{wide}}  {value}" for name, value in rows)
