"""The parts of the recipe beyond the loop: a model to grow from, a teacher, looks at held-out text, settings of a preset."""

import json
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from lessonlib.models import embedded_path
from lessonlib.models.training import evaluate, trainer
from lessonlib.models.training.__main__ import main
from lessonlib.models.training.card import card
from lessonlib.models.training.export import export
from lessonlib.models.training.presets import MIX, SMALL_MIX, changed, preset
from lessonlib.models.training.trainer import Run, divergence, early, load_checkpoint, train

from .conftest import tiny_documents, tiny_preset
from .test_trainer import quiet, same_weights


def test_a_run_grows_from_a_smaller_model_and_goes_on_from_its_checkpoint(finished, corpus, tmp_path):
    run, small, _, _, folder = finished
    shape = tiny_preset(hidden=64, feed_forward=128, layers=3, tokens=20 * 96, start="tiny")
    made = Run(shape, corpus, tmp_path / "run", bf16=False, tokenizer=run.out / "tokenizer.json", start=folder)
    train(made, report=quiet, stop_after=1)
    losses = score(load_checkpoint(made)[0], run), score(small, run)
    assert losses[0] == pytest.approx(losses[1], abs=0.3)  # one step away; an untrained model needs 3 bits more
    again, _, state = train(replace(made, start=None), resume=True, report=quiet)  # the start is not read again
    assert state["step"] == 20 and score(again, run) < losses[0] + 0.1
    assert "grown from `tiny`" in card(export(made, tmp_path / "model"))


def score(model, run) -> float:
    return evaluate.bits_per_byte(model, trainer.get_tokenizer(run), tiny_documents(3, 20))


def test_a_student_comes_nearer_to_its_teacher_than_one_without(finished, corpus, tmp_path):
    run, teacher, tokenizer, _, folder = finished
    ids = torch.tensor([tokenizer.encode("Ann sees a red ball. Ben likes the old boat. Cid takes a small stone.").ids])
    apart = {}
    for share in (0.0, 1.0):
        shape = tiny_preset(hidden=16, tokens=60 * 96, teacher="tiny", distil_share=share, distil_weight=1.0)
        made = Run(
            shape, corpus, tmp_path / str(share), bf16=False, tokenizer=run.out / "tokenizer.json", teacher=folder
        )
        student, _, _ = train(made, report=quiet)
        with torch.no_grad():
            apart[share] = divergence(teacher(ids).logits, student(ids).logits).item()
    assert apart[1.0] < 0.97 * apart[0.0]
    record = export(made, tmp_path / "student")
    assert 1 <= record["probes"]["accepted_stories"] <= 5 and "As a draft for `tiny`" in card(record)


def test_divergence_is_the_gap_between_cross_entropy_and_entropy():
    torch.manual_seed(0)
    wanted, logits = torch.randn(2, 3, 7), torch.randn(2, 3, 7)
    p = wanted.flatten(0, 1).softmax(-1)
    entropy = -(p * p.log()).sum(-1).mean()
    gap = cross_entropy(logits.flatten(0, 1), p) - entropy
    assert divergence(wanted, logits).item() == pytest.approx(gap.item(), rel=1e-5)
    assert divergence(wanted, wanted).item() == pytest.approx(0, abs=1e-6)


def test_balance_is_one_for_even_routers_and_grows_to_the_number_of_experts():
    even = 100.0 * torch.eye(4)
    assert trainer.balance([even], 1).item() == pytest.approx(1)
    starved = torch.tensor([[9.0, 0, 0, 0]]).repeat(8, 1)
    assert trainer.balance([starved], 1).item() == pytest.approx(4, rel=0.01)
    fed = starved.roll(1, dims=-1)  # another layer feeds the expert that this one starves: both still count
    assert trainer.balance([starved, fed], 1).item() == pytest.approx(4, rel=0.01)
    twice = torch.tensor([[9.0, 9, 0, 0], [0, 0, 9, 9]])
    assert trainer.balance([twice], 2).item() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("role", ["teacher", "start"])
def test_a_model_that_is_missing_or_speaks_another_language_is_refused(finished, corpus, tmp_path, role):
    shape = tiny_preset(**{role: "tiny"}, distil_share=0.5, tokens=96)
    with pytest.raises(ValueError, match=f"--{role} DIR"):
        train(Run(shape, corpus, tmp_path / "a", bf16=False, **{role: tmp_path}), report=quiet)
    broken = json.loads((finished[4] / "tokenizer.json").read_text())
    broken["model"]["vocab"]["Ann"] = 4095
    (tmp_path / "tokenizer.json").write_text(json.dumps(broken))
    (tmp_path / "config.json").write_text("{}")
    given = finished[0].out / "tokenizer.json"
    run = Run(shape, corpus, tmp_path / "b", bf16=False, tokenizer=given, **{role: tmp_path})
    with pytest.raises(ValueError, match="another vocabulary"):
        train(run, report=quiet)


