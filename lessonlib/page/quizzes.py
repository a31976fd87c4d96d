"""Quizzes: a reason for every option, offline. Their texts are YAML files in quizzes/, one a lesson."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets as widgets

from .calculators import Live

FOLDER = Path(__file__).parent / "quizzes"


@dataclass(frozen=True)
class Option:
    """One option: its text, whether it is right, and why or why not."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """One question; exactly one option is right."""

    ask: str
    options: tuple[Option, ...]


class Quiz(Live):
    """The questions with radio buttons; choosing an option shows its reason. Static pages show them folded."""

    def __init__(self, questions: list[Question]):
        self.questions = questions
        self.fields, self.reasons, rows = [], [], []
        for number, question in enumerate(questions, 1):
            field = widgets.RadioButtons(
                options=[(option.text, i) for i, option in enumerate(question.options)],
                value=None,
                layout={"width": "auto"},
            )
            reason = widgets.HTML()
            field.observe(lambda change, n=number - 1: self._answer(n, change["new"]), "value")
            self.fields.append(field)
            self.reasons.append(reason)
            rows += [widgets.HTML(f"<strong>{number}. {escape(question.ask)}</strong>"), field, reason]
        super().__init__(f"Quiz of {len(questions)} questions", rows)

    def _answer(self, number: int, chosen: int | None) -> None:
        if chosen is None:
            return
        option = self.questions[number].options[chosen]
        verdict = "✔ Right." if option.right else "✘ Not this one."
        self.reasons[number].value = f"<p>{verdict} {escape(option.why)}</p>"
        chosen_all = [field.value for field in self.fields]
        if None not in chosen_all:
            pairs = zip(self.questions, chosen_all, strict=True)
            right = sum(question.options[i].right for question, i in pairs)
            self.out.value = f"<p>{right} of {len(self.questions)} right. You may change your answers.</p>"

    def twin(self) -> str:
        """All questions; the reasons of each are folded."""
        parts = []
        for number, question in enumerate(self.questions, 1):
            options = "".join(f"<li>{escape(o.text)}</li>" for o in question.options)
            reasons = "".join(
                f"<li>{'✔' if o.right else '✘'} {escape(o.text)}: {escape(o.why)}</li>" for o in question.options
            )
            parts.append(
                f"<p><strong>{number}. {escape(question.ask)}</strong></p><ol>{options}</ol>"
                f"<details><summary>Answers and reasons</summary><ul>{reasons}</ul></details>"
            )
        return "".join(parts)


def quiz(lesson: str) -> Quiz:
    """The quiz of a lesson. Show it by making it a cell's last line."""
    return Quiz(read(FOLDER / f"{lesson}.yaml"))


def read(path: Path) -> list[Question]:
    """The questions of a file. ValueError names the question that breaks a rule: 2 options or more, each with a
    reason, exactly one of them right."""
    import yaml

    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["questions"]
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ValueError(f"There is no quiz {path.stem!r}; there are: {known}.") from None
    questions = []
    for number, row in enumerate(rows, 1):
        try:
            options = tuple(Option(str(o["text"]), bool(o.get("right", False)), str(o["why"])) for o in row["options"])
            questions.append(Question(str(row["ask"]), options))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path.name}, question {number}: {error} is missing; each option needs text and why."
            ) from None
        if len(options) < 2 or sum(o.right for o in options) != 1:
            raise ValueError(
                f"{path.name}, question {number}: needs two options or more, exactly one with right: true."
            )
    return questions
