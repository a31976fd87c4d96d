import os
import subprocess
import sys

import pytest

from lessonlib.page import bootstrap

pytest.importorskip("torch")


def run(code, **environment):
    env = {k: v for k, v in os.environ.items() if k not in bootstrap.QUIET} | {"LESSON_DEVICE": "cpu", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)


def test_start_names_the_machine_and_stays_quiet():
    done = run(
        "from lessonlib import page; import sys; print(page.start('05_kv_cache'), 'transformers' in sys.modules)"
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "Lesson 05_kv_cache on this machine" and lines[-1] == "None False"
    assert "CPU" in lines[1] and "torch" in done.stdout and "not used" in done.stdout
    assert done.stderr == ""


def test_the_network_is_a_choice_made_before():
    code = "import os; from lessonlib.page import bootstrap as b; b.start('x'); print(os.environ['HF_HUB_OFFLINE'])"
    done = run(code, HF_HUB_OFFLINE="0")
    assert done.stdout.splitlines()[-1] == "0" and "may be used" in done.stdout


def test_seeds_repeat():
    import random

    import numpy
    import torch

    draws = []
    for _ in range(2):
        bootstrap.seed_all()
        draws.append((random.random(), float(numpy.random.rand()), float(torch.rand(1))))
    assert draws[0] == draws[1] and len(set(draws[0])) == 3


def test_cores_are_between_one_and_what_is_there():
    assert 1 <= bootstrap.cores() <= (os.cpu_count() or 1)


def test_versions_without_import():
    assert bootstrap.version("lessonlib-not-there") == "not installed"
    assert bootstrap.version("torch").startswith("2.")
