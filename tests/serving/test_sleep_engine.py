"""Engines with sleep mode: states, memory to the byte, times, statuses and bodies of the routes."""

import json

import pytest

from lessonlib.calc import memory, switching
from lessonlib.facts import catalog
from lessonlib.labs import deployment_plan as task
from lessonlib.serving import wire
from lessonlib.serving.sleep_engine import Failure, NoAnswer, Request
from lessonlib.serving.sleep_node import Node, complete

pytestmark = pytest.mark.l16
RELOAD = {"method": "reload_weights"}


def call(node, engine, method, target, body=None):
    """(status, body as text) of one call, now."""
    return node.step((engine, method, target, body), node.clock)


def sleeping(node, engine="coding"):
    return json.loads(call(node, engine, "GET", "/is_sleeping")[1])["is_sleeping"]


# Memory and time


def test_an_awake_engine_holds_what_the_course_reckons(node, models):
    m = catalog.model("llama-3.3-70b")
    node.step(("coding", "stop"), 0)
    node.step(("documents", "start"), 0)
    weights = memory.awq_weight_bytes(m.total_params_exact, m.embedding_params_exact, m.tied_embeddings)
    shape = dict(layers=m.layers, attention_heads=m.attention_heads, kv_heads=m.kv_heads, head_dim=m.head_dim)
    want = memory.gpu_budget(weights=weights, tokens=16_384, batch=2, tp=2, **shape).total
    assert node.gpu_bytes() == pytest.approx([want, want], rel=1e-12)
    assert node.ram_bytes() == 0


def test_asleep_it_keeps_little(node):
    size = node.engines["coding"].spec["weights_gb"] * 1e9
    call(node, "coding", "POST", "/sleep?level=1")
    assert node.gpu_bytes() == [0.5e9, 0.5e9] and node.ram_bytes() == size
    call(node, "coding", "POST", "/wake_up")
    assert node.ram_bytes() == 0 and node.gpu_bytes()[0] > 20e9
    call(node, "coding", "POST", "/sleep?level=2")
    assert node.gpu_bytes() == [0.5e9, 0.5e9] and node.ram_bytes() == 0
    node.step(("coding", "stop"), node.clock)
    assert node.gpu_bytes() == [0, 0]


def test_partial_wake_up_takes_the_memory_in_two_parts(node):
    call(node, "coding", "POST", "/sleep?level=2")
    spec = node.engines["coding"].spec
    call(node, "coding", "POST", "/wake_up?tags=weights")
    assert node.gpu_bytes()[0] == pytest.approx((spec["weights_gb"] / 2 + 0.5) * 1e9)
    call(node, "coding", "POST", "/wake_up?tags=kv_cache")
    assert node.gpu_bytes()[0] == pytest.approx((spec["weights_gb"] / 2 + spec["cache_gb"] / 2 + 1.5) * 1e9)


@pytest.mark.parametrize("there", ["cold", "level 1", "level 2"])
@pytest.mark.parametrize("back", ["cold", "level 1", "level 2"])
def test_switches_take_what_the_lab_and_the_calculator_say(node, there, back):
    server, (coding, documents) = node.server, (e.spec for e in node.engines.values())
    node.step(("coding", "stop"), 0)
    if back != "cold":
        node.step(("documents", "start"), 0)
        node.step(task.calls_down("documents", back)[0], node.clock)
    node.step(("coding", "start"), node.clock)
    begun = node.clock
    for step in task.switch_calls("coding", there, "documents", back):
        assert node.step(step, node.clock)[0] in (0, 200)
    assert node.engines["documents"].state == "awake" and node.engines["coding"].state == there
    want = task.switch_seconds(server, coding, there, documents, back)
    assert node.clock - begun == pytest.approx(want)
    if there == back:
        link, names = 2 * server["link_gbs"], dict(process_start_s=15.0, warm_up_s=20.0, stop_s=5.0)
        if there == "cold":
            alone = switching.cold_start(documents["weights_gb"] * 1e9, server["storage_gbs"], link, **names).total
            assert want == pytest.approx(alone)
        else:
            ways = {
                "level 1": lambda s: switching.sleep_level_1(s["weights_gb"] * 1e9, link, overhead_s=0.5),
                "level 2": lambda s: switching.sleep_level_2(s["weights_gb"] * 1e9, 5.0, link, overhead_s=0.5),
            }
            assert want == pytest.approx(switching.exchange(ways[there](coding), ways[there](documents)).total)


def test_two_that_do_not_fit_are_refused_and_nothing_changes(node):
    before = node.gpu_bytes(), node.ram_bytes()
    with pytest.raises(Failure, match="out of memory: GPU 0 would hold .* of 34.4 GB"):
        node.step(("documents", "start"), node.clock)
    assert (node.gpu_bytes(), node.ram_bytes()) == before and node.engines["documents"].state == "cold"


