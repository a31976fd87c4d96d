"""`lessonlib calc tokens | context | throughput | cost | switch`: texts, windows, speed, money and waiting."""

from __future__ import annotations

from pathlib import Path

from ..calc import context, cost, switching, throughput, tokens, weights
from ..calc.units import format_bytes
from ..facts import catalog
from .arguments import Mistake, command, count, number, pair, source_line, unused

ROOFLINE_ONLY = (
    "format", "cache_format", "prompt", "batch", "bandwidth_efficiency", "compute_efficiency", "link_gbs",
    "link_latency_us",
)  # fmt: skip
TOKENS_ONLY = (
    "price", "input", "output", "ratio", "tokens_per_day", "days", "node_usd_month", "node_tokens_per_s",
    "own_usd_per_million",
)  # fmt: skip


def add(subparsers) -> None:
    """Register the five commands."""
    _add_tokens(subparsers)
    _add_context(subparsers)
    _add_throughput(subparsers)
    _add_cost(subparsers)
    _add_switch(subparsers)


def _add_tokens(subparsers) -> None:
    one = command(subparsers, "tokens", "estimate the tokens of a text", '--text "Hello, world!"')
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="the text itself")
    source.add_argument("--file", help="a UTF-8 text file")
    source.add_argument("--characters", type=count, help="only the number of characters", metavar="N")
    source.add_argument("--words", type=count, help="only the number of words", metavar="N")
    one.add_argument(
        "--characters-per-token", type=number, default=4, help="4 for prose (default), 3 for code", metavar="N"
    )
    one.add_argument(
        "--measured", type=count, help="a tokenizer's count, to see the error of the estimate", metavar="N"
    )
    one.set_defaults(run=run_tokens)


def run_tokens(args) -> tuple[dict, str]:
    """The size of a text in every unit, and the estimate."""
    if args.text is not None or args.file is not None:
        text = args.text if args.text is not None else _read(args.file)
        size = tokens.text_size(text, characters_per_token=args.characters_per_token)
        payload = {"characters": size.characters, "words": size.words, "utf8_bytes": size.utf8_bytes}
        payload |= {"estimate": size.estimate, "most_possible": size.utf8_bytes}
    elif args.characters is not None:
        estimate = tokens.rule_of_thumb(args.characters, args.characters_per_token)
        payload = {"characters": args.characters, "estimate": estimate}
    else:
        unused(args, "with --words", "characters_per_token")
        payload = {"words": args.words, "estimate": tokens.from_words(args.words)}
    if args.measured is not None:
        payload["measured"] = args.measured
        payload["relative_error"] = tokens.relative_error(payload["estimate"], args.measured)
    rows = [(_words(name), f"{value:,}") for name, value in payload.items() if name != "relative_error"]
    if "relative_error" in payload:
        rows.append(("relative error", f"{payload['relative_error']:+.1%}"))
    return payload, _rows(
        rows
    ) + "\nA rule of thumb: only a tokenizer counts. A byte-level one never exceeds the bytes."


def _add_context(subparsers) -> None:
    example = "--window 131072 --part system=700 --part documents=4000 --reserve 2000"
    one = command(subparsers, "context", "budget a context window", example)
    window = one.add_mutually_exclusive_group(required=True)
    window.add_argument(
        "--window", type=count, help="tokens that the model can see: 131072, 128Ki, 200k", metavar="TOKENS"
    )
    window.add_argument("--model", help="a model of the fact base, with its longest window", metavar="NAME")
    one.add_argument(
        "--part", type=pair, action="append", default=[], metavar="NAME=TOKENS", help="repeat for each part"
    )
    one.add_argument("--reserve", type=count, default=0, help="tokens that the answer may take", metavar="TOKENS")
    one.add_argument(
        "--messages", type=count, nargs="+", metavar="TOKENS", help="a history, oldest first: which of it stays?"
    )
    one.set_defaults(run=run_context)


