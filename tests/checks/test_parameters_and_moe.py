"""The checks of lesson 07 notice a changed shape, and draw shapes that keep mistakes apart."""

import random

import pytest

from lessonlib.checks import parameters_and_moe_cases as cases
from lessonlib.checks.core import CheckFailed, run_check
from lessonlib.labs import parameters_and_moe as lab

pytestmark = pytest.mark.l07


def test_a_changed_shape_is_noticed():
    def count(shape):
        found = lab.count(shape)
        shape["layers"] = 0
        return found

    with pytest.raises(CheckFailed, match="shape was changed"):
        run_check("l07_e1", count)


def test_made_up_shapes_keep_mistakes_apart():
    for seed in range(40):
        shape = cases.shape(random.Random(seed), experts=8)
        for name, want in lab.count(shape).items():
            values = [value for value, _ in cases.count_slips(name, shape, want)]
            assert want not in values or name in ("router",), (name, shape)