def test_ram_is_counted(models):
    node = Node(task.server(ram_gib=39))
    node.add("coding", complete(task.engine(models, "qwen3-coder-next", 4, [0, 1], 1024, 1), models))
    node.step(("coding", "start"), 0)
    status, said = call(node, "coding", "POST", "/sleep?level=1")
    assert status == 500 and "42.3 GB of 41.9 GB of RAM" in said
    assert node.engines["coding"].state == "awake" and not sleeping(node)
    assert call(node, "coding", "POST", "/sleep?level=2")[0] == 200


@pytest.mark.parametrize(
    "change, says",
    [
        (dict(gpus=[0, 2]), "names GPU 2"), (dict(context=300_000), "262,144 tokens at most"), (dict(sequences=2000), "out of memory"),
    ],
)  # fmt: skip
def test_a_process_that_cannot_start_says_why(models, change, says):
    node = Node(task.server())
    spec = task.engine(models, "qwen3-coder-next", 4, [0, 1], 32_768, 4)
    node.add("coding", complete({**spec, **change}, models))
    with pytest.raises(Failure, match=says):
        node.step(("coding", "start"), 0)


def test_key_value_heads_must_be_dealt_out(models):
    node = Node(task.server(gpus=3))
    node.add("coding", complete(task.engine(models, "qwen3-8b", 4, [0, 1, 2], 1024, 1), models))
    with pytest.raises(Failure, match="8 key-value heads cannot be dealt out to 3 GPUs"):
        node.step(("coding", "start"), 0)


def test_sizes_come_from_the_model_and_not_from_the_plan(models):
    spec = task.engine(models, "qwen3-8b", 4, [0], 1024, 1)
    made = complete({**spec, "weights_gb": 0.001, "cache_gb": 0}, models)
    assert made["weights_gb"] == models["qwen3-8b"]["weights_gb"][4] and made["cache_gb"] > 0


# Routes


def test_the_documented_sequences(node):
    assert call(node, "coding", "POST", "/sleep?level=1") == (200, "")
    assert sleeping(node)
    assert call(node, "coding", "POST", "/wake_up") == (200, "")
    assert not sleeping(node)
    assert call(node, "coding", "POST", "/sleep?level=2") == (200, "")
    assert call(node, "coding", "POST", "/wake_up?tags=weights") == (200, "")
    assert sleeping(node)  # until all is awake
    assert call(node, "coding", "POST", "/collective_rpc", RELOAD) == (200, '{"results": [null, null]}')
    assert call(node, "coding", "POST", "/wake_up?tags=kv_cache") == (200, "")
    assert not sleeping(node) and node.engines["coding"].state == "awake"


@pytest.mark.parametrize(
    "method, target, body, status",
    [
        ("POST", "/v1/sleep", {"level": "l1"}, 404), ("POST", "/v1/wake", None, 404), ("POST", "/wake", None, 404),
        ("GET", "/sleep?level=1", None, 405), ("POST", "/is_sleeping", None, 405), ("POST", "/sleep?level=l1", None, 500),
        ("POST", "/sleep?level=1&mode=now", None, 500), ("POST", "/collective_rpc", None, 400),
        ("POST", "/collective_rpc", {"name": "reload_weights"}, 400), ("POST", "/collective_rpc", {"method": "dance"}, 500),
        ("GET", "/health", None, 200), ("GET", "/", None, 404),
    ],
)  # fmt: skip
def test_statuses(node, method, target, body, status):
    assert call(node, "coding", method, target, body)[0] == status
    assert node.engines["coding"].state == "awake"


@pytest.mark.parametrize("target", ["/sleep?level=1", "/wake_up", "/is_sleeping", "/collective_rpc"])
def test_without_development_mode_the_routes_do_not_exist(models, target):
    node = Node(task.server())
    spec = task.engine(models, "qwen3-8b", 4, [0], 1024, 1)
    node.add("coding", complete({**spec, "sleep_mode": False}, models))
    node.step(("coding", "start"), 0)
    assert call(node, "coding", "POST", target) == (404, '{"detail": "Not Found"}')


def test_sleep_reads_no_body_and_level_1_is_the_default(node):
    assert call(node, "coding", "POST", "/sleep", {"level": 2})[0] == 200
    assert node.engines["coding"].state == "level 1"


def test_sleeping_twice_and_waking_the_awake_change_nothing(node):
    call(node, "coding", "POST", "/wake_up")
    assert node.engines["coding"].state == "awake"
    call(node, "coding", "POST", "/sleep?level=1")
    at = node.clock
    call(node, "coding", "POST", "/sleep?level=2")  # its weights sleep in RAM already
    assert node.engines["coding"].state == "level 1" and node.clock == at and node.ram_bytes() > 40e9
    call(node, "coding", "POST", "/wake_up?tags=something")
    assert node.engines["coding"].state == "level 1"