def run_context(args) -> tuple[dict, str]:
    """The budget, and with a history what falls off the edge."""
    parts: dict[str, int] = {}
    for name, value in args.part:
        if name in parts:
            raise ValueError(f"the part {name!r} is given twice; add its tokens up.")
        parts[name] = value
    model = catalog.model(args.model) if args.model else None
    window = model.max_context if model else args.window
    plan = context.budget(window, parts, args.reserve)
    payload = plan.as_dict()
    rows = [("window", f"{window:,}"), *((name, f"{value:,}") for name, value in plan.breakdown.items())]
    rows += [("used", f"{plan.used:,} ({plan.share:.1%})"), ("headroom", f"{plan.headroom:,}")]
    text = _rows(rows)
    if model and model.get("native_context"):
        text += f"\n{model.name} was trained on {model.native_context:,} tokens; beyond them: {model.context_method}."
    if not plan.fits:
        text += f"\nThis does not fit: it is {-plan.headroom:,} tokens too long."
    if args.messages:
        kept = context.fit_history(window, sum(parts.values()), args.reserve, args.messages)
        payload["history"] = {"kept": list(kept.kept), "dropped": list(kept.dropped), "used": kept.used}
        payload["history"]["headroom"] = kept.headroom
        text += f"\nOf {len(args.messages)} messages the newest {len(kept.kept)} stay; the request then takes {kept.used:,}."
    return payload, text


def _add_throughput(subparsers) -> None:
    example = "--model qwen3-32b --gpu h100-sxm --format fp8 --prompt 2000 --answer 500 --batch 16"
    one = command(subparsers, "throughput", "ceilings of speed of a model on a GPU", example)
    one.add_argument("--model", help="a model of the fact base", metavar="NAME")
    one.add_argument("--gpu", help="a GPU of the fact base", metavar="NAME")
    one.add_argument("--format", default="bf16", help="format of the weights (default bf16)", metavar="NAME")
    one.add_argument("--cache-format", default="bf16", help="format of the KV cache (default bf16)", metavar="NAME")
    one.add_argument("--prompt", type=count, default=1000, help="tokens of a prompt (default 1000)", metavar="TOKENS")
    one.add_argument("--answer", type=count, default=500, help="tokens of an answer (default 500)", metavar="TOKENS")
    one.add_argument("--batch", type=count, default=1, help="requests that run together (default 1)", metavar="N")
    one.add_argument("--tp", type=count, default=1, help="tensor-parallel GPUs (default 1)", metavar="N")
    one.add_argument(
        "--bandwidth-efficiency",
        type=number,
        default=1.0,
        help="share of the bandwidth (published: 0.8)",
        metavar="SHARE",
    )
    one.add_argument(
        "--compute-efficiency", type=number, default=1.0, help="share of the peak (published: 0.76)", metavar="SHARE"
    )
    one.add_argument("--link-gbs", type=number, help="link between the GPUs, GB/s in one direction", metavar="GB/S")
    one.add_argument(
        "--link-latency-us", type=number, default=0, help="latency of a step of an all-reduce", metavar="US"
    )
    one.add_argument(
        "--estimator", type=number, metavar="TOKENS/S", help="the source lesson's estimator with this base"
    )
    one.add_argument("--efficiency", type=number, default=0.85, help="of the estimator (default 0.85)", metavar="SHARE")
    one.add_argument("--users", type=count, default=1, help="of the estimator (default 1)", metavar="N")
    one.set_defaults(run=run_throughput)


def run_throughput(args) -> tuple[dict, str]:
    """The roofline of a model on a GPU, or the estimator of the source lesson."""
    if args.estimator is not None:
        if args.model or args.gpu:
            raise ValueError("give --estimator alone, or --model and --gpu.")
        unused(args, "with --estimator", *ROOFLINE_ONLY)
        found = throughput.estimator(args.estimator, args.tp, args.efficiency, args.answer, args.users)
        payload = {"tokens_per_s": found.tokens_per_s, "requests_per_s": found.requests_per_s}
        payload["seconds_per_answer"] = found.seconds_per_answer
        rows = [("tokens a second", f"{found.tokens_per_s:.2f}"), ("requests a second", f"{found.requests_per_s:.3f}")]
        rows.append(("seconds an answer", f"{found.seconds_per_answer:.2f}"))
        return payload, _rows(rows) + "\nThis rule knows no prompt, no batch and no memory; --model and --gpu do."
    if not args.model or not args.gpu:
        raise ValueError("give --model and --gpu, or --estimator with a base rate.")
    unused(args, "without --estimator", "efficiency", "users")
    model, gpu = catalog.model(args.model), catalog.gpu(args.gpu)
    found = throughput.roofline(
        model,
        gpu,
        tokens=args.prompt,
        answer=args.answer,
        batch=args.batch,
        format=args.format,
        cache_dtype=args.cache_format,
        tp=args.tp,
        bandwidth_efficiency=args.bandwidth_efficiency,
        compute_efficiency=args.compute_efficiency,
        link_gbs=args.link_gbs,
        link_latency_s=args.link_latency_us / 1e6,
    )
    payload = {"model": model.id, "gpu": gpu.id, "format": args.format, **found.as_dict()}
    payload |= {"source": f"{model.source}; {gpu.source}", "as_of": model.as_of}
    return payload, _roofline_text(model, gpu, found)


