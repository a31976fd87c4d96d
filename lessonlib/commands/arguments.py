"""Reading what people type: counts, numbers, pairs, and a parser whose mistakes are one sentence."""

from __future__ import annotations

import argparse
import json
import re
import sys
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

from ..calc.units import LARGEST

# k, M and G are thousands as in prices and parameter counts; Ki and Mi are the powers of two of context windows.
SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30}
NUMBER = re.compile(
    r"(?P<digits>\d{1,3}(?:[ ,\u00a0\u202f]\d{3})+(?:\.\d+)?|\d(?:_?\d)*\.?\d*|\.\d+)"
    r"(?P<power>[eE][+-]?\d{1,2})?\s*(?P<suffix>[a-zA-Z]{0,2})",
    re.ASCII,
)


class Mistake(argparse.ArgumentTypeError, ValueError):
    """A mistyped value: argparse shows its sentence as it is, and other callers catch a ValueError."""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one sentence on stderr and exit status 2."""

    def __init__(self, *args, **options):
        options.setdefault(
            "formatter_class", lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=34)
        )
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {sentence(message)}\n")


def command(subparsers, name: str, help: str, example: str) -> argparse.ArgumentParser:
    """A subparser whose --help has the one-line `help` and one `example` (without the program's name)."""
    epilog = f"example:\n  {subparsers._prog_prefix} {name} {example}"
    made = subparsers.add_parser(name, help=help, description=help[:1].upper() + help[1:] + ".", epilog=epilog)
    made.set_defaults(parser=made)
    return made


def unused(args, where: str, *names: str) -> None:
    """ValueError when one of these options was given, since none of them changes anything `where` ("with --model")."""
    for name in names:
        if getattr(args, name) != args.parser.get_default(name):
            raise ValueError(f"--{name.replace('_', '-')} changes nothing {where}: leave it out.")


def count(text: str) -> int:
    """A whole number of 0 or more: "50000", "50 000", "50,000", "32_768", "128k" (128,000), "128Ki" (131,072), "1e6"."""
    value = _decimal(text)
    if value is None or value != value.to_integral_value():
        raise Mistake(f"{text!r} is no whole number of 0 or more; write 50000, 50_000, 128k, 128Ki (131,072) or 1e6.")
    return int(value)


def number(text: str) -> float:
    """A number of 0 or more, with the same spellings: "0.12", "1.5M", "2e9". An int when it is whole."""
    value = _decimal(text)
    if value is None:
        raise Mistake(f"{text!r} is no number of 0 or more; write it like 0.12, 1500 or 2e9.")
    return int(value) if value == value.to_integral_value() else float(value)


def pair(text: str) -> tuple[str, int]:
    """ "name=count" as (name, count): the parts of a context budget."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise Mistake(f"{text!r} is no part; write name=tokens, like system=800.")
    return name.strip(), count(value)


def nearest(name: str, names) -> str:
    """ " Did you mean 'x'?" when one of `names` is near, else ""."""
    near = get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def source_line(source: str, as_of: str | None = None) -> str:
    """The titles of the sources of a row, each up to its first bracket, colon or comma, with the date; --json has all."""
    titles = re.sub(r"\s*\([^()]*\)", "", lesson_words(source)).split("; ")
    short = dict.fromkeys(re.split(r": |, (?!not )", title)[0] for title in titles)
    return f"Source{f' ({as_of})' if as_of else ''}: {'; '.join(filter(None, short))}."


def lesson_words(text: str) -> str:
    """`text` with the name that readers know for the lesson that the course was made from."""
    return re.sub(r"\bseed\b", "source lesson", text)


def read_config(path) -> dict:
    """The config.json of a Hugging Face model at `path`; ValueError in one sentence when it is none."""
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name a config.json.") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no JSON file: name a config.json.") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold one JSON object, as the config.json of a model does.")
    return config


def problem(prog: str, message: str) -> int:
    """Print the one sentence of a mistake on stderr; its exit status comes back."""
    print(f"{prog}: {sentence(message)}", file=sys.stderr)
    return 2


def sentence(text: str) -> str:
    """`text` with a full stop, and a capital first letter unless a file or a field begins it."""
    text = str(text).strip()
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def _decimal(text: str) -> Decimal | None:
    """The value of `text`, exactly, or None when it is no number. A comma or a space parts thousands and nothing else:
    "12,5" is refused, since half the world reads it as 12.5."""
    found = NUMBER.fullmatch(str(text).strip())
    if not found or found["suffix"].lower() not in SUFFIXES:
        return None
    digits = re.sub(r"[ ,_\u00a0\u202f]", "", found["digits"])
    value = Decimal(digits + (found["power"] or "")) * SUFFIXES[found["suffix"].lower()]
    if value > LARGEST:
        raise Mistake("that number is above 10^30, more than anything that is computed here: write a smaller one.")
    return value
