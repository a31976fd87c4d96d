"""Inputs for the checks of deployment_plan, comparisons that name the mistake, and the mistakes."""

from __future__ import annotations

from ..calc.memory import card_bytes
from ..labs import deployment_plan as lab
from ..serving.day import explain
from ..serving.sleep_engine import Failure, NoAnswer, Request
from ..serving.sleep_node import Node, complete
from .core import CheckFailed

ASLEEP = ("cold", "level 1", "level 2")
FIELDS = ("weights_gb", "cache_gb", "kv_heads", "gpus")  # of an engine, as functions of the task need them


def day_engines() -> dict[str, dict]:
    """The three engines of the reference plan on the task's server."""
    return lab.reference_plan(lab.server(), lab.workloads(), lab.models())["engines"]


# Seconds


def random_engine(rng, cards: int) -> dict:
    """An engine of any size on some of the cards."""
    count = rng.choice([n for n in (1, 2, 4) if n <= cards])
    gpus = sorted(rng.sample(range(cards), count))
    return {
        "model": "a model", "weights_gb": rng.randint(50, 800) / 10, "cache_gb": rng.randint(5, 150) / 10,
        "kv_heads": rng.choice([1, 2, 4, 8]), "gpus": gpus,
    }  # fmt: skip


def random_switch(rng) -> tuple:
    """Arguments of switch_seconds."""
    server = lab.server(
        gpus=4, link_gbs=rng.choice([16, 25, 32, 64]), storage_gbs=rng.choice([0.5, 2.0, 7.0, 40.0]), wake_s=rng.uniform(0.1, 2),
        stop_s=rng.uniform(1, 9), process_start_s=rng.uniform(5, 40), warm_up_s=rng.uniform(5, 90),
    )  # fmt: skip
    return server, random_engine(rng, 4), rng.choice(ASLEEP), random_engine(rng, 4), rng.choice(ASLEEP)


def seconds_row(answer, server, leaves, there, comes, back) -> tuple:
    """One call of switch_seconds, for `expect_all`."""
    want = lab.switch_seconds(server, leaves, there, comes, back)
    got = answer(dict(server), dict(leaves), there, dict(comes), back)
    what = f"Seconds when {leaves['weights_gb']:.1f} GB on {len(leaves['gpus'])} GPUs go to {there!r} and "
    what += f"{comes['weights_gb']:.1f} GB on {len(comes['gpus'])} GPUs come from {back!r}."
    return what, got, want, _seconds_mistakes(server, leaves, there, comes, back)


def _seconds_mistakes(server, leaves, there, comes, back) -> list:
    parts = lab.switch_parts(server, leaves, there, comes, back)
    want = sum(parts.values())
    down, up = leaves["weights_gb"], comes["weights_gb"]
    n, m = len(leaves["gpus"]), len(comes["gpus"])
    link, storage = server["link_gbs"], server["storage_gbs"]
    to_ram, copy, read = (parts.get(k, 0) for k in ("weights to RAM", "copy to GPUs", "read from storage"))
    end = parts["warm up"]
    other_end = server["wake_s"] if back == "cold" else server["warm_up_s"]
    named = [
        (
            want + (n - 1) * to_ram + (m - 1) * copy,
            "that is one link: each GPU copies its share over its own, at the same time",
        ),
        (want - read + read / m, "storage was divided by the GPUs: it is read once, at its own speed"),
        (want - copy, "the copy to the GPUs is missing: weights must cross the link whenever an engine comes"),
        (want + 7 * (to_ram + copy + read), "bytes were turned into bits: the speeds are GB/s"),
        (want - to_ram - copy + (to_ram + copy) / 2, "the link speed is for one direction, so it is not doubled"),
    ]
    if there == "level 1":
        named.append((want - to_ram, "falling to level 1 copies the leaving weights to RAM, and that takes time"))
        named.append(
            (want - to_ram + up / link / n, "the leaving engine's own weights go to RAM, not those of the coming one")
        )
        named.append((want + down / storage, "level 1 keeps the weights in RAM: nothing is written to storage"))
    elif there == "level 2":
        named.append((want + down / link / n, "level 2 drops the weights: nothing is copied to RAM"))
    else:
        named.append((want - server["stop_s"], "stopping the leaving process takes stop_s"))
        named.append((want + down / link / n, "a stopped process keeps nothing: nothing is copied to RAM"))
    if there != "cold":
        named.append((want + server["stop_s"], "the leaving process is not stopped, it sleeps: no stop_s"))
    if back == "level 1":
        named.append((want + up / storage, "from level 1 the weights come out of RAM: storage is not read"))
    else:
        named.append((want - read, "the weights are read from storage first"))
        overlap = max(read, copy)
        named.append((want - read - copy + overlap, "reading and copying follow each other here: both count"))
    if back == "cold":
        named.append(
            (want - server["process_start_s"], "a cold engine's process has to start: process_start_s is missing")
        )
        named.append((want - end, "a new process compiles and warms up: warm_up_s is missing"))
        named.append((want + server["wake_s"], "a started process is not woken: no wake_s"))
    else:
        named.append((want + server["process_start_s"], "its process is there already: no process_start_s"))
        named.append((want - end, "waking takes wake_s beside the copy"))
        named.append((want + server["warm_up_s"], "a sleeping process has compiled already: wake_s, no warm_up_s"))
    named.append((want - end + other_end, "wake_s is for sleeping engines, warm_up_s for cold ones"))
    return named


