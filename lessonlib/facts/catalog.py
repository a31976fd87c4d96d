"""Look-ups over the YAML tables of this folder. Tables are read when first asked for, then kept."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TABLES = ("models", "gpus", "prices", "engines", "claims")


class Record:
    """One row of a table: its fields are attributes; `get(name, default)` for fields that not every row has."""

    def __init__(self, fields: dict, titles: dict[str, str]):
        self.__dict__.update(_fields=fields, _titles=titles)

    def __getattr__(self, name: str):
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"{fields.get('id', 'this record')} has no field {name!r}; it has {', '.join(fields)}.")

    def __setattr__(self, name: str, value) -> None:
        raise AttributeError(f"Records of the fact base are read-only: {self.id}.{name} cannot be set.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Records of the fact base are read-only: {self.id}.{name} cannot be deleted.")

    def get(self, name: str, default=None):
        """The field `name`, or `default` when this row has none."""
        return self._fields.get(name, default)

    def source_titles(self) -> list[str]:
        """The sources of this row, in words."""
        return [self._titles[key] for key in self._fields.get("sources", ())]

    @property
    def source(self) -> str:
        """The sources of this row in one line."""
        return "; ".join(self.source_titles())

    @property
    def as_of(self) -> str:
        """The date of the row: its own when it has one, else the date when the fact base was checked."""
        return str(self._fields.get("as_of") or checked_on())

    def __repr__(self) -> str:
        return f"<{self._fields['id']}>"


@cache
def table(name: str) -> dict:
    """A whole table as plain data: models, gpus, prices, engines or claims. Do not change what comes back."""
    if name not in TABLES:
        raise ValueError(f"The fact base has no table {name!r}; it has {', '.join(TABLES)}.")
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C reader is ten times as fast where it is built
    with open(HERE / f"{name}.yaml", encoding="utf-8") as file:
        return yaml.load(file, loader)


@cache
def checked_on() -> str:
    """The date of the fact base (ISO), read from the head of the claims table without parsing the rest."""
    with open(HERE / "claims.yaml", encoding="utf-8") as file:
        return next(re.findall(r"\d{4}-\d\d-\d\d", line)[0] for line in file if line.startswith("checked_on:"))


def models() -> list[Record]:
    """All open models with their architectures."""
    return list(_records("models"))


def gpus() -> list[Record]:
    """All GPUs and machines."""
    return list(_records("gpus"))


def claims() -> list[Record]:
    """All checked statements of the source lesson."""
    return list(_records("claims"))


def model(name: str) -> Record:
    """The model called `name` (id, display name or hub id, in any spelling); ValueError suggests the nearest."""
    return _find(name, "models", "model", ("id", "name", "hf_id"))


def gpu(name: str) -> Record:
    """The GPU called `name` ("rtx4090", "RTX 4090", "rtx-4090"); ValueError suggests the nearest."""
    return _find(name, "gpus", "GPU", ("id", "name"))


def claim(claim_id: str) -> Record:
    """The claim with this id ("S04-033"); ValueError suggests the nearest."""
    return _find(claim_id, "claims", "claim", ("id",))


@cache
def _records(name: str) -> tuple[Record, ...]:
    titles = {key: source["title"] for key, source in table(name)["sources"].items()}
    return tuple(Record(row, titles) for row in table(name)[name])


@cache
def _keys(name: str, fields: tuple[str, ...]) -> dict[str, Record]:
    """Every spelling that finds a row; where two rows share one, an id wins over a name."""
    rows = _records(name)
    return {_plain(row.get(field)): row for field in reversed(fields) for row in rows if row.get(field)}


def _find(name: str, table_name: str, kind: str, fields: tuple[str, ...]) -> Record:
    keys, wanted = _keys(table_name, fields), _plain(name)
    if wanted in keys:
        return keys[wanted]
    # part of a name is enough when only one row has it: "4090", "Qwen2.5-Coder-32B"
    partial = {row.id: row for key, row in keys.items() if len(wanted) >= 4 and wanted in key}
    if len(partial) == 1:
        return next(iter(partial.values()))
    near = [keys[key].id for key in get_close_matches(wanted, keys, n=3, cutoff=0.4)]
    near = list(dict.fromkeys([*list(partial)[:3], *near]))[:4]
    hint = f" Nearest: {', '.join(near)}." if near else ""
    raise ValueError(f"The fact base has no {kind} {name!r}.{hint}")


def _plain(text) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())
