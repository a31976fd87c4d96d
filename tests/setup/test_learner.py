"""A learner's own numbers: the same name gives the same ones everywhere, another name others."""

import pytest

from lessonlib import learner


def test_the_name_is_the_accounts_unless_one_is_given(monkeypatch):
    for name in learner.NAMES:
        monkeypatch.delenv(name, raising=False)
    assert learner.name() == "nobody" and learner.seed() == learner.seed("nobody")
    monkeypatch.setenv("USER", "ada")
    assert learner.seed() == learner.seed("ada") != learner.seed("grace")
    monkeypatch.setenv("JUPYTERHUB_USER", "")
    assert learner.name() == "ada"
    monkeypatch.setenv("LESSON_SEED", "grace")
    assert learner.name() == "grace" and learner.seed() == learner.seed("grace")


@pytest.mark.parametrize("name", ["ada", "Zoë", "學生"])
def test_a_seed_fits_everywhere(name):
    assert 0 <= learner.seed(name) < 2**32