def test_reload_needs_memory_first(node):
    call(node, "coding", "POST", "/sleep?level=2")
    status, said = call(node, "coding", "POST", "/collective_rpc", RELOAD)
    assert status == 500 and "/wake_up?tags=weights comes first" in said


def test_level_2_without_a_reload_is_only_half_awake(node):
    call(node, "coding", "POST", "/sleep?level=2")
    call(node, "coding", "POST", "/wake_up")
    assert not sleeping(node) and node.engines["coding"].state == "half awake"
    asked = Request(node.clock, "coding", 10, 10)
    node.engines["coding"].admit(asked)
    assert "nonsense" in asked.refused


def test_level_0_pauses_and_keeps_everything(node):
    before = node.gpu_bytes()
    assert call(node, "coding", "POST", "/sleep?level=0&mode=wait")[0] == 200
    assert sleeping(node) and node.gpu_bytes() == before
    call(node, "coding", "POST", "/wake_up")
    assert not sleeping(node) and node.engines["coding"].state == "awake"


def test_a_process_that_is_not_there_gives_no_answer(node):
    with pytest.raises(NoAnswer, match="connection refused: no process listens on port 8002"):
        call(node, "documents", "GET", "/health")


def test_metrics_have_the_names_of_vllm(node):
    engine = node.engines["coding"]
    for prompt in (100, 200, 300, 400, 500):
        engine.admit(Request(node.clock, "coding", prompt, 500))
    text = call(node, "coding", "GET", "/metrics")[1]
    assert wire.read_metric(text, "vllm:num_requests_running", model_name="qwen3-coder-next") == 4
    assert wire.read_metric(text, "vllm:num_requests_waiting") == 1
    assert wire.read_metric(text, "vllm:kv_cache_usage_perc") == 1
    assert wire.read_metric(text, "vllm:engine_sleep_state", sleep_state="awake") == 1
    for level, state in ((1, "weights_offloaded"), (2, "discard_all")):
        call(node, "coding", "POST", "/wake_up")
        call(node, "coding", "POST", f"/sleep?level={level}")
        text = call(node, "coding", "GET", "/metrics")[1]
        assert wire.read_metric(text, "vllm:engine_sleep_state", sleep_state=state) == 1
        assert wire.read_metric(text, "vllm:engine_sleep_state", sleep_state="awake") == 0
    with pytest.raises(ValueError, match="no vllm:nothing"):
        wire.read_metric(text, "vllm:nothing")


# Requests


def test_mode_decides_what_becomes_of_running_answers(node):
    engine = node.engines["coding"]
    for mode, cut in (("abort", True), ("wait", False)):
        asked = Request(node.clock, "coding", 1000, 5000)
        engine.admit(asked)
        before, begun = node.waited, node.clock
        call(node, "coding", "POST", f"/sleep?level=2&mode={mode}")
        assert bool(asked.refused) == cut
        assert node.waited - before == pytest.approx(0 if cut else asked.ended - begun)
        call(node, "coding", "POST", "/wake_up")
        call(node, "coding", "POST", "/collective_rpc", RELOAD)


def test_a_request_waits_for_the_end_of_sleep(node):
    engine = node.engines["coding"]
    call(node, "coding", "POST", "/sleep?level=1")
    asked = Request(node.clock + 1, "coding", 1000, 100)
    engine.admit(asked)
    assert asked.began is None and not asked.refused
    node.step(("coding", "POST", "/wake_up", None), node.clock + 50)
    assert asked.began == pytest.approx(node.clock)


def test_only_so_many_sequences_run_at_once(node):
    engine = node.engines["coding"]
    asked = [Request(node.clock, "coding", 1000, 100) for _ in range(9)]
    for request in asked:
        engine.admit(request)
    began = [r.began - node.clock for r in asked]
    assert began[:4] == [0] * 4 and all(b > 0 for b in began[4:]) and began[8] > began[7]


def test_too_long_is_refused(node):
    asked = Request(node.clock, "coding", 32_768, 1)
    node.engines["coding"].admit(asked)
    assert asked.refused.startswith("400: 32,769 tokens")


def test_speeds_are_the_rooflines(node):
    prompt, token = node.engines["coding"].speeds()
    m, gpu = catalog.model("qwen3-coder-next"), catalog.gpu("rtx-5090")
    assert token == pytest.approx(
        42.3147e9 * m.active_params_b / m.total_params_b / (2 * gpu.bandwidth_gbs * 1e9 * 0.8), rel=1e-4
    )
    tflops = gpu.fp16_bf16_tensor_dense_tflops
    assert prompt == pytest.approx(2 * m.active_params_b * 1e9 / (2 * tflops * 1e12 * 0.76), rel=1e-3)