def _roofline_text(model, gpu, found: throughput.Roofline) -> str:
    ceilings = ", ".join(f"{name} {rate:,.0f}" for name, rate in found.ceilings.items())
    rows = [
        ("time to first token", f"{_seconds(found.prefill_s)} ({found.prefill.bound}-bound)"),
        ("decode step", f"{_seconds(found.decode_s_per_token)} ({found.bound}-bound)"),
        ("tokens a second, each", f"{found.tokens_per_s_per_user:,.1f}"),
        ("tokens a second, all", f"{found.tokens_per_s:,.1f}"),
        ("ceilings", f"{ceilings} tokens a second"),
        ("whole answer", _seconds(found.seconds_per_answer)),
        ("memory-bound up to batch", "any" if found.ridge_batch is None else f"{found.ridge_batch:,}"),
        ("weights + cache per GPU", format_bytes(found.resident.total)),
    ]
    cards = f"{found.tp} x {gpu.name}" if found.tp > 1 else gpu.name
    batch = "one request" if found.batch == 1 else f"{found.batch} requests"
    title = f"{model.name} on {cards}: {batch} of {found.prompt:,} + {found.answer:,} tokens. Ceilings, not forecasts."
    text = f"{title}\n{_rows(rows)}"
    if found.fits is False:
        text += "\nWeights and cache do not fit on this card: see lessonlib calc vram."
    return f"{text}\n{source_line(f'{model.source}; {gpu.source}', model.as_of)}"


def _add_cost(subparsers) -> None:
    example = "--price gpt-4o --tokens-per-day 1M --node-usd-month 9000 --node-tokens-per-s 700"
    one = command(subparsers, "cost", "cost of tokens by API, of a machine, and where they cross", example)
    one.add_argument("--price", help="a price of the fact base, like gpt-4o", metavar="NAME")
    one.add_argument("--input", type=number, help="USD per million input tokens", metavar="USD")
    one.add_argument("--output", type=number, help="USD per million output tokens", metavar="USD")
    one.add_argument(
        "--ratio", type=number, default=2, help="input tokens for one output token (default 2)", metavar="N"
    )
    one.add_argument("--tokens-per-day", type=count, help="all tokens of a day", metavar="N")
    one.add_argument("--days", type=number, default=30, help="days of a month (default 30)", metavar="N")
    one.add_argument("--node-usd-month", type=number, help="own hardware: where does it cross the API?", metavar="USD")
    one.add_argument("--node-tokens-per-s", type=number, help="what that hardware serves", metavar="N")
    one.add_argument(
        "--own-usd-per-million", type=number, default=0, help="what an own token adds (electricity)", metavar="USD"
    )
    one.add_argument("--electricity", action="store_true", help="electricity of a machine instead")
    one.add_argument("--watts", type=number, metavar="W", help="power of the machine")
    one.add_argument("--usd-per-kwh", type=number, default=0.12, help="default 0.12", metavar="USD")
    one.add_argument("--hours-per-day", type=number, default=24, help="default 24", metavar="H")
    one.add_argument(
        "--utilisation", type=number, default=1, help="mean power over rated power (default 1)", metavar="SHARE"
    )
    one.add_argument(
        "--pue", type=number, default=1, help="the building's power over the machine's (default 1)", metavar="N"
    )
    one.set_defaults(run=run_cost)