def test_early_stops_only_after_looks_without_a_better_score():
    falling = [[n, 2.0 - n / 10] for n in range(9)]
    assert not early([]) and not early(falling)
    assert not early([*falling, [9, 3.0], [10, 3.0]])
    assert early([*falling, [9, 3.0], [10, 3.0], [11, 1.3]])


def test_the_best_weights_are_kept_and_a_hopeless_run_ends(corpus, tmp_path, monkeypatch):
    scores = iter([3.0, 2.0, *[2.5] * 20])
    monkeypatch.setattr(trainer, "bits_per_byte", lambda *_: scores.__next__())
    run = Run(tiny_preset(tokens=24 * 96, mix={"stories": 1.0}, long_share=0.0), corpus, tmp_path / "run", bf16=False)
    last, _, state = train(run, report=quiet)
    assert [score for _, score in state["valid"]] == [3.0, 2.0, *[2.5] * 7]  # and not before the rate falls
    assert state["step"] == 18
    model, _, state, _ = load_checkpoint(run)
    assert state["best_tokens"] == state["valid"][1][0] == 4 * 96 and not same_weights(model, last)
    monkeypatch.undo()
    record = export(run, tmp_path / "model")
    assert record["best_tokens"] == 384 and "the best of 9 looks at held-out text: 2.000" in card(record)


def test_looking_at_held_out_text_does_not_change_the_training(finished, corpus, tmp_path, monkeypatch):
    run, model, _, state, _ = finished
    assert len(state["valid"]) == trainer.CHECKS and state["valid"][-1][1] < state["valid"][0][1]
    monkeypatch.setattr(trainer, "CHECKS", 0)
    blind, _, unseen = train(replace(run, out=tmp_path), report=quiet)
    assert unseen["valid"] == [] and same_weights(blind, model)
    assert same_weights(load_checkpoint(replace(run, out=tmp_path))[0], model)  # nothing better is known: the last


def test_a_longer_budget_brings_further_looks(corpus, tmp_path):
    shape = tiny_preset(tokens=12 * 96, long_share=0.0)
    train(Run(shape, corpus, tmp_path, bf16=False), report=quiet)
    _, _, state = train(Run(replace(shape, tokens=24 * 96), corpus, tmp_path, bf16=False), resume=True, report=quiet)
    tokens = [seen for seen, _ in state["valid"]]
    assert len(tokens) == trainer.CHECKS + 6 and tokens == sorted(set(tokens)) and tokens[-1] == 24 * 96


def test_settings_of_a_preset():
    target = preset("target")
    made = changed(target, ["dropout=0", "sequence=256", "mix=simple", "muon=0.01", "teacher=mini"])
    assert (made.dropout, made.sequence, made.mix, made.muon, made.teacher) == (0.0, 256, SMALL_MIX, 0.01, "mini")
    assert made.layers == target.layers and target.mix == MIX and changed(target, []) == target


@pytest.mark.parametrize(
    ("setting", "says"),
    [("depth=3", "'depth' is no setting"), ("layers=many", "takes int values"), ("layers=-1", "below 0"),
     ("muon=nan", "below 0"), ("mix=wild", "full, simple"), ("name=x", "'name' is no setting"), ("layers", "takes int")],
)  # fmt: skip
def test_wrong_settings_are_refused(setting, says, tmp_path, capsys):
    with pytest.raises(ValueError, match=says):
        changed(preset("mini"), [setting])
    arguments = ["--model", "mini", "--out", str(tmp_path), "--corpus", str(tmp_path), "--set", setting]
    assert main(arguments) == 2 and says in capsys.readouterr().err


def test_probing_again_writes_the_same_record(finished, tmp_path):
    folder = finished[4]
    before = (folder / "training.json").read_text()
    record = json.loads(before)
    (folder / "training.json").write_text(json.dumps(record | {"probes": {}}))
    assert main(["--probe", str(folder)]) == 0
    assert (folder / "training.json").read_text() == before and (folder / "README.md").read_text() == card(record)


def test_the_card_says_when_a_processor_did_only_a_part_of_the_recipe(finished):
    record = json.loads((finished[4] / "training.json").read_text())
    whole = record["shape"]["tokens"]
    part = record | {"device": "a processor (cpu)", "tokens_seen": whole // 4}
    assert f"Trained on a processor: 25% of the {whole:,} tokens" in card(part)
    for done in ({"tokens_seen": whole}, {"device": "a GPU (cuda)"}):
        assert "Trained on a processor" not in card(part | done)
    assert f"The run ended at 25% of the {whole:,} tokens" in card(part | {"device": "a GPU (cuda)"})
    assert "The run ended" not in card(part) and "The run ended at 46% of the 150,000,000" in card(
        embedded_record("target")
    )


def embedded_record(name: str) -> dict:
    return json.loads((embedded_path(name) / "training.json").read_text())
