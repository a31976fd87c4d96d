"""How a choice of model_selection is read and compared: in any form it may have, with numbers for what speaks against it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from ..labs import model_selection as lab
from .core import CheckFailed

FIELDS = ("model", "precision", "context", "reasons")
MISSING = object()


def words(scene: Mapping) -> str:
    """A scenario in one line."""
    tokens = f"{scene['prompt_tokens']:,} + {scene['answer_tokens']:,} tokens"
    machine = f"{scene['cards']} x {scene['vram_gib']:g} GiB"
    users = f"{scene['users']} user{'s' if scene['users'] != 1 else ''}"
    return f"{scene['task']}: {users}, {tokens}, {machine}"


def read(got) -> tuple:
    """(model, precision, context, reasons) of a Choice, a dict, a named tuple or any four values in this order."""
    if isinstance(got, Mapping):
        found = [got.get(name, MISSING) for name in FIELDS]
    elif isinstance(got, tuple | list):
        found = list(got) if len(got) == len(FIELDS) else [MISSING]
    else:
        found = [getattr(got, name, MISSING) for name in FIELDS]
    if MISSING in found:
        raise CheckFailed("Return a Choice.", expected=f"Choice({', '.join(FIELDS)})", got=got)
    model, precision, context, reasons = found
    return model, precision, _whole(context), _reasons(reasons)


def compare(answer, scene: dict, models: list[dict], untouched: bool = False) -> None:
    """The whole choice: nothing broken, a utility within the margin, the right reasons; with `untouched`, also that
    scenario and catalog are as they were."""
    got = _asked(answer, scene, models, untouched)
    _judge(got, scene, models)
    _same_reasons(got[3], scene, models)


def compare_hard(answer, scene: dict, models: list[dict]) -> None:
    """The constraints alone: any choice that breaks none passes, and "nothing" only where nothing fits."""
    got = _asked(answer, scene, models)
    if lab.judge(*got[:3], scene, models).score == 0:
        _judge(got, scene, models)


def compare_reasons(answer, scene: dict, models: list[dict]) -> None:
    """The reasons alone."""
    _same_reasons(_asked(answer, scene, models)[3], scene, models)


def slips(scene: dict, models: list[dict]) -> list[tuple[str, str]]:
    """(model, what rule of choosing would have led to it) for simple rules that the utility does not know."""
    found = lab.options(scene, models)
    by_name = {m["name"]: m for m in models}
    there = [by_name[name] for name in dict.fromkeys(option[1] for option in found)]
    if not there:
        return []
    first = next(m for m in models if m in there)

    def seconds(m):
        return lab.latency_s(m, lab.smallest(m), scene)

    return [
        (max(there, key=lambda m: m["scores"][scene["benchmark"]])["name"], "it has the highest score: speed and room count too"),
        (min(there, key=seconds)["name"], "it is the fastest that fits: quality and room count too"),
        (max(there, key=lambda m: m["parameters"])["name"], "it is the largest that fits: size is no part of the utility"),
        (found[-1][1], "it has the lowest utility: look for the highest"),
        (first["name"], "it is the first that fits: compare all that fit"),
    ]  # fmt: skip


def _asked(answer, scene: dict, models: list[dict], untouched: bool = False) -> tuple:
    given = copy.deepcopy(scene), copy.deepcopy(models)
    got = read(answer(*given))
    if untouched and given != (scene, models):
        raise CheckFailed("The scenario or the catalog was changed.", reason="make new lists and dicts of your own")
    return got


def _judge(got: tuple, scene: dict, models: list[dict]) -> None:
    model, precision, context, _ = got
    verdict = lab.judge(model, precision, context, scene, models)
    if verdict.score >= 1:
        return
    said = list(verdict.problems)
    found = lab.options(scene, models)
    if model is not None and not found:
        said.append("nothing fits here: then model, precision and context are None")
    if 0 < verdict.score:
        said.append(_slip(model, precision, context, scene, models, found))
    want = (
        f"a choice that breaks nothing and has a utility of {lab.MARGIN * found[0][0]:.3f} or more" if found else None
    )
    raise CheckFailed(
        f"The choice for {words(scene)}.",
        expected=want or "None: nothing fits",
        got=(model, precision, context),
        reason="; ".join(filter(None, said)),
    )


def _slip(model: str, precision: str, context: int, scene: dict, models: list[dict], found: list) -> str | None:
    """Why a choice that breaks nothing is worth too little."""
    mine = [option for option in found if option[1] == model]
    if mine and mine[0][0] >= lab.MARGIN * found[0][0]:  # the right model
        best = max((o for o in mine if o[2] == precision), default=mine[0])
        if context < best[3] and best[0] >= lab.MARGIN * found[0][0]:
            return f"room counts: this file leaves place for a context of {best[3]:,}"
        return f"compare all files of a model: {mine[0][2]} is worth more"
    return next((why for name, why in slips(scene, models) if name == model), None)


def _same_reasons(got: dict[str, set], scene: dict, models: list[dict]) -> None:
    want = lab.rejected(scene, models)
    for m in models:
        name, precision, tokens = m["name"], lab.smallest(m), lab.need(m, scene)
        mine, right = got.get(name, set()), set(want.get(name, ()))
        if mine == right:
            continue
        against = lab.explain(m, precision, tokens, scene)
        numbers = "; ".join(f"{what}: {why}" for what, why in against.items()) or "it breaks nothing"
        raise CheckFailed(
            f"The reasons against {name}, for {words(scene)}.",
            expected=sorted(right),
            got=sorted(mine),
            reason=f"{_why(mine, right, m, scene)} ({precision}, {tokens:,} tokens: {numbers})",
        )
    unknown = sorted(set(got) - {m["name"] for m in models})
    if unknown:
        raise CheckFailed("Reasons name models that are not in the catalog.", expected="names", got=unknown)


def _why(mine: set, right: set, m: dict, scene: dict) -> str:
    """The likely reason for wrong reasons."""
    largest = max(m["files"], key=lambda precision: m["files"][precision]["bytes"])
    tokens = lab.need(m, scene)
    if not mine:
        return "every model that cannot be used needs its reasons"
    if mine == set(lab.broken(m, largest, tokens, scene)):
        return "a model is judged by its smallest file: only what that breaks rejects the model"
    if mine == set(lab.broken(m, lab.smallest(m), scene["prompt_tokens"] + scene["answer_tokens"], scene)):
        return "the context it needs holds its thinking too"
    if mine == set(lab.broken(m, lab.smallest(m), 2 * tokens, scene)):
        return "a model is judged with the context it needs, not with more"
    if mine < right:
        return "name every constraint that it breaks"
    if not right:
        return "this model can be used: it belongs among the candidates"
    return "other constraints are broken"


def _whole(context):
    """A context as an int where it is one in another type: 4096.0, a NumPy integer."""
    if hasattr(context, "item") and not isinstance(context, str):
        context = context.item()
    return int(context) if isinstance(context, float) and context.is_integer() else context


def _reasons(reasons) -> dict[str, set]:
    if not isinstance(reasons, Mapping):
        raise CheckFailed("reasons must be a dict.", expected="name of a model -> list of constraints", got=reasons)
    found = {}
    for name, listed in reasons.items():
        listed = [listed] if isinstance(listed, str) else listed
        if not isinstance(listed, list | tuple | set | frozenset | dict) or not set(listed) <= set(lab.CONSTRAINTS):
            raise CheckFailed(f"The reasons against {name}.", expected=lab.CONSTRAINTS, got=listed)
        found[name] = set(listed)
    return found
