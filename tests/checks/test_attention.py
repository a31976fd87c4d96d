"""The checks of lesson 03 notice arguments that were changed."""

import pytest

from lessonlib.checks.core import CheckFailed, run_check
from lessonlib.labs import attention as lab
from lessonlib.labs import attention_heads as heads

pytestmark = pytest.mark.l03


RIGHT = {"l03_e1": lab.attention_weights, "l03_e2": lab.rotate, "l03_e3": heads.back_score}


@pytest.mark.parametrize("name", RIGHT)
def test_changed_arguments_are_noticed(name):
    def spoils(first, *rest):
        given = RIGHT[name](first.clone(), *rest)
        first.zero_()
        return given

    with pytest.raises(CheckFailed, match="changed in place"):
        run_check(name, spoils)
