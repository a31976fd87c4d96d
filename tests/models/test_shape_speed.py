"""The cache that is made once gives what the model's own cache gives, and nothing in it moves."""

import torch

from lessonlib.models import shape, shape_speed


def test_the_cache_stays_where_it_is_and_serves_fewer_sequences():
    model = shape("qwen3-0.6b", layers=2, thin=True).materialise()
    cache = shape_speed.slots(model, batch=4, room=30)
    places = [t.data_ptr() for layer in cache.layers for t in layer.room]
    text = shape_speed.step(model, cache, torch.ones(3, 20, dtype=torch.long), 0)
    assert text.shape == (3, 1) and cache.get_seq_length() == 20
    for past in (20, 21, 20):  # a step may be taken again
        text = shape_speed.step(model, cache, text, past)
    assert cache.get_seq_length() == 21
    assert places == [t.data_ptr() for layer in cache.layers for t in layer.room]


def test_logits_with_the_made_once_cache_are_those_without():
    model = shape("qwen3-0.6b", layers=2, thin=True).materialise(dtype="float32")
    ids = torch.arange(12)[None]
    cache = shape_speed.slots(model, batch=1, room=16)
    for layer in cache.layers:
        layer.room = [t.float() for t in layer.room]
    with torch.no_grad():
        model(input_ids=ids[:, :11], past_key_values=cache)
        last = model(input_ids=ids[:, 11:], past_key_values=cache).logits[:, -1]
        assert torch.allclose(last, model(input_ids=ids).logits[:, -1], atol=1e-5)
    assert cache.get_seq_length() == 12


def test_ceilings_and_rates_are_positive():
    found = {name: (unit, samples) for name, unit, samples in shape_speed.ceilings(torch.device("cpu"))}
    assert {name: unit for name, (unit, _) in found.items()} == {
        "copy": "GB/s", "triad": "GB/s", "matmul": "TFLOP/s",
    }  # fmt: skip
    assert all(len(samples) == 7 and min(samples) > 0 for _, samples in found.values())
    model = shape("qwen3-0.6b", layers=1, thin=True).materialise()
    cache = shape_speed.slots(model, batch=2, room=16 + shape_speed.STEPS)
    assert shape_speed.prefill(model, cache, rows=2, context=16) > 0
    assert shape_speed.decode(model, cache, batch=2, context=16) > 0
