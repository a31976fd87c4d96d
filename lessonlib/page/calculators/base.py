"""What all calculators share: controls from data, a result in words, figure, table and formula, state in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import ipywidgets as W

from lessonlib.facts import catalog
from lessonlib.page import figures, theme
from lessonlib.page.widgets import Interactive, spaced

from .fields import OWN, Text


@dataclass(frozen=True)
class Answer:
    """What a calculator found for one setting.

    `values` are the numbers for programs, `used` the preset records as lines of text with source and date, `drawing` an
    SVG with its alt text, `more` a second table that is folded away (summary, rows, header). `mistake` is one line with
    the number that a common mistake would give."""

    headline: str
    rows: list
    formula: str
    mistake: str
    header: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drawing: tuple[str, str] | None = None
    values: dict = field(default_factory=dict)
    more: tuple[str, list, tuple] | None = None


class Calculator(Interactive):
    """Base of the calculators. A subclass gives `title`, `purpose`, `fields()` and `answer(settings)`; where a choice
    brings numbers with it, also `PRESETS`, the keys of such choices, and `fill(key, value)`.

    Settings come by key, or in the order of the fields. ValueError, in one sentence, for an unknown key or value."""

    title = ""
    purpose = ""
    caption = "In numbers"
    PRESETS: tuple[str, ...] = ()

    def __init__(self, *first, **settings):
        self._fields = {field.key: field for field in self.fields()}
        settings = {**dict(zip(self._fields, first, strict=False)), **settings}
        self.control = {key: field.widget() for key, field in self._fields.items()}
        self.controls = list(self.control.values())
        self._busy, self._last = True, None
        head = W.HTML(spaced(self._head()))
        grid = W.Layout(grid_template_columns="repeat(auto-fit, minmax(min(320px, 100%), 1fr))", grid_gap="2px 18px")
        for key in self.PRESETS:
            self._follow(key)
        self._take(settings)
        texts = [self.control[key] for key, field in self._fields.items() if isinstance(field, Text)]
        super().__init__(head, *texts, W.GridBox([c for c in self.controls if c not in texts], layout=grid))
        for key, control in self.control.items():
            control.observe(lambda change, key=key: self._changed(key), "value")
        self._busy = False

    def fields(self) -> list:
        """The controls, as data; choices that bring numbers stand before these numbers."""
        raise NotImplementedError

    def answer(self, s: SimpleNamespace) -> Answer:
        """The result for the checked settings `s`."""
        raise NotImplementedError

    def fill(self, key: str, value: str) -> dict:
        """The numbers that the choice `value` of the preset `key` brings with it, by field key."""
        return {}

    @classmethod
    def from_state(cls, state: Mapping, **extra):
        """A calculator with the settings of a stored `state`."""
        if not isinstance(state, Mapping):
            raise ValueError(f"The state is {state!r}, but must be a mapping from setting to value.")
        return cls(**extra, **state)

    @property
    def state(self) -> dict:
        """All settings as plain data, fit for JSON."""
        return {key: control.value for key, control in self.control.items()}

    @state.setter
    def state(self, settings: Mapping) -> None:
        self._busy = True
        try:
            self._take(settings)
        finally:
            self._busy = False
        self.refresh()

    @property
    def values(self) -> dict:
        """The results as plain numbers by name; ValueError when the settings make no sense."""
        return dict(self._answer().values)

    def settings(self) -> list[tuple[str, str]]:
        """What is set, as (label, value in words), for the stored forms; controls that count for nothing are left out."""
        return [
            (field.label, field.words(self.control[key].value))
            for key, field in self._fields.items()
            if not self.control[key].disabled
        ]

    def html(self) -> str:
        return self._page(figures.inline_svg)

    def stored_html(self) -> str:
        chosen = " · ".join(f"{theme.escape(label)}: <b>{theme.escape(value)}</b>" for label, value in self.settings())
        return f"<p>{self._head()}</p><p>{chosen}</p>{self._page(figures.svg_html)}"

    def text(self) -> str:
        chosen = "; ".join(f"{label}: {value}" for label, value in self.settings())
        lines = [self.title, chosen]
        try:
            a = self._answer()
        except ValueError as error:
            return "\n".join([*lines, f"This cannot be computed: {error}"])
        drawing = [figures.twin(a.drawing[1])] if a.drawing else []
        table = theme.table_text(a.rows, a.header, self.caption)
        more = [theme.table_text(a.more[1], a.more[2], a.more[0])] if a.more and a.more[1] else []
        said = [*a.formula.splitlines(), f"The mistake people make: {a.mistake}", *a.notes]
        return "\n".join([*lines, theme.plain(a.headline), *drawing, table, *more, *map(theme.plain, said), *a.used])

    def refresh(self, change=None) -> None:
        if not self._busy or not self.out.value:
            super().refresh()

    def _answer(self) -> Answer:
        checked = {key: field.check(self.control[key].value) for key, field in self._fields.items()}
        if self._last is None or self._last[0] != checked:  # page, stored page and text ask for the same one
            self._last = checked, self.answer(SimpleNamespace(**checked))
        return self._last[1]

    def _page(self, draw) -> str:
        """The result; `draw` turns SVG and alt text into HTML."""
        try:
            a = self._answer()
        except ValueError as error:
            return theme.card(f"<b>✗ This cannot be computed.</b> {theme.escape(error)}", "bad", status=True)
        tone = {"✓": "good", "✗": "bad"}.get(a.headline[0], "note")
        parts = [theme.card(f"<b>{theme.rich(a.headline)}</b>", tone, status=True)]
        if a.drawing:
            parts.append(draw(*a.drawing))
        parts.append(theme.table_html(a.rows, a.header, self.caption))
        if a.more and a.more[1]:
            summary, rows, header = a.more
            parts.append(theme.fold(theme.escape(summary), theme.table_html(rows, header)))
        formula = "<br>".join(theme.rich(line) for line in a.formula.splitlines())
        parts.append(theme.card(f"<b>Formula.</b> {formula}"))
        parts.append(theme.card(f"<b>⚠ The mistake people make:</b> {theme.rich(a.mistake)}", "bad"))
        parts += [f"<p>{theme.rich(note)}</p>" for note in a.notes]
        if a.used:
            listed = "".join(f"<li>{theme.escape(line)}</li>" for line in a.used)
            parts.append(
                theme.fold(f"Preset numbers of {catalog.checked_on()}: sources and dates", f"<ul>{listed}</ul>")
            )
        return "".join(parts)

    def _head(self) -> str:
        stop = "" if self.title.endswith("?") else "."
        return f"<b>{theme.escape(self.title)}{stop}</b> {theme.rich(self.purpose)}"

    def _take(self, settings: Mapping) -> None:
        """Set what `settings` names, all of it or, when one is wrong, nothing."""
        if not isinstance(settings, Mapping):
            raise ValueError(f"The state is {settings!r}, but must be a mapping from setting to value.")
        for key in settings:
            if key not in self._fields:
                raise ValueError(f"{self.title} has no setting {key!r}; it has {', '.join(self._fields)}.")
        checked = {key: self._fields[key].check(value) for key, value in settings.items()}
        for key in self._fields:
            if key in checked:
                self.control[key].value = checked[key]
                self._follow(key)

    def _changed(self, key: str) -> None:
        """A control was changed on the page or from Python: bring its numbers along, then compute once."""
        if self._busy:
            return
        self._busy = True
        try:
            self._follow(key)
        finally:
            self._busy = False
        self.refresh()

    def _follow(self, key: str) -> None:
        """A preset fills its numbers; a number that is not the preset's any more makes the choice "my own numbers"."""
        if key in self.PRESETS:
            for name, value in self.fill(key, self.control[key].value).items():
                self.control[name].value = value
            return
        for preset in self.PRESETS:
            brought = self.fill(preset, self.control[preset].value)
            if key in brought and brought[key] != self.control[key].value:
                self.control[preset].value = OWN


def count(n: float, noun: str) -> str:
    """A number with its noun: "1 user", "2 users"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def percent(share: float, digits: int = 1) -> str:
    """A share as percent: "8.3 %"."""
    return f"{100 * share:,.{digits}f} %"
