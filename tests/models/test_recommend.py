"""Which hub model fits: decided from numbers, with a reason that holds them."""

import re
import subprocess
import sys

import pytest

from lessonlib.facts import catalog
from lessonlib.models import catalogue, load, memory_free, recommended
from lessonlib.models.recommend import CANDIDATES, HEADROOM, TOKENS, cgroup_free

GB = 10**9


def choose(gigabytes: float, instruct: bool = True, dtype: str = "float32"):
    return recommended(instruct, device="cpu", dtype=dtype, available=int(gigabytes * GB), online=True)


@pytest.mark.parametrize(
    ("gigabytes", "dtype", "instruct", "name"),
    [
        (2, "float32", True, "HuggingFaceTB/SmolLM2-135M-Instruct"),
        (4, "float32", True, "Qwen/Qwen2.5-0.5B-Instruct"),
        (8, "float32", True, "Qwen/Qwen3-0.6B"),
        (80, "bfloat16", True, "Qwen/Qwen3-0.6B"),
        (2, "float32", False, "HuggingFaceTB/SmolLM2-135M"),
        (8, "float32", False, "Qwen/Qwen2.5-0.5B"),
        (2.5, "float32", True, "HuggingFaceTB/SmolLM2-135M-Instruct"),
        (2.5, "bfloat16", True, "Qwen/Qwen2.5-0.5B-Instruct"),  # half the bytes a weight
    ],
)
def test_the_largest_that_fits(gigabytes, dtype, instruct, name):
    assert choose(gigabytes, instruct, dtype).name == name


def test_the_bytes_are_those_of_the_fact_base_and_the_boundary_is_exact():
    row = catalog.model("qwen3-0.6b")
    assert row.total_params_exact == 596_049_920
    chosen = choose(80)
    assert chosen.bytes_needed == 596_049_920 * 4 + 2 * row.kv_bytes_per_token_fp16 * TOKENS + HEADROOM
    exact = recommended(True, device="cpu", available=chosen.bytes_needed, online=True)
    assert (exact.name, exact.bytes_available) == (chosen.name, chosen.bytes_needed)
    assert recommended(True, device="cpu", available=chosen.bytes_needed - 1, online=True).name != chosen.name


def test_the_reason_is_one_sentence_with_both_numbers():
    for gigabytes in (0.2, 2, 8):
        chosen = choose(gigabytes)
        assert chosen.name in chosen.reason and chosen.reason[-1] == "." and "\n" not in chosen.reason
        numbers = re.findall(r"([\d.]+) GB", chosen.reason)
        assert f"{chosen.bytes_needed / GB:.1f}" in numbers and f"{chosen.bytes_available / GB:.1f}" in numbers


def test_offline_or_too_small_gives_the_largest_embedded_model():
    largest = max(catalogue(), key=lambda card: card.parameters).name
    away = recommended(device="cpu", available=80 * GB, online=False)
    assert away.name == largest and "HF_HUB_OFFLINE" in away.reason
    small = choose(1)
    assert small.name == largest and "even HuggingFaceTB/SmolLM2-135M-Instruct" in small.reason
    assert load(small.name, device="cpu")[0].num_parameters() > 0
    assert recommended(device="cpu").name == largest  # the tests run offline


def test_candidates_are_in_the_fact_base_smallest_first():
    rows = [catalog.model(row) for _, row, _ in CANDIDATES]
    for (name, _, follows), row in zip(CANDIDATES, rows, strict=True):
        assert name in (row.hf_id, f"{row.hf_id}-Instruct") and name.endswith("-Instruct") <= follows
    sizes = [row.total_params_exact for row in rows]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("options", [{"device": "tpu"}, {"device": "cpu", "dtype": "int4"}])
def test_a_wrong_device_or_dtype_is_refused(options):
    with pytest.raises(ValueError, match="tpu|int4"):
        recommended(available=GB, online=True, **options)


def test_memory_is_that_of_the_machine():
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 0 < memory_free("cpu") <= total


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def test_a_container_s_limit_version_2(tmp_path):
    membership, root = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("0::/outer/inner\n")
    group(root / "outer", memory_max=3000, memory_current=1500, memory_stat="anon 900\ninactive_file 500")
    group(root / "outer" / "inner", memory_max="max", memory_current=700, memory_stat="inactive_file 100")
    assert cgroup_free(membership, root) == 2000  # the limit of the group above, less what cannot be dropped
    group(root / "outer" / "inner", memory_max=1000)
    assert cgroup_free(membership, root) == 400
    group(root / "outer" / "inner", memory_max=100)
    assert cgroup_free(membership, root) == 0
    membership.write_text("0::/outer/elsewhere\n")  # a container often sees the host's path, and only the top folder
    assert cgroup_free(membership, root) == 2000


def test_a_container_s_limit_version_1(tmp_path):
    membership, root = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("5:cpu:/\n4:hugetlb,memory:/docker/x\n0::/\n")
    group(
        root / "memory", memory_limit_in_bytes=5000, memory_usage_in_bytes=4000, memory_stat="total_inactive_file 1000"
    )
    assert cgroup_free(membership, root) == 2000


def test_no_limit_no_cgroups(tmp_path):
    membership = tmp_path / "cgroup"
    assert cgroup_free(membership, tmp_path) is None
    membership.write_text("0::/\n")
    group(tmp_path / "fs", memory_max="max", memory_current=1, memory_stat="inactive_file 0")
    assert cgroup_free(membership, tmp_path / "fs") is None


def test_importing_the_package_loads_no_library():
    code = (
        "import sys, lessonlib.models; print(*{'torch', 'transformers', 'huggingface_hub', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
