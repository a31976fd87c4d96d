"""The trainer on a tiny corpus: it learns, a killed run goes on exactly, and the export opens with plain transformers."""

import json
import math
from dataclasses import replace

import pytest
import torch

from lessonlib.models.training import trainer
from lessonlib.models.training.__main__ import main
from lessonlib.models.training.card import SOURCES, card
from lessonlib.models.training.export import export
from lessonlib.models.training.presets import MIX, PRESETS, SMALL_MIX, config_for, preset
from lessonlib.models.training.trainer import Run, load_checkpoint, rate, train

from .conftest import tiny_preset, write_corpus


def quiet(line):
    """A report that nobody reads."""


def same_weights(one, other) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_falls(finished):
    _, _, _, state, _ = finished
    losses = [loss for _, loss in state["curve"]]
    assert losses[0] > 4 and losses[-1] < losses[0] / 2
    assert state["tokens"] == state["curve"][-1][0] == 60 * 96


def test_progress_lines_tell_loss_and_speed(corpus, tmp_path):
    lines = []
    train(Run(tiny_preset(tokens=20 * 96), corpus, tmp_path, bf16=False), report=lines.append)
    steps = [line for line in lines if "step" in line]
    assert len(steps) == 1 and "loss" in steps[0] and "tokens/s" in steps[0] and steps[0].startswith("tiny")


class Killed(BaseException):
    """What a kill looks like from inside."""


def test_a_killed_run_goes_on_as_if_nothing_happened(finished, corpus, tmp_path):
    run, model, _, state, _ = finished
    broken = replace(run, out=tmp_path, save_every=0.0)

    def die_at_40(line):
        if "step     40" in line:
            raise Killed

    with pytest.raises(Killed):  # dies after step 40 was taken and before it is saved: step 39 is the checkpoint
        train(broken, report=die_at_40)
    again, _, resumed = train(broken, resume=True, report=quiet)
    assert resumed["curve"] == state["curve"] and resumed["step"] == state["step"]
    assert same_weights(again, model)


def test_a_kill_while_saving_leaves_the_last_checkpoint(corpus, tmp_path, monkeypatch):
    run = Run(tiny_preset(tokens=12 * 96), corpus, tmp_path, bf16=False)
    train(run, report=quiet, stop_after=4)

    def half(data, path):
        path.write_bytes(b"half a file")
        raise Killed

    monkeypatch.setattr(trainer.torch, "save", half)
    with pytest.raises(Killed):
        train(run, resume=True, report=quiet)
    monkeypatch.undo()
    assert load_checkpoint(run)[2]["step"] == 4
    assert train(run, resume=True, report=quiet)[2]["step"] == 12


def test_a_run_is_never_overwritten_or_mixed(finished, corpus):
    run = finished[0]
    with pytest.raises(ValueError, match="--resume"):
        train(run, report=quiet)
    with pytest.raises(ValueError, match="other settings .muon."):
        train(replace(run, shape=tiny_preset(muon=0.5)), resume=True, report=quiet)


def test_a_budget_in_minutes_ends_the_run(corpus, tmp_path):
    run = Run(tiny_preset(tokens=10**9), corpus, tmp_path, bf16=False, minutes=1 / 60)
    _, _, state = train(run, report=quiet)
    assert 1 <= state["seconds"] < 30 and 0 < state["tokens"] < 10**9


def test_windows_grow_to_the_whole_context_at_the_end(corpus, tmp_path, monkeypatch):
    seen = []
    batch = trainer.Sampler.batch
    monkeypatch.setattr(trainer.Sampler, "batch", lambda self, r, s: seen.append((r, s)) or batch(self, r, s))
    train(Run(tiny_preset(tokens=16 * 96), corpus, tmp_path, bf16=False), report=quiet)
    assert seen == [(4, 24)] * 12 + [(2, 48)] * 4


def test_a_finished_run_can_go_on_with_long_windows(corpus, tmp_path):
    run = Run(tiny_preset(tokens=12 * 96, long_share=0.0), corpus, tmp_path / "run", bf16=False)
    train(run, report=quiet)
    longer = replace(run, shape=tiny_preset(tokens=16 * 96, long_share=0.25))
    _, _, state = train(longer, resume=True, report=quiet)
    assert state["step"] == 16 and state["tokens"] == 16 * 96
    record = export(longer, tmp_path / "model")
    assert record["shape"]["long_share"] == 0.25
    assert "the last 25% on windows of 48" in (tmp_path / "model" / "README.md").read_text()


def test_bf16_trains_too(corpus, tmp_path):
    _, _, state = train(Run(tiny_preset(tokens=40 * 96), corpus, tmp_path, bf16=True), report=quiet)
    assert state["curve"][1][1] < state["curve"][0][1] < 9


def test_a_mixture_of_experts_trains_and_exports(corpus, tmp_path):
    from transformers import AutoModelForCausalLM

    shape = tiny_preset(experts=4, active_experts=2, tokens=40 * 96)
    run = Run(shape, corpus, tmp_path / "run", bf16=False)
    _, _, state = train(run, report=quiet)
    assert state["curve"][1][1] < state["curve"][0][1]
    export(run, tmp_path / "moe")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "moe")
    assert type(model).__name__ == "MixtralForCausalLM" and model.config.num_local_experts == 4
    assert "4 experts" in (tmp_path / "moe" / "README.md").read_text()


