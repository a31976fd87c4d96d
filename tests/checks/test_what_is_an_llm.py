"""The checks of lesson 02 ask the learner's loop with copies."""

import pytest

from lessonlib.checks.core import run_check

pytestmark = pytest.mark.l02


def test_the_model_is_asked_with_copies():
    """What a loop does to its list after a question must not change what the check remembers."""

    def shares(next_logits, ids, new, stop):
        text = list(ids)
        for _ in range(new):
            logits = next_logits(text)
            text.append(logits.index(max(logits)))
            if text[-1] == stop:
                break
        return text[len(ids) :]

    run_check("l02_e2", shares)
