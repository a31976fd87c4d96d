"""Quizzes: a few questions from a YAML file, a reason for every option, no network.

    id: 05_kv_cache
    questions:
      - ask: Which tensors does the cache hold?
        options:
          - {text: K and V of every layer, right: true, why: "..."}
          - {text: Q of every layer, why: "..."}
        keep_order: true        # optional; else the options are shuffled, the same way each time

In the notebook's stored output the answers stand only in folded parts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from . import theme

HERE = Path(__file__).parent / "quizzes"


@dataclass(frozen=True)
class Option:
    """One answer: its text, whether it is right, and why."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """One question; exactly one of its options is right."""

    ask: str
    options: tuple[Option, ...]


def quiz(quiz_id: str):
    """The quiz of a lesson as a widget; its stored form lists the questions with the reasons folded."""
    from .quiz_widget import Quiz

    return Quiz(quiz_id, load(quiz_id))


def load(quiz_id: str, folder: Path = HERE) -> tuple[Question, ...]:
    """The questions of lessonlib/page/quizzes/<quiz_id>.yaml; ValueError says what is wrong with the file."""
    import yaml

    path = folder / f"{quiz_id}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise ValueError(f"There is no quiz {quiz_id!r}; known quizzes: {known}.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    return parse(data, quiz_id)


def parse(data, quiz_id: str) -> tuple[Question, ...]:
    """Questions from plain data; ValueError names the question and the rule that it breaks."""
    _need(isinstance(data, dict), quiz_id, "the file must be a table with id and questions")
    _only(data, {"id", "questions"}, quiz_id)
    _need(data.get("id") == quiz_id, quiz_id, f"its id is {data.get('id')!r}, but must be {quiz_id!r} like the file")
    questions = data.get("questions")
    _need(isinstance(questions, list) and questions, quiz_id, "questions must be a list of at least one")
    return tuple(_question(item, f"{quiz_id}, question {number}") for number, item in enumerate(questions, 1))


def stored_html(questions: tuple[Question, ...]) -> str:
    """The quiz as a page without a kernel shows it."""
    parts = []
    for number, question in enumerate(questions, 1):
        parts.append(ask_html(number, question))
        reasons = "".join(
            f"<li>{letter(i)}: {'<b>right.</b>' if o.right else 'not this one.'} {theme.rich(o.why)}</li>"
            for i, o in enumerate(question.options)
        )
        parts.append(theme.fold("Answer and reasons", f"<ul>{reasons}</ul>"))
    return theme.card("".join(parts), "plain")


def stored_text(questions: tuple[Question, ...]) -> str:
    """The questions and options as plain text, without the answers."""
    lines = []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {theme.plain(question.ask)}")
        lines += [f"   {letter(i)}. {theme.plain(option.text)}" for i, option in enumerate(question.options)]
    return "\n".join(lines)


def ask_html(number: int, question: Question) -> str:
    """The question and its lettered options."""
    lines = (f"<b>{letter(i)}.</b> {theme.rich(option.text)}" for i, option in enumerate(question.options))
    head = f'<p style="margin: 12px 0 4px"><b>{number}.</b> {theme.rich(question.ask)}</p>'
    return f'{head}<div style="padding-left: 24px">{"<br>".join(lines)}</div>'


def letter(index: int) -> str:
    """A, B, C, ..."""
    return chr(ord("A") + index)


def _question(item, where: str) -> Question:
    _need(isinstance(item, dict), where, "it must be a table with ask and options")
    _only(item, {"ask", "options", "keep_order"}, where)
    ask = _words(item, "ask", where)
    options = item.get("options")
    _need(isinstance(options, list) and 2 <= len(options) <= 6, where, "it needs a list of 2 to 6 options")
    parsed = [_option(option, f"{where}, option {i}") for i, option in enumerate(options, 1)]
    right = sum(option.right for option in parsed)
    _need(right == 1, where, f"{right} options are marked right: true, but exactly one must be")
    _need(len({option.text for option in parsed}) == len(parsed), where, "two options have the same text")
    if not item.get("keep_order", False):
        random.Random(ask).shuffle(parsed)
    return Question(ask, tuple(parsed))


def _option(item, where: str) -> Option:
    _need(isinstance(item, dict), where, "it must be a table with text and why")
    _only(item, {"text", "right", "why"}, where)
    right = item.get("right", False)
    _need(isinstance(right, bool), where, f"right is {right!r}, but must be true or false")
    return Option(_words(item, "text", where), right, _words(item, "why", where))


def _words(item: dict, key: str, where: str) -> str:
    value = item.get(key)
    _need(isinstance(value, (str, int, float)) and not isinstance(value, bool), where, f"{key} is missing or no text")
    _need(str(value).strip(), where, f"{key} is empty")
    return str(value).strip()


def _only(item: dict, known: set[str], where: str) -> None:
    extra = sorted(str(key) for key in item if key not in known)
    _need(not extra, where, f"it has an unknown field {', '.join(extra)}; known: {', '.join(sorted(known))}")


def _need(holds, where: str, rule: str) -> None:
    if not holds:
        raise ValueError(f"Quiz {where}: {rule}.")
