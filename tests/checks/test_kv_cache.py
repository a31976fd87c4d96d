"""The checks of lesson 05 notice a changed cache, and agree with the library's formulas."""

import pytest

from lessonlib.calc import memory
from lessonlib.checks import kv_cache as checks
from lessonlib.checks.core import CheckFailed, run_check
from lessonlib.labs import kv_cache as lab

pytestmark = pytest.mark.l05


def cache_bytes(shape, tokens, batch, bytes_per_value):
    return 2 * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * tokens * batch * bytes_per_value


def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    room = card_gib * 2**30 - weights_bytes - overhead_bytes
    return max(0, int(room // cache_bytes(shape, 1, batch, bytes_per_value)))


def test_a_mutated_old_cache_is_noticed():
    def append(cache, keys, values):
        grown = lab.append(cache, keys, values)
        if cache is not None:
            cache[0].zero_()
        return grown

    with pytest.raises(CheckFailed, match="changed in place"):
        run_check("l05_e1", append)


def test_context_agrees_with_calc():
    case = checks._load(24, checks._awq("qwen2.5-coder-32b"), 1)
    room = memory.card_bytes(24) - case["weights_bytes"] - case["overhead_bytes"]
    want = memory.tokens_that_fit(room, **checks._kept(case["shape"]))
    assert checks._ask_context(longest_context, case) == want > 10_000