def test_a_tokenizer_can_be_taken_over(finished, corpus, tmp_path):
    run = finished[0]
    given = run.out / "tokenizer.json"
    _, tokenizer, _ = train(Run(tiny_preset(tokens=96), corpus, tmp_path, bf16=False, tokenizer=given), report=quiet)
    assert tokenizer.to_str() == finished[2].to_str()
    with pytest.raises(ValueError, match="no tokenizer file"):
        trainer.get_tokenizer(Run(tiny_preset(), corpus, tmp_path / "x", tokenizer=tmp_path / "nothing.json"))


def test_the_rate_warms_up_holds_and_falls():
    values = [rate(i / 1000) for i in range(1001)]
    assert values[0] == 0.05 and values[300] == 1 and values[-1] == 0.02
    assert all(0 < value <= 1 for value in values)
    assert values[:20] == sorted(values[:20]) and values[650:] == sorted(values[650:], reverse=True)


def test_export_opens_with_plain_transformers(finished):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, model, tokenizer, _, folder = finished
    opened, hugging = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert opened.dtype == torch.bfloat16 and hugging.model_max_length == 48
    text = "Dora takes two green hats."
    assert hugging.encode(text) == tokenizer.encode(text).ids
    ids = torch.tensor([hugging.encode(text)])
    with torch.no_grad():
        rounded = opened.float()(ids).logits
        exact = model(ids).logits
    assert (rounded - exact).abs().max() < 0.3
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in folder.iterdir())


def test_the_card_is_made_from_the_record(finished, capsys):
    folder = finished[4]
    record = json.loads((folder / "training.json").read_text())
    text = (folder / "README.md").read_text()
    assert text == card(record)
    for value in (f"{record['parameters']:,}", f"{record['tokens_seen']:,}", f"{record['bits_per_byte']['all']:.3f}"):
        assert value in text
    short = card(record | {"curve": []})  # a run too short for a point of the curve: a row less, no gap in the table
    assert len(short.splitlines()) == len(text.splitlines()) - 1 and "last training loss" not in short
    (folder / "README.md").write_text("edited by hand")
    assert main(["--card", str(folder)]) == 0
    assert (folder / "README.md").read_text() == text


def test_a_new_export_replaces_the_old_one_as_a_whole(finished, tmp_path):
    run = finished[0]
    export(run, tmp_path / "m")
    (tmp_path / "m" / "left.over").write_text("old")
    export(run, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"] and not (tmp_path / "m" / "left.over").exists()


def test_presets_have_the_shapes_of_the_plan():
    from lessonlib.models.shapes import parameters

    counts = {}
    for name in PRESETS:
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            counts[name] = parameters(AutoModelForCausalLM.from_config(config_for(preset(name))))
    assert {name: round(count / 1e6, 2) for name, count in counts.items()} == {
        "mini": 3.15, "target": 15.74, "draft": 2.52, "moe": 6.70,
    }  # fmt: skip
    assert len({PRESETS[name].context for name in PRESETS}) == 1
    assert "novels" not in SMALL_MIX and math.isclose(sum(MIX.values()), 1) and set(SMALL_MIX) < set(MIX)
    assert set(MIX) == set(SOURCES)
    with pytest.raises(ValueError, match="mini, target, draft, moe"):
        preset("maxi")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "maxi", "--out", "OUT", "--corpus", "CORPUS"], "'maxi'"),
        (["--model", "mini", "--out", "OUT"], "--corpus is missing"),
        (["--model", "mini", "--out", "OUT", "--corpus", "NOWHERE"], "No corpus"),
        (["--model", "mini", "--out", "OUT", "--corpus", "CORPUS", "--minutes", "0"], "--minutes is 0"),
        (["--model", "mini", "--out", "OUT", "--corpus", "CORPUS", "--tokens", "-5"], "--tokens is -5"),
        (["--model", "mini", "--out", "OUT", "--corpus", "CORPUS", "--device", "abacus"], "'abacus'"),
        (["--model", "mini", "--out", "OUT", "--corpus", "CORPUS", "--export", "OUT/m"], "no checkpoint"),
        (["--model", "mini", "--out", "OUT", "--corpus", "CORPUS", "--tokens", "10"], "no part 'tinystories'"),
        (["--model", "mini", "--out", "OUT", "--corpus", "CORPUS", "--long-share", "2"], "--long-share is 2.0"),
        (["--card", "NOWHERE"], "training.json"),
    ],
)
def test_the_command_says_mistakes_in_one_line(tmp_path, capsys, arguments, says):
    corpus = write_corpus(tmp_path / "corpus", {"stories": ["a b c"]})
    places = {"OUT": str(tmp_path / "out"), "CORPUS": str(corpus), "NOWHERE": str(tmp_path / "nowhere")}
    assert main([places.get(word, word.replace("OUT/", str(tmp_path) + "/")) for word in arguments]) == 2
    message = capsys.readouterr().err
    assert says in message and message.count("\n") == 1