# Memory

# What can be forgotten or confused: name -> reason. `_breaks` knows each.
SLIPS = {
    "no asleep_gb": "a sleeping engine keeps asleep_gb on each of its GPUs",
    "no overhead": "an awake engine pays overhead_gb on each of its GPUs",
    "overhead divided": "the overhead was divided: each GPU pays all of it",
    "weights not divided": "each of tp GPUs holds 1 / tp of the weights",
    "cache not divided": "the cache is dealt out by key-value heads",
    "cache split beyond heads": "with more GPUs than key-value heads each GPU keeps a copy of one head: divide by min(tp, kv_heads)",
    "no cache": "the cache of an awake engine is missing",
    "card in GB": "GB was compared with GiB: a card of N GiB holds N x 2**30 bytes",
    "RAM in GB": "GB was compared with GiB: RAM of N GiB holds N x 2**30 bytes",
    "level 2 in RAM": "level 2 drops the weights: only level 1 takes RAM",
    "level 1 not in RAM": "at level 1 the weights lie in RAM",
    "awake in RAM": "awake engines have their weights on the GPUs: only level 1 takes RAM",
    "RAM divided": "RAM holds all the weights, whatever tp is",
    "cards added up": "each card is compared on its own: their memory is not added up",
    "asleep adds to awake": "overhead_gb is all that an awake engine adds: asleep_gb is for sleeping ones",
    "all GPUs": "an engine takes memory on its own GPUs only",
    "the last": "asked is the first moment that does not fit",
}  # fmt: skip


def _breaks(server: dict, engines: dict, moments: list[dict], slip: str = ""):
    found = None
    for number, states in enumerate(moments):
        cards, ram = _usage(server, engines, states, slip)
        card = server["vram_gib"] * 1e9 if slip == "card in GB" else card_bytes(server["vram_gib"])
        room = server["ram_gib"] * 1e9 if slip == "RAM in GB" else card_bytes(server["ram_gib"])
        if slip == "cards added up":
            cards, card = [sum(cards)], card * server["gpus"]
        where = next((f"GPU {i}" for i, used in enumerate(cards) if used * 1e9 > card), None)
        where = where or ("RAM" if ram * 1e9 > room else None)
        if where:
            found = (number, where)
            if slip != "the last":
                return found
    return found


def _usage(server, engines, states, slip) -> tuple[list[float], float]:
    cards, ram = [0.0] * server["gpus"], 0.0
    for name, state in states.items():
        one = engines[name]
        tp = len(one["gpus"])
        held = 0.0
        if state == "awake":
            heads = (
                tp
                if slip == "cache split beyond heads"
                else 1
                if slip == "cache not divided"
                else min(tp, one["kv_heads"])
            )
            held = one["weights_gb"] / (1 if slip == "weights not divided" else tp)
            held += 0 if slip == "no cache" else one["cache_gb"] / heads
            held += {"no overhead": 0, "overhead divided": server["overhead_gb"] / tp}.get(slip, server["overhead_gb"])
            held += server["asleep_gb"] if slip == "asleep adds to awake" else 0
        elif state != "cold":
            held = 0.0 if slip == "no asleep_gb" else server["asleep_gb"]
        for card in range(server["gpus"]) if slip == "all GPUs" else one["gpus"]:
            cards[card] += held
        counts = {
            "level 2 in RAM": ("level 1", "level 2"),
            "level 1 not in RAM": (),
            "awake in RAM": ("level 1", "awake"),
        }
        if state in counts.get(slip, ("level 1",)):
            ram += one["weights_gb"] / (tp if slip == "RAM divided" else 1)
    return cards, ram


def plain_moments():
    """(server, engines, moments) of the task: the reference day, then impossible ones."""
    engines = {name: {k: e[k] for k in FIELDS} for name, e in day_engines().items()}
    a, b, c = engines
    day = [
        {a: "awake", b: "level 1", c: "level 1"},
        {a: "level 1", b: "level 1", c: "level 1"},
        {a: "level 1", b: "awake"},
    ]
    yield lab.server(), engines, day
    yield lab.server(), engines, [*day, {a: "awake", b: "awake", c: "cold"}, {c: "awake"}]
    yield lab.server(ram_gib=48), engines, day
    yield lab.server(ram_gib=48), engines, [{a: "awake", b: "level 1"}, {a: "level 2", b: "level 2", c: "level 2"}]


