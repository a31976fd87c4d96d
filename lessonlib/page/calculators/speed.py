"""Speed: the source lesson's estimator beside the roofline, and the roofline itself as a plot."""

from __future__ import annotations

from types import SimpleNamespace

from lessonlib.calc import throughput
from lessonlib.facts import catalog

from . import presets
from .base import Answer, Calculator, count, percent
from .drawings import Line, Point, log_plot
from .fields import Number

NO_RATE = "Cards whose tensor rate the fact base does not know (Apple) are not in the list."


class ThroughputCalculator(Calculator):
    """Tokens and answers a second by the source lesson's estimator and by the ceilings of the card, side by side."""

    title = "Speed of a model"
    purpose = "A rule with one factor beside what memory, compute and links allow at best."

    def fields(self):
        return [
            presets.model_field(),
            presets.format_field(),
            presets.card_field(rated=True),
            Number("tp", "GPUs, tensor parallel", 1, 1, 1024),
            Number("users", "Users at once", 1, 1, 100_000),
            Number("prompt", "Prompt tokens", 1000, 1, 10_000_000),
            Number("answer", "Answer tokens", 500, 1, 1_000_000),
            Number("base", "Estimator: tokens a second of one GPU", 40.0, 0.001, 1e9, whole=False),
            Number("efficiency", "Estimator: efficiency, %", 85.0, 0.1, 100, whole=False),
            Number("reached", "Roofline: reached share of the ceilings, %", 100.0, 0.1, 100, whole=False),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        model, card = catalog.model(s.model), catalog.gpu(s.card)
        rule = throughput.estimator(s.base, s.tp, s.efficiency / 100, s.answer, s.users)
        share = s.reached / 100
        top = throughput.roofline(
            model, card, tokens=s.prompt, answer=s.answer, batch=s.users, format=s.format, tp=s.tp,
            bandwidth_efficiency=share, compute_efficiency=share,
        )  # fmt: skip
        rows = [
            ["tokens a second, all users", f"{rule.tokens_per_s:,.2f}", f"{top.tokens_per_s:,.2f}"],
            ["tokens a second, one user", f"{rule.tokens_per_s / s.users:,.2f}", f"{top.tokens_per_s_per_user:,.2f}"],
            ["answers a second", f"{rule.requests_per_s:,.3f}", f"{top.requests_per_s:,.3f}"],
            ["seconds for an answer", f"{rule.seconds_per_answer:,.2f}", f"{top.seconds_per_answer:,.2f}"],
            ["of them reading the prompts", "not known to it", f"{top.prefill_s:,.2f}"],
            ["what limits decoding", "not known to it", top.bound],
        ]
        step = top.decode
        formula = (
            f"estimator: {s.base:g} × {count(s.tp, 'GPU')} × {s.efficiency:g} % = **{rule.tokens_per_s:,.2f} tokens a second**\n"
            f"roofline: {count(s.users, 'user')} / max({1e3 * step.memory_s:,.2f} ms to read {step.moved.total / 1e9:,.2f} GB, "
            f"{1e3 * step.compute_s:,.2f} ms for {step.flops / 1e9:,.1f} GFLOP) + {1e3 * step.link_s:,.2f} ms link = "
            f"**{top.tokens_per_s:,.2f} tokens a second**"
        )
        if s.users > 1:
            mistake = (
                f"the {top.tokens_per_s:,.0f} tokens a second of all users are not what one user sees: that is "
                f"{top.tokens_per_s_per_user:,.1f}, {s.users:,} times less."
            )
        else:
            bare = s.answer * top.decode_s_per_token
            mistake = f"leaving out the prompt: {bare:,.2f} s instead of {top.seconds_per_answer:,.2f} s for an answer."
        notes = [NO_RATE]
        if top.fits is False:
            notes.insert(0, f"✗ Weights and caches, {top.resident.total / 1e9:,.1f} GB a GPU, do not fit this card.")
        headline = f"{rule.tokens_per_s:,.1f} tokens a second by the estimator, at most {top.tokens_per_s:,.1f} by the roofline"
        values = {
            "estimator": {
                "tokens_per_s": rule.tokens_per_s, "requests_per_s": rule.requests_per_s,
                "seconds_per_answer": rule.seconds_per_answer,
            },
            "roofline": {
                "tokens_per_s": top.tokens_per_s, "requests_per_s": top.requests_per_s, "prefill_s": top.prefill_s,
                "seconds_per_answer": top.seconds_per_answer, "bound": top.bound, "fits": top.fits,
            },
        }  # fmt: skip
        header = ("what", "the source lesson's estimator", "roofline, a ceiling")
        used = (presets.used_record(model), presets.used_card(card))
        return Answer(headline, rows, formula, mistake, header, used, tuple(notes), values=values)


class RooflineCalculator(Calculator):
    """Attainable FLOP/s over FLOPs per byte, with the places of prefill and decode of a model on it."""

    title = "Roofline"
    purpose = "Left of the ridge memory is the limit, right of it compute: where do prefill and decode stand?"

    def fields(self):
        return [
            presets.model_field(),
            presets.format_field("bf16"),
            presets.card_field("h100-sxm", rated=True),
            Number("tokens", "Prompt tokens", 1024, 1, 10_000_000),
            Number("batch", "Sequences at once", 8, 1, 100_000),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        model, record = catalog.model(s.model), catalog.gpu(s.card)
        card = throughput.card(record, s.format)
        ridge = throughput.ridge(card.peak_flops, card.bandwidth)
        one = throughput.roofline(model, record, tokens=s.tokens, format=s.format)
        many = throughput.roofline(model, record, tokens=s.tokens, batch=s.batch, format=s.format)
        steps = {"decode, 1 sequence": one.decode, "prefill, 1 sequence": one.prefill}
        if s.batch > 1:
            steps = {"decode, 1 sequence": one.decode, f"decode, {s.batch:,} sequences": many.decode, **steps}
        points, rows = [], []
        for name, step in steps.items():
            intensity = step.flops / step.moved.total
            reached = throughput.attainable(intensity, card.peak_flops, card.bandwidth)
            points.append(Point(name, intensity, reached / 1e12))
            rows.append([
                name, f"{intensity:,.2f}", f"{reached / 1e12:,.2f}", percent(reached / card.peak_flops), step.bound,
            ])  # fmt: skip
        low, high = min(p.x for p in points) / 3, max(ridge, *(p.x for p in points)) * 5
        roof = [(x, throughput.attainable(x, card.peak_flops, card.bandwidth) / 1e12) for x in (low, ridge, high)]
        svg = log_plot(
            [Line("roof", roof)], points, "FLOPs per byte moved", "TFLOP/s", ((f"ridge: {ridge:,.0f}", ridge),)
        )
        alt = f"Roofline of {record.name}, both axes logarithmic: rising to the ridge at {ridge:,.0f} FLOPs per byte, level " + (
            f"at {card.peak_flops / 1e12:,.0f} TFLOP/s from there. "
            + "; ".join(f"{p.name} at {p.x:,.1f} FLOPs per byte, {p.y:,.1f} TFLOP/s" for p in points) + "."
        )  # fmt: skip
        turn = many.ridge_batch
        where = (
            "No batch reaches the ridge in decoding: caches grow along with it." if turn is None
            else f"Decoding is limited by memory up to {turn:,} sequences at once."
        )  # fmt: skip
        share = points[0].y * 1e12 / card.peak_flops
        headline = f"Decoding one sequence can use {percent(share, 2)} of the peak; the ridge is at {ridge:,.0f} FLOPs per byte"
        formula = (
            f"ridge = {card.peak_flops / 1e12:,.1f} TFLOP/s / {card.bandwidth / 1e12:,.3f} TB/s = **{ridge:,.1f}**\n"
            f"decode, 1 sequence: {one.decode.flops / 1e9:,.1f} GFLOP / {one.decode.moved.total / 1e9:,.2f} GB = "
            f"{points[0].x:,.2f}; min({card.peak_flops / 1e12:,.1f}, {points[0].x:,.2f} × {card.bandwidth / 1e12:,.3f}) = "
            f"**{points[0].y:,.2f} TFLOP/s**"
        )
        mistake = (
            f"speed from the peak alone: it would promise {one.ceilings['compute']:,.0f} tokens a second for one sequence, "
            f"{one.ceilings['compute'] / one.tokens_per_s:,.1f} times the ceiling of {one.tokens_per_s:,.1f}."
        )
        values = {
            "ridge": ridge, "ridge_batch": turn, "peak_flops": card.peak_flops, "bandwidth": card.bandwidth,
            "points": {p.name: [p.x, p.y] for p in points},
        }  # fmt: skip
        header = ("step", "FLOPs per byte", "TFLOP/s at most", "of the peak", "limit")
        used = (presets.used_record(model), presets.used_card(record))
        return Answer(headline, rows, formula, mistake, header, used, (where, NO_RATE), (svg, alt), values)
