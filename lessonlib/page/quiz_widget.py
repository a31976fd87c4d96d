"""The quiz as a widget: letters to press, a reason for every press."""

from __future__ import annotations

import ipywidgets as W

from . import journal, quizzes, theme
from .widgets import WIDE, Interactive, spaced


class Quiz(Interactive):
    """Questions with lettered options. `choices` are the controls, `notes` the reasons shown."""

    def __init__(self, quiz_id: str, questions: tuple[quizzes.Question, ...]):
        self.quiz_id, self.questions = quiz_id, questions
        self.choices, self.notes, rows = [], [], []
        for number, question in enumerate(questions, 1):
            letters = [quizzes.letter(i) for i in range(len(question.options))]
            choice = W.ToggleButtons(
                options=letters,
                value=None,
                description=f"Answer {number}",
                tooltips=[theme.plain(option.text) for option in question.options],
                style={**WIDE, "button_width": "3em"},
            )
            note = W.HTML()
            choice.observe(lambda change, n=number: self._answer(n, change["new"]), "value")
            self.choices.append(choice)
            self.notes.append(note)
            rows += [W.HTML(spaced(quizzes.ask_html(number, question))), choice, note]
        super().__init__(*rows)

    def _answer(self, number: int, chosen: str | None) -> None:
        if chosen is None:
            return
        option = self.questions[number - 1].options[ord(chosen) - ord("A")]
        verdict, tone = ("✓ Right.", "good") if option.right else ("✗ Not this one.", "bad")
        body = f"<b>{chosen}: {verdict}</b> {theme.rich(option.why)}"
        self.notes[number - 1].value = theme.card(body, tone, status=True)
        journal.record_answer(self.quiz_id, number, option.right)
        self.refresh()

    def score(self) -> tuple[int, int, int]:
        """Right answers, answered questions, all questions."""
        chosen = [
            question.options[ord(choice.value) - ord("A")]
            for question, choice in zip(self.questions, self.choices, strict=True)
            if choice.value is not None
        ]
        return sum(option.right for option in chosen), len(chosen), len(self.questions)

    def html(self) -> str:
        right, answered, total = self.score()
        return f'<p role="status">{right} right, {answered} of {total} answered. Try the other options: each has a reason.</p>'

    def stored_html(self) -> str:
        return quizzes.stored_html(self.questions)

    def text(self) -> str:
        return quizzes.stored_text(self.questions)