def edge(rng, slip: str):
    """A case that the slip judges otherwise: card or RAM lies between the right sum and the slip's."""
    for _ in range(1000):
        server, engines, moments = random_moments(rng)
        roomy = {**server, "vram_gib": 4000.0, "ram_gib": 4000.0}
        if slip in ("card in GB", "RAM in GB"):
            right = max(m for s in moments for m in _sums(roomy, engines, s, slip == "RAM in GB"))
            tight = rng.uniform(0.95, 0.98)  # fits, and would not in GB
            roomy["ram_gib" if slip == "RAM in GB" else "vram_gib"] = max(1.0, right * 1e9 / 2**30 / tight)
        elif slip in ("the last", "cards added up"):
            roomy = server
        else:
            number = rng.randrange(len(moments))
            for ram in (False, True):
                right, wrong = (max(_sums(roomy, engines, moments[number], ram, s)) for s in ("", slip))
                if abs(right - wrong) > 0.01:
                    roomy["ram_gib" if ram else "vram_gib"] = (right + wrong) / 2 * 1e9 / 2**30
        if _breaks(roomy, engines, moments) != _breaks(roomy, engines, moments, slip):
            return roomy, engines, moments
    raise RuntimeError(f"no case was found for the slip {slip!r}")


def telling_edges(rng) -> list[tuple]:
    """A case for each slip, of which no two give the same answers throughout: so the message names the right one."""
    while True:
        made = [edge(rng, slip) for slip in SLIPS]
        if len({tuple(_breaks(*case, slip) for case in made) for slip in SLIPS}) == len(SLIPS):
            return made


def _sums(server, engines, states, ram: bool, slip: str = "") -> list[float]:
    cards, used = _usage(server, engines, states, slip)
    return [used] if ram else cards


def random_moments(rng):
    """(server, engines, moments): some fit, some break, early or late."""
    cards = rng.choice([1, 2, 4])
    server = lab.server(
        gpus=cards, vram_gib=rng.choice([16, 24, 32, 48, 80]), ram_gib=rng.choice([16, 32, 64, 128, 256]),
        overhead_gb=rng.choice([1.0, 1.5, 2.0]), asleep_gb=rng.choice([0.4, 0.5, 0.9]),
    )  # fmt: skip
    engines = {name: {k: random_engine(rng, cards)[k] for k in FIELDS} for name in ("a", "b", "c", "d")}
    for one in engines.values():
        one["gpus"] = sorted(rng.sample(range(cards), rng.choice([n for n in (1, 2, 4) if n <= cards])))
    moments = [{name: rng.choice(lab.STATES) for name in engines} for _ in range(rng.randint(1, 6))]
    return server, engines, moments


def exact(rng, where: str, over: bool):
    """A moment that fills card or RAM to the byte, or with one byte more: whole GiB, whose GB are no larger as a float, so
    that exact fractions judge alike."""
    size = rng.choice([12, 24, 48])
    parts = size * 2**30 + (1 if over else 0)
    one = {"weights_gb": parts / 1e9, "cache_gb": 0.0, "kv_heads": 4, "gpus": [0]}
    server = lab.server(gpus=1, overhead_gb=0.0, asleep_gb=0.0, vram_gib=size if where == "GPU" else 4000, ram_gib=size)
    if (parts / 1e9 * 1e9 > size * 2**30) != over:  # this size does not survive the way through GB
        return exact(rng, where, over)
    state = "awake" if where == "GPU" else "level 1"
    return server, {"it": one}, [{"it": "cold"}, {"it": state}]


def break_row(answer, server, engines, moments) -> tuple:
    """One call of first_break, for `expect_all`."""
    want = _breaks(server, engines, moments)
    got = answer(
        dict(server), {n: {**e, "gpus": list(e["gpus"])} for n, e in engines.items()}, [dict(m) for m in moments]
    )
    named = [((want[0] + 1, want[1]), "moments are counted from 0")] if want else []
    named += [(part, "the answer is a pair: number of the moment and what is full") for part in want or ()]
    named += [(empty, "None is the answer when all moments fit") for empty in (False, ())]
    named += [(_breaks(server, engines, moments, slip), why) for slip, why in SLIPS.items()]
    if want:
        others = [place for place in (*(f"GPU {i}" for i in range(server["gpus"])), "RAM") if place != want[1]]
        why = "several are full: GPUs come first, in their order, then RAM"
        named += [((want[0], place), why) for place in others]
    what = f"{len(moments)} moments of {len(engines)} engines on {server['gpus']} x {server['vram_gib']:.4g} GiB with "
    what += f"{server['ram_gib']:.4g} GiB of RAM."
    if want:
        cards, ram = _usage(server, engines, moments[want[0]], "")
        what += f" Moment {want[0]}: GPUs {', '.join(f'{c:.2f}' for c in cards)} GB, RAM {ram:.2f} GB."
    return what, got, want, named


