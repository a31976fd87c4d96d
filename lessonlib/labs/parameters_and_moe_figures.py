"""Drawings of lesson 07 on matplotlib axes. Each returns in words what it shows, for the alternative text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..calc.throughput import expected_experts

# What the bars tell apart: groups of the parts that `calc.architecture.parts` counts, and a pattern beside the colour.
BARS = {
    "embedding and output": (("embedding", "output"), ""),
    "attention": (("attention", "linear_attention"), "///"),
    "feed-forward, experts": (("mlp", "experts", "shared_experts"), ""),
    "router and norms": (("router", "norms"), "..."),
}


def shares(parts: Mapping[str, int]) -> dict[str, float]:
    """The share of each group of BARS, adding up to 1."""
    total = sum(parts.values())
    return {name: sum(parts.get(part, 0) for part in members) / total for name, (members, _) in BARS.items()}


def draw_shares(ax, models: Mapping[str, Mapping[str, int]]) -> str:
    """A stacked bar a model: where its parameters sit."""
    said, names = [], list(models)[::-1]
    left = np.zeros(len(names))
    for group, (_, hatch) in BARS.items():
        values = np.array([shares(models[name])[group] for name in names])
        ax.barh(names, values, left=left, label=group, hatch=hatch, edgecolor="white", height=0.7)
        for y, (value, start) in enumerate(zip(values, left, strict=True)):
            if value > 0.07:
                plate = dict(facecolor="white", edgecolor="none", pad=1.2, alpha=0.85)
                ax.text(start + value / 2, y, f"{value:.0%}", ha="center", va="center", fontsize=9, bbox=plate)
        left += values
    for name, parts in models.items():
        listed = ", ".join(f"{group} {share:.1%}" for group, share in shares(parts).items())
        said.append(f"{name}: {listed}")
    ax.set(xlim=(0, 1), xlabel="share of all parameters")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.grid(visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2, fontsize=9, frameon=False, columnspacing=1.5)
    return "; ".join(said) + "."


def draw_load(ax, load) -> str:
    """A (layers, experts) load as a map with its numbers."""
    values = load.numpy()
    layers, experts = values.shape
    image = ax.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=max(values.max(), 2 / experts))
    for (layer, expert), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        ink = "white" if dark else "black"
        ax.text(expert, layer, f"{value:.0%}", ha="center", va="center", fontsize=9, color=ink)
    ax.set(xlabel="expert", ylabel="layer", xticks=range(experts), yticks=range(layers))
    ax.grid(visible=False)
    top, low = (np.unravel_index(at, values.shape) for at in (values.argmax(), values.argmin()))
    return (
        f"Evenly spread, each would get {1 / experts:.1%}. Most: expert {top[1]} of layer {top[0]} with {values[top]:.0%}; "
        f"least: expert {low[1]} of layer {low[0]} with {values[low]:.0%}."
    )


def draw_touched(ax, tokens: Sequence[int], measured: Sequence[float], own: tuple[int, int], others: Mapping) -> str:
    """Share of a layer's experts that a step touches: measured ones, and the formula for (experts, per token) pairs."""
    experts, k = own
    ax.plot(tokens, [m / experts for m in measured], label=f"measured, {k} of {experts}", markersize=8)
    for name, (e, per_token) in others.items():
        values = [expected_experts(e, per_token, n) / e for n in tokens]
        ax.plot(tokens, values, "--", label=f"formula: {name}, {per_token} of {e}")
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(tokens), [str(n) for n in tokens])
    ax.set(xlabel="tokens in the step", ylabel="experts touched", ylim=(0, 1.05))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.legend(fontsize=8)
    said = [
        f"measured, {k} of {experts} experts: "
        + ", ".join(f"{m / experts:.0%} at {n}" for n, m in zip(tokens, measured, strict=True))
    ]
    for name, (e, per_token) in others.items():
        first, last = (expected_experts(e, per_token, n) / e for n in (tokens[0], tokens[-1]))
        said.append(f"{name} by the formula from {first:.0%} to {last:.0%}")
    return "; ".join(said) + "."


def draw_grid(ax, grid: Sequence[Sequence[float]], law) -> str:
    """Losses against parameters, a line of the law for each amount of data, both axes logarithmic."""
    rows = np.asarray(grid, float)
    line = np.geomspace(rows[:, 0].min(), rows[:, 0].max(), 40)
    said = []
    for number, d in enumerate(sorted(set(rows[:, 1]))):
        own = rows[rows[:, 1] == d]
        mark = "os^D"[number % 4]
        [points] = ax.plot(own[:, 0], own[:, 2], mark, label=f"{d / 1e6:g} million bytes read")
        ax.plot(line, law.loss(line, d), "-", color=points.get_color(), marker="", linewidth=1.2)
        said.append(f"after {d / 1e6:g} million bytes from {own[0, 2]:.2f} to {own[-1, 2]:.2f}")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks = [1.6, 1.8, 2.0, 2.4, 2.8]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    sizes = sorted(set(rows[:, 0]))
    ax.set_xticks(sizes, [f"{n / 1000:.0f}k" for n in sizes])
    ax.minorticks_off()
    ax.set(xlabel="parameters outside the embedding (N)", ylabel="bits per byte")
    ax.legend(fontsize=8)
    return "From the smallest to the largest model trained: " + "; ".join(said) + ". Thin lines: the fitted law."
