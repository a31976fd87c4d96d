"""A tiny corpus, a tiny preset and one finished tiny run, made once for the tests of this folder."""

import hashlib
import json
import lzma
import random

import pytest

from lessonlib.models.training.corpus import SEPARATOR
from lessonlib.models.training.presets import Preset

NAMES, VERBS = ("Ann", "Ben", "Cid", "Dora"), ("sees", "likes", "paints", "takes")
THINGS = ("a red ball", "the old boat", "two green hats", "a small stone")


def write_corpus(folder, documents: dict[str, list[str]]):
    """A corpus folder: every part stands in train and in valid. Returns the folder."""
    manifest = {"separator": "<|endoftext|>", "train": [], "valid": []}
    for split in ("train", "valid"):
        (folder / split).mkdir(parents=True)
        for name, texts in documents.items():
            packed = lzma.compress(SEPARATOR.join(texts).encode())
            (folder / split / f"{name}.txt.xz").write_bytes(packed)
            row = {"name": name, "file": f"{split}/{name}.txt.xz", "sha256_xz": hashlib.sha256(packed).hexdigest()}
            manifest[split].append(row)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def tiny_documents(seed: int, count: int = 150) -> list[str]:
    """Short documents of drawn sentences: enough regularity for a tiny model to learn in seconds."""
    rng = random.Random(seed)
    return [
        " ".join(f"{rng.choice(NAMES)} {rng.choice(VERBS)} {rng.choice(THINGS)}." for _ in range(rng.randint(3, 8)))
        for _ in range(count)
    ]


def tiny_preset(**changes) -> Preset:
    """A preset that trains in seconds on one core."""
    values = dict(
        name="tiny", hidden=32, layers=2, heads=4, kv_heads=2, feed_forward=64, context=48, batch=4, sequence=24,
        long_share=0.25, tokens=60 * 96, mix={"stories": 0.7, "notes": 0.3},
    )  # fmt: skip
    return Preset(**values | changes)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny matrices are slower on several threads, and far slower when other work shares the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A Corpus of two tiny parts."""
    from lessonlib.models.training.corpus import Corpus

    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    return Corpus(write_corpus(folder, {"stories": tiny_documents(1), "notes": tiny_documents(2)}))


@pytest.fixture(scope="session")
def finished(corpus, tmp_path_factory):
    """(run, model, tokenizer, state, exported folder) of a tiny run trained to its end."""
    from lessonlib.models.training.export import export
    from lessonlib.models.training.trainer import Run, train

    run = Run(tiny_preset(), corpus, tmp_path_factory.mktemp("run"), bf16=False)
    model, tokenizer, state = train(run, report=lambda line: None)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export(run, folder)
    return run, model, tokenizer, state, folder