# Calls


def random_names(rng) -> tuple[str, str]:
    """Names of two engines."""
    return tuple(rng.sample(["alpha", "bravo", "charlie", "delta", "echo"], 2))


def compare_calls(answer, rng, there, back, names=("coding", "documents"), running=True) -> None:
    """Execute the calls of one switch on a server where the two engines never fit together."""
    node = _node(names, back)
    _execute(answer, node, rng, names, there, back, running and there != "cold")


def compare_round_trip(answer, rng, one, other) -> None:
    """Four switches: a goes to `one` when it leaves, b to `other`."""
    names = random_names(rng)
    node = _node(names, other)
    for leaves, there, comes, back in [(names[0], one, names[1], other), (names[1], other, names[0], one)] * 2:
        _execute(answer, node, rng, (leaves, comes), there, back, False)


def _node(names, back) -> Node:
    models, made = lab.models(), day_engines()
    node = Node(lab.server())
    for name, spec in zip(names, made.values(), strict=False):
        node.add(name, complete(spec, models))
    if back != "cold":
        node.step((names[1], "start"), 0.0)
        node.step(lab.calls_down(names[1], back)[0], 100.0)
    node.step((names[0], "start"), 200.0)
    return node


def _execute(answer, node, rng, names, there, back, running) -> None:
    leaves, comes = names
    now = node.clock + 1000
    # An answer that still runs: the task's engines write about 1,400 tokens a second.
    conversation = Request(now - 0.1, leaves, 1000, rng.randint(500, 2000))
    if running:
        node.engines[leaves].admit(conversation)
    steps = answer(leaves, there, comes, back)
    way = f"{leaves} to {there!r}, then {comes} from {back!r}"
    if not isinstance(steps, (list, tuple)):
        raise CheckFailed(f"{way}: the answer is a list of steps.", expected="a list", got=type(steps).__name__)
    for number, step in enumerate(steps, 1):
        where = f"{way}: step {number} of {len(steps)}, {step!r}"
        try:
            status, said = node.step(step, now)
        except (Failure, NoAnswer) as error:
            raise CheckFailed(where, reason=_hint(error, steps, leaves)) from None
        except ValueError as error:
            raise CheckFailed(f"{way}: step {number} of {len(steps)} is no step.", reason=str(error)) from None
        if status >= 400:
            why = explain(step, status, said, node.engines[step[0]].spec)
            raise CheckFailed(where, expected=200, got=status, reason=_hint(why, steps, leaves))
        now = node.clock
    _compare_states(node, steps, way, {leaves: there, comes: "awake"})
    if running and conversation.refused:
        why = "the default mode=abort cuts running answers off: POST /sleep?level=1&mode=wait finishes them first"
        raise CheckFailed(f"{way}: an answer was running.", expected="finished", got=conversation.refused, reason=why)


def _hint(error, steps, leaves: str) -> str:
    text = str(error)
    first = steps[0][0] if steps and isinstance(steps[0], (list, tuple)) and steps[0] else None
    if "out of memory: GPU" in text and first != leaves:
        text += "; the leaving engine goes first, so that there is room"
    return text


def _compare_states(node, steps, way, wanted: dict) -> None:
    for name, want in wanted.items():
        engine = node.engines[name]
        if engine.state == want and not (want == "awake" and engine.paused):
            continue
        reason = None
        if engine.state == "half awake" and not engine.asleep:
            reason = "its weights were never loaded again: after level 2 POST /collective_rpc with reload_weights"
        elif engine.state == "half awake":
            left = ", ".join(sorted(engine.asleep))
            reason = f"it is woken in part only: {left} still sleeps"
        elif any(isinstance(s[-1], dict) and "level" in s[-1] for s in steps if len(s) == 4):
            reason = "/sleep reads no body: the level stands in the query, and without it the level is 1"
        elif engine.state in ("level 1", "level 2") and want == "awake":
            reason = "nothing woke it"
        elif engine.state == "awake":
            reason = "nothing put it to sleep or stopped it"
        elif engine.state in ("level 1", "level 2") and want in ("level 1", "level 2"):
            reason = "the level in the query is another one"
        raise CheckFailed(f"{way}: the state of {name} afterwards.", expected=want, got=engine.state, reason=reason)
