"""Reading YAML files of the fact base: whole tables, kept once read, and single claims without the rest of theirs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TABLES = ("models", "gpus", "prices", "engines", "claims")


def parse(text: str, where: str):
    """YAML as plain data. ValueError in one sentence, starting with `where`, for what is no YAML or names a key twice."""
    import yaml

    try:
        return yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}" if mark else "somewhere"
        raise ValueError(f"{where}: {place} is not what YAML allows: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:  # characters that YAML does not allow
        raise ValueError(f"{where}: this is no YAML: {' '.join(str(error).split())}.") from error


@cache
def table(name: str) -> dict:
    """A whole table as plain data: models, gpus, prices, engines or claims. Do not change what comes back."""
    if name not in TABLES:
        raise ValueError(f"The fact base has no table {name!r}; it has {', '.join(TABLES)}.")
    return parse(_text(name), f"{name}.yaml")


@cache
def checked_on() -> str:
    """The date of the fact base (ISO), read from the head of the claims table without parsing anything."""
    with open(HERE / "claims.yaml", encoding="utf-8") as file:
        return next(re.findall(r"\d{4}-\d\d-\d\d", line)[0] for line in file if line.startswith("checked_on:"))


@cache
def titles(name: str) -> dict[str, str]:
    """The title of each source of a table, by its key."""
    head = _claims_in_parts()[0] if name == "claims" else table(name)
    return {key: source["title"] for key, source in head["sources"].items()}


@cache
def claim_row(claim_id: str) -> dict:
    """One row of the claims table, parsed alone: a page shows ten of five hundred. KeyError when there is none."""
    return parse(_claims_in_parts()[1][claim_id], f"claims.yaml: {claim_id}")[0]


def claim_ids() -> list[str]:
    """The ids of all claims, in the order of the table, without parsing their rows."""
    return list(_claims_in_parts()[1])


@cache
def _claims_in_parts() -> tuple[dict, dict[str, str]]:
    """The claims table as its parsed head and the text of each row by id. The rows are the last part of the file."""
    head, _, rows = _text("claims").partition("\nclaims:\n")
    texts = re.split(r"^(?=- id: )", rows, flags=re.M)[1:]
    return parse(head, "claims.yaml"), {text[6:].partition("\n")[0].strip("'\" "): text for text in texts}


def _text(name: str) -> str:
    return (HERE / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def _loader():
    """A safe loader that refuses a key given twice. The C reader is ten times as fast, where it is built."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and keys.count(key.value) > 1 and key.value != "<<":
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the field {key.value!r} stands twice in one place", key.start_mark
                    )
            return super().construct_mapping(node, deep)

    return Loader
