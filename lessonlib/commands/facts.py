"""`lessonlib facts`: look up models, GPUs, engines and prices, check the tables, and add rows of your own."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

from ..calc import architecture
from ..facts import catalog, own, schema, sizes
from ..facts.records import ALWAYS, GPU, Benchmark, Claim, CommercialModel, Engine, Model, Price
from .arguments import Parser, command, lesson_words, nearest, number, problem, read_config

PROG = "lessonlib facts"
KINDS = {
    "models": Model, "gpus": GPU, "engines": Engine, "prices": Price, "claims": Claim, "benchmarks": Benchmark,
    "commercial_models": CommercialModel,
}  # fmt: skip
FIND = {
    "models": catalog.model, "gpus": catalog.gpu, "engines": catalog.engine, "benchmarks": catalog.benchmark,
    "commercial_models": catalog.commercial_model,
}  # fmt: skip
COLUMNS = {  # what a list shows of a row
    "models": ("id", "total_params_b", "active_params_b", "layers", "attention", "max_context", "license"),
    "gpus": ("id", "vram_gb", "bandwidth_gbs", "fp16_bf16_tensor_dense_tflops", "board_power_w", "price_usd"),
    "engines": ("id", "name", "cpu", "multi_gpu"),
    "prices": ("id", "group", "input", "output", "usd", "usd_range", "usd_month", "usd_kwh", "as_of"),
    "claims": ("id", "verdict", "kind", "claim"),
    "benchmarks": ("id", "verdict", "found"),
    "commercial_models": ("id", "name", "context"),
}
HEADS = {
    "total_params_b": "billion parameters", "active_params_b": "active", "max_context": "context", "vram_gb": "GiB",
    "bandwidth_gbs": "GB/s", "fp16_bf16_tensor_dense_tflops": "FP16 TFLOPS", "board_power_w": "W",
    "price_usd": "USD",
}  # fmt: skip


def parser() -> tuple[Parser, dict]:
    """The parser of the command, and the parser of each part by name."""
    top = Parser(prog=PROG, description="The fact base: models, GPUs, engines, prices, claims, and your own rows.")
    parts = top.add_subparsers(dest="part", metavar="COMMAND", title="commands")
    made = command(parts, "list", "what there is, or the rows of one list", "gpus")
    made.add_argument("list", nargs="?", choices=KINDS, help=f"one of {', '.join(KINDS)}")
    made.set_defaults(run=listing)
    made = command(parts, "show", "all fields of a row, with units, source and date", '"RTX 4090"')
    made.add_argument("name", help="a model, GPU, engine, price or claim, in any spelling")
    made.set_defaults(run=show)
    made = command(parts, "fields", "the fields that rows of a list have", "gpus")
    made.add_argument("list", choices=KINDS, help=f"one of {', '.join(KINDS)}")
    made.set_defaults(run=fields)
    made = command(parts, "check", "whether all tables and your own file keep the rules", "")
    made.set_defaults(run=check)
    made = command(parts, "add", "add a model to your own file, from its config.json", "config.json --id my-model")
    made.add_argument("config", type=Path, help="the config.json that lies beside the weights of a model")
    made.add_argument("--id", help="short name (default: the model's name in that file)")
    made.add_argument("--name", help="name as people write it (default: the id)")
    made.add_argument("--license", metavar="L", help="licence of the weights")
    made.add_argument("--source", metavar="TEXT", help="where the file comes from, in words")
    made.set_defaults(run=add_model)
    example = '--name "My Card" --vram-gib 24 --bandwidth-gbs 1008'
    made = command(parts, "add-gpu", "add a GPU to your own file", example)
    made.add_argument("--name", required=True, help="name as people write it")
    made.add_argument("--id", help="short name (default: made of the name)")
    made.add_argument("--vram-gib", type=number, required=True, metavar="GIB", help="memory, as sold")
    made.add_argument(
        "--bandwidth-gbs", type=number, required=True, metavar="GBS", help="memory bandwidth, 1e9 bytes/s"
    )
    made.add_argument("--tflops", type=number, metavar="T", help="dense FP16 or BF16 rate of the tensor cores")
    made.add_argument("--watts", type=number, metavar="W", help="power limit")
    made.add_argument("--price-usd", type=number, metavar="USD", help="price today")
    made.add_argument("--source", metavar="TEXT", help="where the figures come from, in words")
    made.set_defaults(run=add_gpu)
    for one in parts.choices.values():
        one.add_argument("--json", action="store_true", help="plain data instead of text")
    return top, parts.choices


def main(argv: list[str]) -> int:
    """Run the command. 0: done; 1: `check` found something wrong; 2: a mistake, told in one sentence on stderr."""
    top, parts = parser()
    if not argv or argv[0] in ("-h", "--help", "help"):
        top.print_help()
        return 0
    try:
        if argv[0] not in parts:
            names = f"there are {', '.join(parts)}.{nearest(argv[0], parts)}"
            raise ValueError(f"there is no command {argv[0]!r}; {names}")
        options = parts[argv[0]].parse_args(argv[1:])
        payload, text, status = options.run(options)
    except ValueError as error:
        return problem(PROG, str(error))
    except SystemExit as end:  # argparse has said what it had to say
        return int(end.code or 0)
    print(json.dumps(payload, indent=2, default=str, ensure_ascii=False) if options.json else text)
    return status


def listing(options) -> tuple:
    """The lists with their numbers of rows, or the rows of one."""
    if options.list is None:
        counts = {name: len(getattr(catalog, name)()) for name in KINDS}
        lines = [*_table([["list", "rows"], *([name, str(n)] for name, n in counts.items())]), "", *_own_lines()]
        return counts, "\n".join(lines), 0
    rows = getattr(catalog, options.list)()
    columns = [c for c in COLUMNS[options.list] if any(row.get(c) is not None for row in rows)]
    shown = [[_cell(row.get(column)) for column in columns] for row in rows]
    head = [HEADS.get(column, column.replace("_", " ")) for column in columns]
    return [row.as_dict() for row in rows], "\n".join(_table([head, *shown])), 0


def show(options) -> tuple:
    """Every row that the name finds: a card is a GPU and has a price."""
    found = _everything(options.name)
    payload = [{"list": name, **row.as_dict(), "source": row.source, "as_of": row.as_of} for name, row in found]
    texts = []
    for name, row in found:
        known = schema.fields(KINDS[name])
        lines = [f"{row.id} ({name})"]
        for key, value in row.as_dict().items():
            if key not in ("id", "sources", "source", "as_of") and value is not None:
                unit = known[key][1].unit if key in known else ""
                lines.append(f"  {key}: {_cell(value)}{' ' + unit if unit else ''}")
        texts.append(
            "\n".join([*lines, f"  source: {_cell(row.source) or 'the source lesson only'}", f"  as of: {row.as_of}"])
        )
    return payload, "\n\n".join(texts), 0


def fields(options) -> tuple:
    """The fields of a list: name, type, unit, whether a row of your own needs it, meaning."""
    payload = []
    for name, (hint, field) in schema.fields(KINDS[options.list]).items():
        need = "yes" if field.need == ALWAYS else ""
        said = field.text + (f": {', '.join(field.one_of)}" if field.one_of else "")
        payload.append({"field": name, "type": schema.in_words(hint), "unit": field.unit, "needed": need, "what": said})
    rows = [[*payload[0]], *([*row.values()] for row in payload)]
    return payload, "\n".join(_table(rows)), 0


def check(options) -> tuple:
    """What is wrong in the tables of the course and in your own file."""
    found, file = schema.all_problems(), own.path()
    if file is not None and file.exists():
        try:
            found += own.problems(own.read(file), file)
        except ValueError as error:
            found.append(str(error))
    if found:
        return {"problems": found}, "\n".join(found), 1
    counts = ", ".join(f"{len(getattr(catalog, name)())} {name.replace('_', ' ')}" for name in KINDS)
    return {"problems": []}, "\n".join([f"All tables keep the rules: {counts}.", *_own_lines()]), 0


def add_model(options) -> tuple:
    """A row of your own file from a config.json, with exact counts."""
    row = model_row(read_config(options.config), options.id, options.name, options.license, options.source)
    file = own.add("models", row)
    catalog.reload()
    text = (
        f"{row['id']}: {row['total_params_exact']:,} parameters, {row['weights_gb']['fp16_bf16']} GB in 16 bits, "
        f"{row['kv_bytes_per_token_fp16']:,} bytes of cache a token; added to {file}"
    )
    return {"file": str(file), "row": row}, text, 0


def model_row(config: dict, row_id=None, name=None, license=None, source=None) -> dict:
    """The row of models that a Hugging Face config describes. Its id is the one given, else made of the name or of
    the one in the config. ValueError when there is none, or when its family is not known."""
    hub = str(config.get("_name_or_path") or "").strip()
    row_id = row_id or _slug(name or hub.rstrip("/").rpartition("/")[2])
    if not row_id:
        raise ValueError("this config.json does not name its model: add --name NAME.")
    found = architecture.from_config(config)
    hub_id = hub if re.fullmatch(r"[\w.-]+/[\w.-]+", hub) else None
    row = {"id": row_id, "name": name or row_id, "hf_id": hub_id, "license": license, **found}
    row = {key: value for key, value in row.items() if value is not None}
    row["active_params_b"] = round(architecture.active_parameters(found) / 1e9, 3)
    row |= sizes.derived(row)
    return row | _origin(source)


def add_gpu(options) -> tuple:
    """A row of your own file for a card."""
    given = {
        "vram_gb": options.vram_gib, "bandwidth_gbs": options.bandwidth_gbs,
        "fp16_bf16_tensor_dense_tflops": options.tflops, "board_power_w": options.watts,
        "price_usd": options.price_usd,
    }  # fmt: skip
    row = {"id": options.id or _slug(options.name), "name": options.name}
    row |= {key: value for key, value in given.items() if value is not None}
    if options.price_usd is not None:
        row["price_as_of"] = _today()
    row |= _origin(options.source)
    file = own.add("gpus", row)
    catalog.reload()
    return {"file": str(file), "row": row}, f"{row['id']}: added to {file}", 0


def _everything(name: str) -> list[tuple]:
    """(list, row) of all rows that a name finds; ValueError with the nearest of all lists when there is none."""
    if re.fullmatch(r"[sS]\d\d-?\d*", name.strip()):
        return [("claims", catalog.claim(name))]
    found, near = [], []
    for rows, find in FIND.items():
        try:
            found.append((rows, find(name)))
        except ValueError as error:
            near += re.findall(r"Nearest: (.*)\.$", str(error))
    exact = {row.id for _, row in found}
    wanted = re.sub(r"[^a-z0-9]", "", name.lower())
    twins = [row for row in catalog.prices() if row.id in exact or re.sub(r"[^a-z0-9]", "", row.id.lower()) == wanted]
    if not found and not twins:
        try:
            twins = [catalog.price(name)]
        except ValueError as error:
            near += re.findall(r"Nearest: (.*)\.$", str(error))
    found += [("prices", row) for row in twins]
    if not found:
        hint = f" Nearest: {', '.join(dict.fromkeys(', '.join(near).split(', ')))}." if near else ""
        raise ValueError(f"The fact base has nothing called {name!r}.{hint}")
    return found


def _origin(source: str | None) -> dict:
    return ({"source": source} if source else {}) | {"as_of": _today()}


def _today() -> str:
    return datetime.date.today().isoformat()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def _own_lines() -> list[str]:
    file = own.path()
    if file is None:
        return ["Your own file is left out: LESSON_FACTS is off."]
    counts = {name: len(getattr(catalog, name)()) - len(getattr(catalog, name)(own=False)) for name in own.KINDS}
    rows = ", ".join(f"{count} in {name}" for name, count in counts.items() if count) or "no rows"
    return [f"Your own file {file}: {rows if file.exists() else 'not there yet; lessonlib facts add makes it'}."]


def _cell(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_cell(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return lesson_words(" ".join(str(value).split()))


def _table(rows: list[list[str]]) -> list[str]:
    """Lines with aligned columns; the last column is as long as it is."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
