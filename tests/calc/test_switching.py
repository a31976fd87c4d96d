"""Cold starts, sleep levels and what two models on one GPU lose in a day."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import switching
from lessonlib.facts import catalog

sizes = st.floats(1e6, 1e12)
speeds = st.floats(0.01, 2_000)


def test_a_cold_start_adds_up_its_steps():
    start = switching.cold_start(30e9, storage=3, link=30, stop_s=5, process_start_s=10, warm_up_s=20)
    assert dict(start) == {
        "stop": 5,
        "process start": 10,
        "read from storage": 10,
        "copy to GPU": 1,
        "warm up": 20,
    }
    assert start.total == 46 and start.unit == "s"


def test_reading_and_copying_can_overlap():
    start = switching.cold_start(30e9, storage=3, link=30, overlap=True)
    assert start["read and copy"] == 10 == start.total
    assert switching.cold_start(30e9, storage=30, link=3, overlap=True).total == 10


def test_level_1_copies_out_and_back():
    one = switching.sleep_level_1(19.3e9, link=32, overhead_s=0.5)
    assert one["sleep"] == one["wake"] == pytest.approx(0.603125)
    assert switching.host_ram_bytes([19.3e9, 39.8e9], 1) == pytest.approx(59.1e9)


def test_level_2_reads_again_and_keeps_no_ram():
    two = switching.sleep_level_2(19.3e9, storage=3, link=32)
    assert two["sleep"] == 0 and two["read from storage"] == pytest.approx(6.4333, rel=1e-4)
    assert switching.host_ram_bytes([19.3e9], 2) == 0


def test_an_exchange_takes_the_sleep_of_one_and_the_wake_of_the_other():
    small, large = switching.sleep_level_1(10e9, 10), switching.sleep_level_1(40e9, 10, overhead_s=1)
    change = switching.exchange(leaves=small, comes=large)
    assert dict(change) == {"sleep": 1, "wake": 4, "overhead": 1} and change.total == 6
    back = switching.exchange(leaves=large, comes=small)
    assert back.total == 4 + 1
    assert switching.round_trips(change, back, per_day=3) == 3 * 11
    assert switching.round_trips(50, 50) == 100
    cold = switching.cold_start(10e9, 1, 10)
    assert switching.exchange(cold, cold).total == 11  # a cold start has no sleep of its own


def test_against_the_published_timings():
    published = catalog.table("engines")["vllm_sleep_mode"]["published_timings"]
    low, high = published["wake_l1_s"]
    wake = switching.sleep_level_1(19.3e9, link=32)["wake"]
    assert switching.compare(wake, (low, high)) == "within"
    assert switching.compare(low / 2, (low, high)) == "below" and switching.compare(high * 2, (low, high)) == "above"
    assert switching.compare(low, (low, high)) == switching.compare(high, (low, high)) == "within"


@given(sizes, speeds, speeds, st.floats(1.01, 10))
def test_twice_the_speed_never_takes_longer(size, storage, link, factor):
    slow, fast = switching.cold_start(size, storage, link), switching.cold_start(size, storage * factor, link)
    assert fast.total < slow.total
    assert switching.cold_start(size, storage, link * factor).total <= slow.total
    assert switching.cold_start(size, storage, link, overlap=True).total < slow.total


@given(sizes, speeds)
def test_seconds_grow_with_the_size(size, speed):
    one, two = switching.transfer_seconds(size, speed), switching.transfer_seconds(2 * size, speed)
    assert two == pytest.approx(2 * one)
    assert switching.speed_up(two, one) == pytest.approx(2)


@given(sizes, speeds, speeds)
def test_waking_at_level_2_is_level_1_and_the_storage(size, storage, link):
    first, second = switching.sleep_level_1(size, link), switching.sleep_level_2(size, storage, link)
    assert second.total == pytest.approx(first["wake"] + switching.transfer_seconds(size, storage))


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "3", None])
def test_speeds_and_sizes_must_be_above_zero(wrong):
    for call in (
        lambda: switching.cold_start(wrong, 3, 30),
        lambda: switching.cold_start(1e9, wrong, 30),
        lambda: switching.sleep_level_1(1e9, wrong),
        lambda: switching.sleep_level_2(1e9, 3, wrong),
    ):
        with pytest.raises(ValueError, match="above 0"):
            call()


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: switching.cold_start(1e9, 3, 30, warm_up_s=-1), "warm_up_s is -1"),
        (lambda: switching.host_ram_bytes([1e9], 3), "vLLM has levels 1 and 2"),
        (lambda: switching.compare(1, (6, 0.1)), "must be \\(low, high\\)"),
        (lambda: switching.speed_up(5, 0), "state its overhead"),
        (lambda: switching.round_trips(1, 1, per_day=-1), "per_day is -1"),
    ],
)
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
