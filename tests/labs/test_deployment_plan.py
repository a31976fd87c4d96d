"""The rules of the capstone task deployment_plan against the course's own arithmetic, and its claims."""

import pytest

from lessonlib.calc import memory, switching
from lessonlib.facts import catalog
from lessonlib.labs import deployment_plan as task

pytestmark = pytest.mark.l16
MODELS = task.models()
ENGINES = task.reference_plan(task.server(), task.workloads(), MODELS)["engines"]


def test_models_are_those_of_the_fact_base():
    assert MODELS["qwen3-coder-next"]["weights_gb"][4] == pytest.approx(catalog.claim("S12-012").value, abs=0.001)
    assert MODELS["llama-3.3-70b"]["weights_gb"][4] == pytest.approx(catalog.claim("S12-003").value, abs=0.001)
    assert MODELS["qwen2.5-coder-32b"]["weights_gb"][4] == pytest.approx(catalog.claim("S12-002").value, abs=0.001)
    for name, one in MODELS.items():
        m = catalog.model(name)
        assert round(one["weights_gb"][16] * 1e9) == memory.weight_bytes(m.total_params_exact, 16)
        assert one["window"] <= m.max_context


def test_the_day_is_the_source_lessons():
    assert [(w["end_s"] - w["start_s"]) / 3600 for w in task.workloads()] == catalog.claim("S12-016").value
    dual = task.server()
    assert dual["gpus"] * dual["vram_gib"] == catalog.claim("S07-021").value
    gpu = catalog.gpu("rtx-5090")
    assert (dual["bandwidth_gbs"], dual["board_w"], dual["vram_gib"]) == (
        gpu.bandwidth_gbs,
        gpu.board_power_w,
        gpu.vram_gb,
    )
    assert (
        dual["link_gbs"] == gpu.interconnect["pcie_gbs_per_direction"]
        and dual["tflops"] == gpu.fp16_bf16_tensor_dense_tflops
    )


def test_every_field_of_a_server_is_explained():
    assert list(task.MEANINGS) == list(task.SERVER)


def test_edge_case_of_one_24_gib_card():
    """S12-019: of the models offered only the 32B ones and Yi-Coder-9B fit, and with these contexts the 32B ones do not."""
    small = task.server(gpus=1, card="rtx-4090")
    one = {n: task.engine(MODELS, n, 4, [0], 1024, 1) for n in task.OFFERED}
    fits = [n for n, e in one.items() if not task.first_break(small, {"it": e}, [{"it": "awake"}])]
    assert (
        "qwen2.5-coder-32b" in fits and "yi-coder-9b" in fits and not {"llama-3.3-70b", "qwen3-coder-next"} & set(fits)
    )
    chosen = [task.best_engine(small, w, MODELS, 2)[1]["model"] for w in task.workloads()]
    assert chosen == ["yi-coder-9b", "mistral-small-3.1-24b", "qwen3-14b"]


def test_times_agree_with_the_calculator():
    server, (coding, documents, _) = task.server(), ENGINES.values()
    one = switching.sleep_level_1(coding["weights_gb"] * 1e9, 128)["sleep"]
    back = switching.sleep_level_1(documents["weights_gb"] * 1e9, 128, overhead_s=0.5)
    assert task.switch_seconds(server, coding, "level 1", documents, "level 1") == pytest.approx(
        one + back["wake"] + 0.5
    )
    # S07-038: floors over one link of 64 GB/s
    alone = {**documents, "gpus": [0]}
    parts = task.switch_parts(server, alone, "level 1", alone, "level 1")
    assert parts["copy to GPUs"] == pytest.approx(catalog.claim("S07-038").value[0], rel=0.01)


def test_states_and_their_memory():
    server, coding = task.server(), ENGINES["coding"]
    assert [task.gpu_gb(server, coding, s) for s in ("cold", "level 1", "level 2")] == [0, 0.5, 0.5]
    cards, ram = task.usage(server, ENGINES, dict.fromkeys(ENGINES, "level 1"))
    assert cards == [1.5, 1.5] and ram == pytest.approx(sum(e["weights_gb"] for e in ENGINES.values()))


def test_levels_follow_the_ram():
    for ram, deep in ((128, 0), (100, 1), (60, 2), (10, 3)):
        plan = task.reference_plan(task.server(ram_gib=ram), task.workloads(), MODELS)
        levels = {n: s for slot in plan["slots"] for n, s in slot["residency"].items() if s != "awake"}
        assert list(levels.values()).count("level 2") == deep, ram


def test_windows_count():
    work = task.workload("coding", 8, 12, [["qwen2.5-coder-32b", 4], ["yi-coder-9b", 4]], 40_000, 1)
    assert task.best_engine(task.server(), work, MODELS, 0)[1]["model"] == "yi-coder-9b"


def test_what_cannot_be_planned():
    tiny = task.server(gpus=1, vram_gib=8)
    assert task.best_engine(tiny, task.workloads()[0], MODELS, 2) is None
    with pytest.raises(ValueError, match="no model that fits"):
        task.reference_plan(tiny, task.workloads(), MODELS)
    with pytest.raises(ValueError, match="A server has no disks; it has gpus"):
        task.server(disks=3)


def test_commands_are_vllms_own():
    text = task.command(ENGINES["coding"], 8001)
    assert text.startswith("CUDA_VISIBLE_DEVICES=0,1 VLLM_SERVER_DEV_MODE=1 vllm serve <")
    assert "--tensor-parallel-size 2" in text and text.endswith("--enable-sleep-mode")
    plain = task.command({**ENGINES["reasoning"], "sleep_mode": False})
    assert "DEV_MODE" not in plain and "sleep" not in plain and "8-bit" in plain
