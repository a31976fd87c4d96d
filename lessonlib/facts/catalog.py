"""Look-ups over the YAML tables of this folder, and over your own `my_facts.yaml`. Tables are read when first asked for."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache

from .records import GPU, ROWS, Benchmark, Claim, CommercialModel, Engine, Model, Price, Record
from .tables import HERE, TABLES, checked_on, claim_ids, claim_row, table

__all__ = [
    "HERE", "TABLES", "Benchmark", "Claim", "CommercialModel", "Engine", "GPU", "Model", "Price", "Record",
    "benchmark", "benchmarks", "checked_on", "claim", "claims", "commercial_model", "commercial_models", "engine",
    "engines", "fact", "gpu", "gpus", "model", "models", "price", "prices", "reload", "table",
]  # fmt: skip


def models(own: bool = True) -> list[Model]:
    """All open models with their architectures; those of your own file last, or left out with `own=False`."""
    return _listed("models", own)


def gpus(own: bool = True) -> list[GPU]:
    """All GPUs and machines; those of your own file last, or left out with `own=False`."""
    return _listed("gpus", own)


def prices(own: bool = True) -> list[Price]:
    """All prices of all groups (API, subscriptions, hardware, hosting, electricity); your own last."""
    return _listed("prices", own)


def engines() -> list[Engine]:
    """All inference engines."""
    return _listed("engines")


def benchmarks() -> list[Benchmark]:
    """Published measurements of engines that the source lesson quotes."""
    return _listed("benchmarks")


def commercial_models() -> list[CommercialModel]:
    """Models that are sold as a service only."""
    return _listed("commercial_models")


def claims() -> list[Claim]:
    """All checked statements of the source lesson."""
    return list(_claims())


def model(name: str) -> Model:
    """The open model called `name` (id, display name or hub id, in any spelling); ValueError suggests the nearest."""
    return _find(name, "models", "model")


def gpu(name: str) -> GPU:
    """The GPU called `name` ("rtx4090", "RTX 4090", "4090"); ValueError suggests the nearest."""
    return _find(name, "gpus", "GPU")


def engine(name: str) -> Engine:
    """The engine called `name` ("vLLM", "llamacpp", "TensorRT LLM"); ValueError suggests the nearest."""
    return _find(name, "engines", "engine")


def benchmark(name: str) -> Benchmark:
    """The published measurement called `name`; ValueError suggests the nearest."""
    return _find(name, "benchmarks", "benchmark")


def commercial_model(name: str) -> CommercialModel:
    """The model of a service called `name` ("GPT-4o"); ValueError suggests the nearest."""
    return _find(name, "commercial_models", "commercial model")


def price(name: str, group: str | None = None) -> Price:
    """The price called `name` ("gpt 4o", "us-average"). A name that stands in two groups needs `group` too.

    ValueError suggests the nearest, or names the groups."""
    groups = list(dict.fromkeys(row.group for row in prices()))
    if group is not None:
        if group not in groups:
            raise ValueError(f"The prices have no group {group!r}; they have {', '.join(groups)}.")
        return _find(name, f"prices/{group}", f"price in {group}")
    found = _find(name, "prices", "price")
    twins = [row.group for row in prices() if _plain(row.id) == _plain(found.id)]
    if len(twins) > 1:
        raise ValueError(f"{found.id!r} is a price in {' and in '.join(twins)}: name the group too.")
    return found


def claim(claim_id: str) -> Claim:
    """The claim with this id ("S04-033"), read without the rest of the table; ValueError suggests the nearest."""
    by_plain = {_plain(known): known for known in claim_ids()}
    known = by_plain.get(_plain(claim_id))
    if known is None:
        near = get_close_matches(_plain(claim_id), by_plain, n=3, cutoff=0.4)
        raise _miss("claim", claim_id, [by_plain[key] for key in near])
    return _claim(known)


def fact(path: str):
    """The value at `path`, "table/row/field": "gpus/rtx-4090/vram_gb", "prices/gpt-4o/input", "gpus/h100-sxm/
    interconnect/nvlink_gbs_bidirectional", or "prices/api_usd_per_million_tokens/gpt-4o/input" with a price's group.

    What stands beside the rows is found by its key: "engines/vllm_sleep_mode/published_timings/wake_l1_s".
    ValueError in one sentence when there is none."""
    name, _, rest = path.partition("/")
    keys = rest.split("/")
    finders = {
        "models": model, "gpus": gpu, "engines": engine, "prices": price, "benchmarks": benchmark,
        "commercial_models": commercial_model, "claims": claim,
    }  # fmt: skip
    if name not in finders or len(keys) < 2:
        raise ValueError(f"{path!r} is no path of a fact: write table/row/field, with {', '.join(finders)} as table.")
    if name == "prices" and any(row.group == keys[0] for row in prices()):
        group, *keys = keys
        value = price(keys[0], group).as_dict()
    elif name in TABLES and isinstance(table(name).get(keys[0]), dict):
        value = table(name)[keys[0]]
    else:
        value = finders[name](keys[0]).as_dict()
    for key in keys[1:]:
        if not isinstance(value, dict) or key not in value:
            has = f"; it has {', '.join(map(str, value))}" if isinstance(value, dict) else ""
            raise ValueError(f"{path!r}: there is no {key!r}{has}.")
        value = value[key]
    return value


def reload() -> None:
    """Read your own file again at the next look-up, after it was changed."""
    _own.cache_clear()
    _records.cache_clear()
    _keys.cache_clear()


@cache
def _shipped(name: str) -> tuple[Record, ...]:
    if name == "prices":
        groups = {key: rows for key, rows in table(name).items() if isinstance(rows, list)}
        return tuple(Price({"group": key, **row}, name) for key, rows in groups.items() for row in rows)
    home, kind = next((home, lists[name]) for home, lists in ROWS.items() if name in lists)
    return tuple(kind(row, home) for row in table(home)[name])


@cache
def _own() -> dict[str, tuple[Record, ...]]:
    from . import own

    return own.records()


@cache
def _records(name: str) -> tuple[Record, ...]:
    """All rows of a list, your own last; "prices/electricity" is one group."""
    name, _, group = name.partition("/")
    rows = _shipped(name) + _own().get(name, ())
    return tuple(row for row in rows if row.group == group) if group else rows


def _listed(name: str, own: bool = True) -> list:
    return list(_records(name) if own else _shipped(name))


@cache
def _claim(claim_id: str) -> Claim:
    return Claim(claim_row(claim_id), "claims")


@cache
def _claims() -> tuple[Claim, ...]:
    return tuple(map(_claim, claim_ids()))


@cache
def _keys(name: str) -> dict[str, Record]:
    """Every spelling that finds a row; where two rows share one, an id wins over a name, and the first row wins."""
    rows = _records(name)[::-1]
    return {_plain(row.get(key)): row for key in ("hf_id", "name", "id") for row in rows if row.get(key)}


def _find(name: str, rows: str, kind: str) -> Record:
    keys, wanted = _keys(rows), _plain(name)
    if wanted in keys:
        return keys[wanted]
    # part of a name is enough when only one row has it: "4090", "Qwen2.5-Coder-32B"
    holds = [(key, row) for key, row in reversed(keys.items()) if len(wanted) >= 4 and wanted in key]
    partial = {row.id: row for _, row in sorted(holds, key=lambda found: not found[0].startswith(wanted))}
    if len(partial) == 1:
        return next(iter(partial.values()))
    near = [keys[key].id for key in get_close_matches(wanted, keys, n=3, cutoff=0.4)]
    raise _miss(kind, name, list(dict.fromkeys([*list(partial)[:3], *near]))[:4])


def _miss(kind: str, name, near: list[str]) -> ValueError:
    hint = f" Nearest: {', '.join(near)}." if near else ""
    return ValueError(f"The fact base has no {kind} {name!r}.{hint}")


def _plain(text) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())
