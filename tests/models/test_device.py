"""Which device: argument, then LESSON_DEVICE, then the best there is; one sentence when it is not there."""

import builtins

import pytest
import torch

from lessonlib.models import default_dtype, describe_device, pick_device


@pytest.fixture
def machine(monkeypatch):
    """A function that makes this machine look as if it had these accelerators."""
    monkeypatch.delenv("LESSON_DEVICE", raising=False)

    def make(cuda: int = 0, mps: bool = False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    make()
    return make


def refused(*arguments) -> str:
    with pytest.raises(ValueError) as caught:
        pick_device(*arguments)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    return str(caught.value)


def test_the_order(machine, monkeypatch):
    assert pick_device() == torch.device("cpu")
    machine(mps=True)
    assert pick_device() == torch.device("mps")
    machine(cuda=2, mps=True)
    assert pick_device() == torch.device("cuda")
    monkeypatch.setenv("LESSON_DEVICE", "mps")
    assert pick_device() == torch.device("mps")
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setenv("LESSON_DEVICE", "")
    assert pick_device() == torch.device("cuda")


def test_what_is_not_there_is_refused(machine, monkeypatch):
    assert "only cpu" in refused("cuda")
    assert "'gpu' is not known" in refused("gpu")
    machine(cuda=1)
    assert "1 GPU(s)" in refused("cuda:1")
    assert "not a device" in refused("cuda:one")
    monkeypatch.setenv("LESSON_DEVICE", "tpu")
    assert "'tpu'" in refused()


@pytest.mark.parametrize(
    ("capability", "dtype"), [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16)]
)
def test_the_dtype_follows_the_device(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert default_dtype("cuda") == dtype
    assert default_dtype("cpu") == torch.float32 and default_dtype("mps") == torch.float16


def test_the_description_of_this_cpu():
    made = describe_device("cpu")
    assert made["device"] == "cpu" and made["dtype"] == "float32" and made["torch"] == torch.__version__
    assert made["name"] and made["threads"] >= 1
    if made["memory_bytes"] is not None:
        assert 0 < made["free_bytes"] <= made["memory_bytes"]


def test_a_silent_system_leaves_gaps_and_no_error(machine, monkeypatch):
    def deny(path, *arguments, **options):
        raise OSError(path)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", deny)
        made = describe_device("cpu")
    assert made["memory_bytes"] is None and made["free_bytes"] is None

    def fail(*_):
        raise RuntimeError("driver")

    machine(cuda=1)
    for name in ("get_device_name", "mem_get_info"):
        monkeypatch.setattr(torch.cuda, name, fail)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    made = describe_device("cuda")
    assert made["name"] is None and made["memory_bytes"] is None and made["dtype"] == "bfloat16"
