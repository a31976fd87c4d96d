"""The corpus folder: packed text parts behind a manifest with checksums, and the token arrays made from them."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from pathlib import Path

import numpy as np

SEPARATOR = "\n<|endoftext|>\n"


class Corpus:
    """Reads a folder with manifest.json and xz files, one a part. Every file is checked against the manifest's
    sha256 before it is used; ValueError names the file that is missing or damaged."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        try:
            self.manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except OSError:
            raise ValueError(
                f"No corpus in {str(folder)!r}: the folder must hold manifest.json and its packed text files; "
                "give it with --corpus DIR."
            ) from None
        except json.JSONDecodeError as error:
            raise ValueError(f"The corpus manifest {self.folder / 'manifest.json'} is damaged: {error}.") from None
        try:
            rows = [row for split in ("train", "valid") for row in self.manifest[split]]
            complete = all(row.keys() >= {"name", "file", "sha256_xz"} for row in rows)
        except (KeyError, TypeError, AttributeError):
            complete = False
        if not complete:
            raise ValueError(
                f"The corpus manifest {self.folder / 'manifest.json'} is damaged: it must list name, file and sha256_xz "
                "of each file under train and valid."
            )

    def names(self, split: str) -> list[str]:
        """The parts of a split (`train` or `valid`)."""
        return [row["name"] for row in self.manifest[split]]

    def documents(self, split: str, name: str) -> list[str]:
        """The documents of one part."""
        row = next((r for r in self.manifest[split] if r["name"] == name), None)
        if row is None:
            raise ValueError(f"The corpus has no part {name!r} in {split!r}; it has {', '.join(self.names(split))}.")
        path = self.folder / row["file"]
        try:
            packed = path.read_bytes()
        except OSError:
            raise ValueError(f"The corpus file {path} is missing: copy the corpus folder again.") from None
        if hashlib.sha256(packed).hexdigest() != row["sha256_xz"]:
            raise ValueError(f"The corpus file {path} is damaged (its sha256 is not the manifest's): copy it again.")
        return [d for d in lzma.decompress(packed).decode("utf-8").split(SEPARATOR) if d]

    def hash(self) -> str:
        """A sha256 over the checksums of all parts: the identity of the data."""
        rows = sorted((s, r["name"], r["sha256_xz"]) for s in ("train", "valid") for r in self.manifest[s])
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def pack(corpus: Corpus, split: str, name: str, tokenizer, cache: Path) -> np.ndarray:
    """The part as one uint16 array of token ids, each document followed by `<|endoftext|>` (id 0).

    Kept in `cache` under the hash of data and tokenizer, written beside and renamed."""
    key = hashlib.sha256((corpus.hash() + tokenizer.to_str()).encode()).hexdigest()[:16]
    path = cache / f"{split}-{name}-{key}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        documents = corpus.documents(split, name)
        if not documents:
            raise ValueError(f"The corpus part {name!r} of {split!r} holds no documents: leave it out of the mix.")
        encoded = tokenizer.encode_batch(documents, add_special_tokens=False)
        ids = np.concatenate([np.array([*e.ids, 0], dtype=np.uint16) for e in encoded])
        partial = path.with_suffix(f".{os.getpid()}.part")
        with open(partial, "wb") as file:
            np.save(file, ids)
        partial.replace(path)
    return np.load(path)


class Sampler:
    """Draws training windows: each row is one stretch of one part, parts chosen by the weights of the mix.

    `state` is the generator's state, so that a resumed run goes on with the same stream."""

    def __init__(self, arrays: dict[str, np.ndarray], mix: dict[str, float], longest: int, seed: int):
        self.arrays = [arrays[name] for name in mix]
        short = [name for name in mix if len(arrays[name]) <= longest]
        if short:
            raise ValueError(
                f"Corpus part {short[0]!r} has only {len(arrays[short[0]])} tokens, and a window takes {longest + 1}: "
                "leave it out of the mix or train on shorter windows."
            )
        weights = np.array(list(mix.values()))
        self.weights = weights / weights.sum()
        self.random = np.random.default_rng(seed)

    @property
    def state(self) -> dict:
        return self.random.bit_generator.state

    @state.setter
    def state(self, state: dict) -> None:
        self.random.bit_generator.state = state

    def batch(self, rows: int, sequence: int) -> np.ndarray:
        """(rows, sequence + 1) int64: inputs are all but the last column, targets all but the first. `sequence` is at
        most the longest one, which the sampler was made for."""
        out = np.empty((rows, sequence + 1), dtype=np.int64)
        for row, part in enumerate(self.random.choice(len(self.arrays), size=rows, p=self.weights)):
            ids = self.arrays[part]
            start = self.random.integers(0, len(ids) - sequence)
            out[row] = ids[start : start + sequence + 1]
        return out
