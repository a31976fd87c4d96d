"""The pages on grading at scale and ngshare: their commands exist, their manifests name them, their table is computed, and
the configuration does what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from benchmarks import grading_scale as scale
from lessonlib.commands import grade
from lessonlib.paths import course_root

ROOT = course_root(__file__)
DOCS = ROOT / "docs"
PAGES = [DOCS / "grading-at-scale.md", DOCS / "ngshare.md"]
KUBERNETES = DOCS / "kubernetes"
MANIFESTS = [
    (path.name, manifest)
    for path in sorted(KUBERNETES.glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]


def commands(page: Path) -> list[str]:
    """Lines of the page's code blocks that have no language, and pieces in backticks, that begin with a program's name."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.S | re.M)
    lines = [line.strip() for language, block in blocks if not language for line in block.splitlines()]
    pieces = [piece for piece in re.findall(r"`([^`\n]+)`", text) if " " in piece]
    return [
        line
        for line in lines + pieces
        if line.split(" ")[0] in ("lessonlib", "nbgrader", "dask", "pip", "kubectl", "podman")
    ]


def pods() -> dict[str, dict]:
    """Pod specifications of the manifests, by the name of their object."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for _, manifest in MANIFESTS
        if "template" in manifest.get("spec", {})
    }


def accepted_by_dask(words: list[str]) -> None:
    """Fail unless `dask` has the subcommand with these options; options of one word each, values aside."""
    click = pytest.importorskip("click")
    [entry] = [e for e in entry_points(group="dask_cli") if e.name == words[0]]
    known = {
        name for parameter in entry.load().params if isinstance(parameter, click.Option) for name in parameter.opts
    }
    known |= {name for p in entry.load().params for name in p.secondary_opts}
    used = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert set(used) <= known, set(used) - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_pages_exist(page):
    """The parser takes each `lessonlib grade` line; subcommands and options of dask and nbgrader are theirs."""
    from nbgrader.apps.nbgraderapp import NbGraderApp

    known = {name.replace("_", "-") for name in NbGraderApp.subcommands} | set(NbGraderApp.subcommands)
    found = commands(page)
    assert sum(line.startswith("lessonlib grade") for line in found) >= 2
    for line in found:
        program, *words = shlex.split(line, comments=True)
        if program == "lessonlib":
            assert words[0] == "grade"
            grade.parser().parse_args(words[1:])  # SystemExit fails the test
        elif program == "dask":
            accepted_by_dask(words)
        elif program == "nbgrader":
            assert words[0] in known, line
        elif program == "kubectl":
            for name in re.findall(r"docs/kubernetes/\S+", line):
                assert (ROOT / name).is_file(), line
            if "exec" in words:
                grade.parser().parse_args(words[words.index("--") + 3 :])
        elif program == "podman":
            assert (ROOT / words[words.index("-f") + 1]).is_file()


def test_extras_that_the_pages_install_exist():
    """`lessonlib[lab,cluster]`: both are in pyproject.toml."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    text = "".join(path.read_text(encoding="utf-8") for path in (*PAGES, KUBERNETES / "Containerfile"))
    named = {name for group in re.findall(r"(?:lessonlib|\.)\[([a-z,]+)\]", text) for name in group.split(",")}
    assert named == {"lab", "cluster"} and named <= extras.keys()
    assert any(package.startswith("distributed") for package in extras["cluster"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_files_of_the_pages_exist(page):
    """Files that the text names, by their path from the top or from docs/."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:docs|tests|benchmarks|lessonlib|kubernetes)/[\w./-]+)`", text):
        assert (ROOT / name).exists() or (DOCS / name).exists(), name
    for name in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (DOCS / name).exists(), name


def test_manifests_fit_together():
    """Namespaces, the scheduler's name and port, labels of the policies, one image."""
    assert {name for name, _ in MANIFESTS} == {
        "head.yaml",
        "namespace.yaml",
        "network-policy.yaml",
        "scheduler.yaml",
        "workers.yaml",
    }
    objects = [manifest for _, manifest in MANIFESTS]
    assert {m["metadata"].get("namespace") for m in objects} == {None, "grading"}
    [service] = [m for m in objects if m["kind"] == "Service"]
    address = f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    containers = [container for pod in pods().values() for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1 and len(containers) == 3
    labels = {m["spec"]["template"]["metadata"]["labels"]["part"] for m in objects if "template" in m.get("spec", {})}
    assert labels == {"scheduler", "worker", "head"}
    assert service["spec"]["selector"] == {"part": "scheduler"}
    by_part = {container["name"]: [str(word) for word in container["command"]] for container in containers}
    assert by_part["worker"][:3] == ["dask", "worker", address]
    assert by_part["head"][:3] == ["lessonlib", "grade", "autograde"]
    options = grade.parser().parse_args(by_part["head"][2:])
    assert options.scheduler == address and options.resume and options.course == "/course"
    assert by_part["scheduler"][:2] == ["dask", "scheduler"]
    for part in ("worker", "scheduler"):
        accepted_by_dask(by_part[part][1:])
    [workers] = [m for m in objects if m["metadata"]["name"] == "grading-workers"]
    assert workers["spec"]["completionMode"] == "Indexed"
    assert workers["spec"]["completions"] == workers["spec"]["parallelism"]


def test_pods_have_what_the_sandbox_needs_and_no_more():
    """Where submissions or the instructor's notebook run: the sandbox's rights, in a user namespace. Elsewhere: none."""
    for name, pod in pods().items():
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        [container] = pod["containers"]
        rights = container["securityContext"]
        assert "privileged" not in rights and rights["capabilities"]["drop"] == ["ALL"]
        if name == "grading-scheduler":
            assert "add" not in rights["capabilities"] and pod["securityContext"]["runAsNonRoot"] is True
            continue
        assert pod["hostUsers"] is False and rights["procMount"] == "Unmasked"
        assert rights["seccompProfile"] == rights["appArmorProfile"] == {"type": "Unconfined"}
        added = {f"CAP_{capability}" for capability in rights["capabilities"]["add"]}
        from lessonlib.grading import sandbox

        assert added == {*sandbox._CAPABILITIES, "CAP_NET_ADMIN"}  # the last for bubblewrap's loopback device
    secrets = [name for name, pod in pods().items() if "secretKeyRef" in json.dumps(pod)]
    assert secrets == ["grading-head"]


def test_image_has_no_solutions():
    """It is built on the course's pins, from named folders: no layer holds solutions or submissions."""
    text = (KUBERNETES / "Containerfile").read_text(encoding="utf-8")
    copied = [word for line in text.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert not {"solutions", "notebooks", "grading", "tests", "."} & set(copied)
    assert "-c constraints.txt" in text and "bubblewrap" in text and "git" not in copied


RECORD = {
    "device": "a machine, 2 cores",
    "date": "2026-01-01",
    "lanes": 2,
    "classes": {"plain": 60, "torch": 30},
    "metrics": {
        name: {"median": value, "samples": [value] * 3}
        for name, value in {
            "plain_start": 10.0, "plain_each": 36.0, "plain_stock": 60.0, "plain_ours": 4.0, "plain_times_as_fast": 15.0,
            "torch_start": 100.0, "torch_each": 360.0, "torch_stock": 180.0, "torch_ours": 8.0, "torch_times_as_fast": 22.5,
        }.items()
    },
}  # fmt: skip
OWN = {
    "device": "a machine, 2 cores",
    "date": "2026-01-02",
    "lanes": 2,
    "metrics": {"here_each": {"median": 40.0}, "cluster_each": {"median": 50.0}, "head_each": {"median": 9.0}},
}


def test_scale_by_hand():
    """100,000 at 36 ms is an hour; through the cluster 1.25 times as long, shared by the machines, never below the head."""
    assert scale.seconds(RECORD, OWN, "plain", 1) == {"seconds": pytest.approx(10 + 3600), "limit": "workers"}
    assert scale.seconds(RECORD, OWN, "plain", 4)["seconds"] == pytest.approx(10 + 3600 * 1.25 / 4)
    assert scale.seconds(RECORD, OWN, "plain", 64) == {"seconds": pytest.approx(10 + 900), "limit": "head"}
    assert scale.seconds(RECORD, OWN, "torch", 16)["seconds"] == pytest.approx(100 + 36000 * 1.25 / 16)
    assert scale.stock(RECORD, "plain") == 100_000
    quicker = {**OWN, "metrics": {**OWN["metrics"], "cluster_each": {"median": 20.0}}}
    assert scale.seconds(RECORD, quicker, "torch", 2)["seconds"] == pytest.approx(100 + 18000)  # noise is no gain
    assert [scale.hours(value) for value in (30, 150, 7200, 180_000)] == [
        "30 seconds",
        "2.5 minutes",
        "2.0 hours",
        "2.1 days",
    ]


def test_table_names_what_it_is_made_from():
    """Each number of the computed part comes from the records."""
    made = scale.table(RECORD, OWN)
    assert "36 ms for a submission of small Python functions, 360 ms for a submission of torch and transformers" in made
    assert "| 60 submissions of small Python functions | 60.0 s | 4.0 s | 15.0 |" in made and "median of 3" in made
    assert "50 ms instead of 40 ms" in made and "more than about 400,000 an hour" in made
    assert "| 1, with `nbgrader autograde` | 1 | 27.8 hours | 6.9 days |" in made
    assert "| 64 | 128 | 15.2 minutes (the head is the limit) | 16.7 minutes (the head is the limit) |" in made
    assert "2.0 for small Python functions, 20.0 for torch and transformers" in made
    with pytest.raises(ValueError, match="once each"):
        scale.with_table("no marks", RECORD, OWN)


def test_page_has_the_computed_table():
    """What benchmarks/grading_scale.py computes from the stored records stands in the page, to the letter."""
    page = scale.PAGE.read_text(encoding="utf-8")
    assert page == scale.with_table(page, scale.read(scale.RECORD), scale.read(scale.OWN)), (
        "run python benchmarks/grading_scale.py"
    )


def configured(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Load this course's configuration as nbgrader does, and print what it says about the exchange."""
    code = (
        "import json, sys\n"
        "from traitlets.config.loader import PyFileConfigLoader\n"
        f"c = PyFileConfigLoader('nbgrader_config.py', path={str(ROOT)!r}).load_config()\n"
        "print(json.dumps({'factory': dict(c.ExchangeFactory), 'root': c.Exchange.get('root') if 'Exchange' in c else None}))"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("USER", "NGSHARE_URL")}
    kept["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, cwd=folder
    )


def test_configuration_of_ngshare(tmp_path):
    """NGSHARE_URL hands the configuration to the package, which stands in for here; without it the folder is used."""
    plain = configured(tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert json.loads(plain.stdout)["factory"] == {} and json.loads(plain.stdout)["root"].endswith("exchange")
    package = tmp_path / "ngshare_exchange"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nname = os.environ['USER']\n\ndef configureExchange(c, url=None):\n    c.ExchangeFactory.collect = url\n"
    )
    done = configured(tmp_path, NGSHARE_URL="http://127.0.0.1:1/services/ngshare/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"factory": {"collect": "http://127.0.0.1:1/services/ngshare"}, "root": None}


def test_ngshare_without_its_package_stops_in_a_sentence(tmp_path):
    """nbgrader would log any other error and go on without the course's configuration."""
    (tmp_path / "ngshare_exchange.py").write_text("raise ImportError('not here')\n")
    done = configured(tmp_path, NGSHARE_URL="http://127.0.0.1:1")
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(
        r"NGSHARE_URL is set, but the package ngshare_exchange is not installed: pip install --no-deps "
        r"ngshare_exchange==[\d.]+, or unset NGSHARE_URL\.\n",
        done.stderr,
    )
    [said] = set(re.findall(r"ngshare_exchange==[\d.]+\d", done.stderr))
    assert said in (DOCS / "ngshare.md").read_text(encoding="utf-8")
