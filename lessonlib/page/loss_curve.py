"""A loss curve that grows while a model trains: one output on the page, redrawn as points come in."""

from __future__ import annotations

import time

from . import figures, theme

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 62, 16, 34, 46
POINTS = 150  # drawn at most: more steps are averaged
EVERY = 0.5  # seconds between two drawings


class LossCurve:
    """Draws the losses that `add` gets, against the step, while training goes on; `finish` draws the last picture.

    `lines` are levels to compare with, {name: loss}. The page keeps one output: the last picture with its alt text, and
    the same in words. Outside a notebook only the words of the end are printed."""

    def __init__(self, lines: dict[str, float] | None = None, title: str = "Loss while training"):
        self.lines, self.title = dict(lines or {}), title
        self.losses: list[float] = []
        self._started = self._drawn = time.monotonic()
        self._handle = None

    def add(self, loss: float) -> None:
        """One more step with this loss (nats a token)."""
        self.losses.append(float(loss))
        if theme.in_notebook() and time.monotonic() - self._drawn > EVERY:
            self._show()
            self._drawn = time.monotonic()

    def finish(self) -> None:
        """Draw what came last. ValueError when nothing came."""
        if not self.losses:
            raise ValueError("The curve has no point yet: add(loss) after each step.")
        self.seconds = time.monotonic() - self._started
        if theme.in_notebook():
            self._show()
        else:
            print(self.text())

    def points(self) -> list[tuple[float, float]]:
        """(step, loss): every step, or the means of neighbouring ones when there are many."""
        count = len(self.losses)
        width = max(1, -(-count // POINTS))
        parts = [self.losses[i : i + width] for i in range(0, count, width)]
        return [(i * width + (len(part) + 1) / 2, sum(part) / len(part)) for i, part in enumerate(parts)]

    def alt(self) -> str:
        """The finding in words."""
        count, shown = len(self.losses), self.points()
        last = sum(self.losses[-10:]) / len(self.losses[-10:])
        half = (self.losses[0] + last) / 2
        when = next(i for i, loss in enumerate(self.losses, 1) if loss <= half) if last < self.losses[0] else None
        fall = f" Half of the way down is done after {when} steps." if when else ""
        beside = "".join(f" {name}: {value:.2f}." for name, value in self.lines.items())
        return f"The loss goes from {shown[0][1]:.2f} to {last:.2f} nats a token in {count:,} steps.{fall}{beside}"

    def text(self) -> str:
        """Title and finding, as plain text."""
        return f"{self.title}\n{figures.twin(self.alt())}"

    def svg(self) -> str:
        """The drawing."""
        points, most = self.points(), len(self.losses)
        top = max([loss for _, loss in points] + list(self.lines.values())) * 1.05 or 1.0

        def x(step):
            return LEFT + (WIDTH - LEFT - RIGHT) * (step / most)

        def y(loss):
            return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (loss / top)

        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'font-family="sans-serif" font-size="12" fill="{figures.INK}">',
            f'<text x="{LEFT}" y="18" font-weight="bold">{theme.escape(self.title)}: step {most:,}, '
            f"loss {points[-1][1]:.2f}</text>",
        ]
        for level in _ticks(top):
            parts.append(f'<path d="M{LEFT} {y(level):.1f} H{WIDTH - RIGHT}" stroke="#d9dce1"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level:g}</text>')
        for step in _ticks(most):
            parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step:,g}</text>')
        for number, (name, level) in enumerate(self.lines.items()):
            dashes = ("6 4", "2 4")[number % 2]
            at_left = abs(points[0][1] - level) > abs(points[-1][1] - level)  # where the curve leaves room
            place, anchor = (LEFT + 8, "start") if at_left else (WIDTH - RIGHT, "end")
            parts.append(
                f'<path d="M{LEFT} {y(level):.1f} H{WIDTH - RIGHT}" stroke="{figures.COLORS[2]}" stroke-width="1.5" '
                f'stroke-dasharray="{dashes}"/><text x="{place}" y="{y(level) - 5:.1f}" text-anchor="{anchor}">'
                f"{theme.escape(name)}: {level:.2f}</text>"
            )
        path = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{figures.COLORS[0]}" stroke-width="2"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
        turn = f"rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2})"
        parts.append(
            f'<text x="16" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="{turn}">'
            "nats a token</text></svg>"
        )
        return "".join(parts)

    def _show(self) -> None:
        from IPython.display import display

        data = {"text/html": figures.svg_html(self.svg(), self.alt()), "text/plain": self.text()}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _ticks(top: float) -> list[float]:
    """A few round numbers from 0 to `top`."""
    step = 10.0 ** len(str(int(top))) / 10
    step = next(s for s in (step / 10, step / 5, step / 2, step, step * 2, step * 5) if top / s <= 6)
    return [i * step for i in range(int(top / step) + 1)]