def run_cost(args) -> tuple[dict, str]:
    """Electricity of a machine, or a month of tokens and the crossover with own hardware."""
    if args.electricity:
        unused(args, "with --electricity", *TOKENS_ONLY)
        return _electricity(args)
    if args.watts is not None:
        raise ValueError("--watts belongs to --electricity: add it.")
    unused(args, "without --electricity", "usd_per_kwh", "utilisation", "pue")
    if args.node_usd_month is None:
        unused(args, "without --node-usd-month", "node_tokens_per_s", "own_usd_per_million", "hours_per_day")
    payload, rows = _blended(args)
    blended = payload["usd_per_million"]
    if args.tokens_per_day is not None:
        payload["tokens_per_day"] = args.tokens_per_day
        payload["usd_month"] = cost.monthly(args.tokens_per_day, blended, args.days)
        rows.append((f"{args.tokens_per_day:,} tokens a day", f"{payload['usd_month']:,.2f} USD a month"))
    text = ""
    if args.node_usd_month is not None:
        prices = args.node_usd_month, blended
        cross = cost.crossover(*prices, args.own_usd_per_million, args.days)
        payload["crossover"] = {"tokens_per_day": cross, "tokens_per_s": cost.sustained(cross, args.hours_per_day)}
        rows.append(("crossover", f"{cross:,.0f} tokens a day"))
        rows.append(("which means", f"{payload['crossover']['tokens_per_s']:,.1f} tokens a second"))
        if args.node_tokens_per_s is not None:
            own = dict(own_usd_per_million=args.own_usd_per_million, hours_per_day=args.hours_per_day, days=args.days)
            check = cost.crossover_check(*prices, args.node_tokens_per_s, **own)
            payload["crossover"] |= {"nodes": check.nodes, "reachable": check.reachable}
            text = "\nOne such node can serve that."
            if not check.reachable:
                text = f"\nOne such node cannot serve that: it takes {check.nodes:,}, so the crossover is out of its reach."
    elif args.tokens_per_day is None:
        text = "\nAdd --tokens-per-day for a month, --node-usd-month for the crossover with own hardware."
    if "source" in payload:
        text += "\n" + source_line(payload["source"], payload["as_of"])
    return payload, _rows(rows) + text


def _blended(args) -> tuple[dict, list]:
    """The blended price: from a row of the fact base, or from two numbers."""
    payload: dict = {}
    if args.price:
        if args.input is not None or args.output is not None:
            raise ValueError("give --price, or --input and --output.")
        row = catalog.price(args.price, "api_usd_per_million_tokens")
        payload = {"price": row.id, "as_of": row.as_of, "source": row.source}
        usd = cost.price(row)
    elif args.input is None or args.output is None:
        raise ValueError("give --price, or --input and --output in USD per million tokens, or --electricity.")
    else:
        usd = cost.price({"input": args.input, "output": args.output})
    payload |= {"input": usd.input, "output": usd.output, "ratio": args.ratio}
    payload["usd_per_million"] = cost.blend(usd.input, usd.output, args.ratio)
    dated = f" ({payload['price']}, {payload['as_of']})" if args.price else ""
    prices = f"{usd.input:g} in, {usd.output:g} out{dated}"
    return payload, [("USD per million", prices), (f"blend {args.ratio:g}:1", f"{payload['usd_per_million']:.3f}")]


def _electricity(args) -> tuple[dict, str]:
    if args.watts is None:
        raise ValueError("--electricity needs --watts.")
    year = cost.electricity(
        args.watts, args.usd_per_kwh, hours_per_day=args.hours_per_day, utilisation=args.utilisation, pue=args.pue
    )
    shown = year.as_dict()
    rows = [("kWh a year", f"{year.kwh:,.0f}"), *((part, f"{usd:,.2f} USD") for part, usd in year.items())]
    rows.append(("a year", f"{year.total:,.2f} USD at {args.usd_per_kwh:g} USD/kWh"))
    return {"watts": args.watts, "usd_per_kwh": args.usd_per_kwh, "period": "year", **shown}, _rows(rows)


