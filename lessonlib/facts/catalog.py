"""Typed look-ups over the YAML tables of this folder. Tables are read when first asked for, then kept."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


class Record:
    """One row of a table: its fields are attributes; `get(name, default)` for fields that not every row has."""

    def __init__(self, fields: dict, table: dict):
        self._fields, self._table = fields, table

    def __getattr__(self, name: str):
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"{fields.get('id', 'this record')} has no field {name!r}; it has {', '.join(fields)}.")

    def get(self, name: str, default=None):
        """The field `name`, or `default` when this row has none."""
        return self._fields.get(name, default)

    def source_titles(self) -> list[str]:
        """The sources of this row, in words."""
        return [self._table["sources"][key]["title"] for key in self.sources]

    @property
    def as_of(self) -> str:
        """The date when the row was checked."""
        return self._fields.get("as_of") or checked_on()

    def __repr__(self) -> str:
        return f"<{self._fields['id']}>"


@cache
def table(name: str) -> dict:
    """A whole table as plain data: models, gpus, prices, engines or claims."""
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
    """All open models with exact architectures."""
    return [Record(row, table("models")) for row in table("models")["models"]]


def gpus() -> list[Record]:
    """All GPUs and machines."""
    return [Record(row, table("gpus")) for row in table("gpus")["gpus"]]


def claims() -> list[Record]:
    """All checked statements of the source lesson."""
    return [Record(row, table("claims")) for row in table("claims")["claims"]]


def model(name: str) -> Record:
    """The model called `name` (id, display name or hub id, in any spelling); ValueError suggests the nearest."""
    return _find(name, models(), "model", ("id", "name", "hf_id"))


def gpu(name: str) -> Record:
    """The GPU called `name` ("rtx4090", "RTX 4090", "rtx-4090"); ValueError suggests the nearest."""
    return _find(name, gpus(), "GPU", ("id", "name"))


def claim(claim_id: str) -> Record:
    """The claim with this id ("S04-033"); ValueError suggests the nearest."""
    return _find(claim_id, claims(), "claim", ("id",))


def _find(name: str, rows: list[Record], kind: str, fields: tuple[str, ...]) -> Record:
    keys = {_plain(row.get(field)): row for row in rows for field in reversed(fields) if row.get(field)}
    if _plain(name) in keys:
        return keys[_plain(name)]
    # "rtx 4090" for "GeForce RTX 4090", "qwen2.5-coder-32b-instruct" for the id without the last word
    partial = {key: row for key, row in keys.items() if len(_plain(name)) > 5 and _plain(name) in key}
    if len({row.id for row in partial.values()}) == 1:
        return next(iter(partial.values()))
    near = [keys[key].id for key in get_close_matches(_plain(name), keys, n=3, cutoff=0.4)]
    hint = f" Nearest: {', '.join(dict.fromkeys(near))}." if near else ""
    raise ValueError(f"The fact base has no {kind} {name!r}.{hint}")


def _plain(text) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())
