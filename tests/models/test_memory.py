"""Loading takes little more memory than the model itself: measured in a fresh process, on weights that fill 130 MB."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lessonlib.models import embedded_path

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc")

CHILD = """
import gc, json, sys
from lessonlib.models import load

def now(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))

load("mini", device="cpu")  # so that every library is imported, and has its own memory, before the count begins
gc.collect()
resident, anonymous = now("VmRSS"), now("RssAnon")
try:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the highest resident size starts again from here
except OSError:
    pass  # it then counts from the start of the process: the bound only gets harder
model, _ = load(sys.argv[1], device="cpu")
peak = now("VmHWM") - resident
weights = sum(p.numel() * p.element_size() for p in model.parameters())
print(json.dumps({"weights": weights, "peak": peak / weights, "anonymous": (now("RssAnon") - anonymous) / weights,
                  "dtype": str(model.dtype)}))
"""


@pytest.fixture(scope="module", params=["llama", "mixtral"])
def model(request):
    """A model of 32 million parameters; what they are does not matter. The experts of a mixture are stored one by one
    and stacked when they are read."""
    from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

    common = dict(vocab_size=4096, num_key_value_heads=2, num_attention_heads=6, tie_word_embeddings=False)
    if request.param == "llama":
        return LlamaForCausalLM(LlamaConfig(hidden_size=768, intermediate_size=2048, num_hidden_layers=4, **common))
    shape = dict(hidden_size=384, intermediate_size=512, num_hidden_layers=6, num_local_experts=8)
    return MixtralForCausalLM(MixtralConfig(**shape, **common))


@pytest.mark.parametrize(("dtype", "shard"), [("bfloat16", "15MB"), ("float32", "5GB")])
def test_a_load_peaks_at_a_fifth_over_the_weights(model, tmp_path, dtype, shard):
    """Whichever way they are stored. Pages of a mapped file count as well; and the weights must be in memory at the end,
    so that the bound is not kept by reading them later."""
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path, max_shard_size=shard)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_path("mini") / file, tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["dtype"] == "torch.float32" and found["weights"] > 120e6, found
    assert found["peak"] <= 1.2 and found["anonymous"] > 0.9, found