def _add_switch(subparsers) -> None:
    example = "--model qwen2.5-coder-32b --format awq --disk-gbs 3 --link-gbs 25"
    one = command(subparsers, "switch", "seconds to change the model on a GPU", example)
    size = one.add_mutually_exclusive_group(required=True)
    size.add_argument("--model", help="a model of the fact base", metavar="NAME")
    size.add_argument("--bytes", type=count, help="size of the weights: 19.3e9", metavar="N")
    one.add_argument("--format", default="bf16", help="format of the weights of --model (default bf16)", metavar="NAME")
    one.add_argument(
        "--disk-gbs", type=number, default=3, help="GB/s of the storage (default 3, an NVMe drive)", metavar="GB/S"
    )
    one.add_argument(
        "--link-gbs",
        type=number,
        default=32,
        help="GB/s to the GPU, one way (default 32, PCIe 4.0 x16)",
        metavar="GB/S",
    )
    one.add_argument(
        "--start-s", type=number, default=0, help="seconds to start the process, as you measured them", metavar="S"
    )
    one.add_argument(
        "--warm-up-s", type=number, default=0, help="seconds of compilation and graph capture, measured", metavar="S"
    )
    one.add_argument(
        "--wake-s", type=number, default=0, help="seconds that waking costs beside the copies, measured", metavar="S"
    )
    one.add_argument("--per-day", type=count, metavar="N", help="round trips between two such models a day")
    one.add_argument(
        "--level", type=count, choices=switching.LEVELS, help="one sleep level of vLLM (default: all ways)"
    )
    one.set_defaults(run=run_switch)


def run_switch(args) -> tuple[dict, str]:
    """A cold start and the two sleep levels side by side, or one level."""
    if args.bytes is not None:
        unused(args, "with --bytes", "format")
    size = args.bytes if args.bytes is not None else weights.weights(catalog.model(args.model), args.format).total
    disk, link = args.disk_gbs, args.link_gbs
    ways = {
        "cold start": switching.cold_start(size, disk, link, process_start_s=args.start_s, warm_up_s=args.warm_up_s),
        "sleep level 1": switching.sleep_level_1(size, link, overhead_s=args.wake_s),
        "sleep level 2": switching.sleep_level_2(size, disk, link, overhead_s=args.wake_s),
    }
    if args.level:
        ways = {f"sleep level {args.level}": ways[f"sleep level {args.level}"]}
    timings = catalog.table("engines")["vllm_sleep_mode"]["published_timings"]
    published = {"sleep level 1": timings["wake_l1_s"], "sleep level 2": timings["wake_l2_s"]}
    payload = {"weights": size, "disk_gbs": disk, "link_gbs": link, "ways": {}}
    rows = [("weights", format_bytes(size))]
    for name, way in ways.items():
        shown = payload["ways"][name] = way.as_dict()
        parts = ", ".join(f"{part} {_seconds(s)}" for part, s in way.items() if s)
        rows.append((name, f"{_seconds(way.total)}: {parts}"))
        if args.per_day is not None:
            shown["lost_per_day_s"] = switching.round_trips(way, way, args.per_day)
            rows.append(("", f"{args.per_day:,} round trips a day lose {_seconds(shown['lost_per_day_s'])}"))
        if name in published:
            wake = way.total - way["sleep"]
            shown["wake_s"], shown["published_wake_s"] = wake, published[name]
            shown["against_published"] = switching.compare(wake, published[name])
            shown["host_ram"] = switching.host_ram_bytes([size], int(name[-1]))
            low, high = published[name]
            rows.append(("", f"waking takes {_seconds(wake)} ({shown['against_published']}: published {low}-{high} s)"))
    return payload, _rows(rows) + "\nFloors from the stated speeds; start and warm-up count only when you state them."


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Mistake(f"{path!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Mistake(f"{path!r} is no UTF-8 text.") from error


def _rows(rows: list[tuple[str, str]]) -> str:
    """Two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1e3:.3g} ms"


def _words(name: str) -> str:
    return {"utf8_bytes": "UTF-8 bytes", "most_possible": "most possible tokens", "estimate": "estimated tokens"}.get(
        name, name
    )
