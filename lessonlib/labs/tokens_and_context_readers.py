"""Real tokenizers side by side: what ships with the course, Mistral's two kinds, OpenAI's where tiktoken has them."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

from . import tokens_and_context_texts as texts


class NotHere(Exception):
    """A tokenizer that this machine does not have; the message says what to do."""


@dataclass(frozen=True)
class Reader:
    """An open tokenizer, asked for by `key`: `ids(text)` without begin or end markers, `piece(id)` the bytes of a token."""

    key: str
    name: str
    vocabulary: int
    ids: Callable[[str], list[int]]
    piece: Callable[[int], bytes]


@dataclass(frozen=True)
class Reading:
    """What one tokenizer made of some texts: pieces of each, and its speed in characters a second."""

    key: str
    name: str
    vocabulary: int
    pieces: dict[str, list[str]] = field(repr=False)
    characters_per_second: float

    def count(self, text: str) -> int:
        """Tokens of `text`."""
        return len(self.pieces[text])

    def characters_per_token(self, text: str) -> float:
        """Characters of `text` that one token covers, on average."""
        return len(text) / self.count(text)


EMBEDDED = "this course"
OFFLINE_READERS = ("embedded", "tiktoken", "sentencepiece", "tekken")
OPENAI_READERS = ("cl100k_base", "o200k_base")
MISTRAL_FILES = {
    "sentencepiece": "mistral_instruct_tokenizer_240323.model.v3",
    "tekken": "tekken_240911.json",
}
# Where tiktoken gets its two best-known vocabularies, and the SHA-256 that it demands of them (tiktoken_ext).
OPENAI_FILES = {
    "cl100k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}


def survey(wanted: Iterable[str], names: Iterable[str] = OFFLINE_READERS) -> tuple[list[Reading], list[str]]:
    """Each tokenizer of `names` reads the texts: (readings, what to do about those that are not here).

    One is open at a time."""
    wanted, readings, missing = list(wanted), [], []
    for name in names:
        try:
            readings.append(read(open_reader(name), wanted))
        except NotHere as error:
            missing.append(str(error))
        gc.collect()
    return readings, list(dict.fromkeys(missing))  # one sentence, though two tokenizers may want the same package


def read(reader: Reader, wanted: Iterable[str], repeat: int = 20, rounds: int = 3) -> Reading:
    """The pieces of each text by one tokenizer, and its speed on `repeat` copies of the English sample."""
    pieces = {text: [shown(reader.piece(i)) for i in reader.ids(text)] for text in wanted}
    long, seconds = texts.ENGLISH * repeat, []
    for _ in range(rounds):
        started = time.perf_counter()
        reader.ids(long)
        seconds.append(time.perf_counter() - started)
    return Reading(reader.key, reader.name, reader.vocabulary, pieces, len(long) / median(seconds))


def open_reader(name: str) -> Reader:
    """One of the tokenizers by name; NotHere when it is not on this machine, ValueError for an unknown name."""
    if name not in (*OFFLINE_READERS, *OPENAI_READERS):
        raise ValueError(f"There is no tokenizer {name!r}; there are {', '.join((*OFFLINE_READERS, *OPENAI_READERS))}.")
    if name in OPENAI_READERS:
        return _openai(name)
    return {"embedded": _embedded, "tiktoken": _tiktoken, "sentencepiece": _sentencepiece, "tekken": _tekken}[name]()


def shown(piece: bytes) -> str:
    """A token as text; bytes that are no whole character alone, in hexadecimal between angle brackets."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in piece)


def _embedded() -> Reader:
    from tokenizers import Tokenizer

    from ..models import embedded_path
    from ..models.training.bpe import byte_table

    tokenizer, table = Tokenizer.from_file(str(embedded_path("target") / "tokenizer.json")), byte_table()
    return Reader(
        "embedded",
        f"{EMBEDDED}, by tokenizers",
        tokenizer.get_vocab_size(),
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        lambda i: bytes(table[c] for c in tokenizer.id_to_token(i)),
    )


def _tiktoken() -> Reader:
    from ..models import encoding

    return _of_encoding("tiktoken", f"{EMBEDDED}, by tiktoken", encoding("target"))


def _of_encoding(key: str, name: str, encoding) -> Reader:
    return Reader(key, name, encoding.n_vocab, encoding.encode_ordinary, encoding.decode_single_token_bytes)


def _sentencepiece() -> Reader:
    path = mistral_file("sentencepiece")
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer

    tokenizer = SentencePieceTokenizer(path)

    def piece(i: int) -> bytes:
        text = tokenizer.id_to_piece(i)
        byte = re.fullmatch(r"<0x([0-9A-F]{2})>", text)  # characters outside the vocabulary fall back to bytes
        return bytes([int(byte[1], 16)]) if byte else text.replace("▁", " ").encode()

    ids = lambda text: tokenizer.encode(text, bos=False, eos=False)  # noqa: E731
    return Reader("sentencepiece", "Mistral v3, SentencePiece", tokenizer.n_words, ids, piece)


def _tekken() -> Reader:
    path = mistral_file("tekken")
    from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    tokenizer = Tekkenizer.from_file(path)
    return Reader(
        "tekken",
        "Mistral Tekken 240911",
        tokenizer.n_words,
        lambda text: tokenizer.encode(text, bos=False, eos=False),
        lambda i: tokenizer.id_to_byte_piece(i, SpecialTokenPolicy.KEEP),
    )


def mistral_file(kind: str) -> Path:
    """The vocabulary file of `kind` that the package mistral-common brings along; NotHere without it."""
    from importlib.util import find_spec

    found = find_spec("mistral_common")
    if found is None or kind == "sentencepiece" and find_spec("sentencepiece") is None:
        raise NotHere('Mistral\'s tokenizers are not installed: pip install "lessonlib[tokenizers]" brings them.')
    path = Path(found.submodule_search_locations[0]) / "data" / MISTRAL_FILES[kind]
    if not path.is_file():
        raise NotHere(f"This mistral-common has no {path.name}: pip install mistral-common==1.9.1 brings it.")
    return path


def _openai(name: str) -> Reader:
    import tiktoken

    path, offline = cached_file(name), os.environ.get("HF_HUB_OFFLINE", "1").lower() in ("1", "true", "yes", "on")
    whole = path is not None and path.is_file() and _sha256(path) == OPENAI_FILES[name][1]
    if offline and not whole:  # tiktoken would fetch it now
        raise NotHere(f"{name} is not here: tiktoken keeps its file after a first use online (HF_HUB_OFFLINE=0).")
    try:
        return _of_encoding(name, f"OpenAI {name}", tiktoken.get_encoding(name))
    except OSError as error:  # no network after all; requests' errors are OSErrors
        raise NotHere(f"{name} could not be fetched ({type(error).__name__}): go on without it.") from None


def cached_file(name: str) -> Path | None:
    """Where tiktoken keeps the vocabulary `name` (tiktoken.load); None when its cache is switched off."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder == "":
        return None
    folder = folder or os.path.join(tempfile.gettempdir(), "data-gym-cache")
    return Path(folder) / hashlib.sha1(OPENAI_FILES[name][0].encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def counts_in_facts(claim_id: str = "S04-005") -> dict[str, tuple[int, ...]]:
    """Token counts of the four examples in tokenizers that the fact base measured: {name: (4, 7, 6, 7)}."""
    from ..facts import catalog

    found = re.findall(r"([A-Z]?[\w -]*?\w) (\d+/\d+/\d+/\d+)", catalog.claim(claim_id).right_value)
    if not found:
        raise ValueError(f"The claim {claim_id} holds no counts such as 4/7/6/7: mend facts/claims.yaml.")
    return {name.strip(): tuple(map(int, counts.split("/"))) for name, counts in found}


def draw_coverage(ax, readings: list[Reading], rule: float) -> None:
    """Bars on a matplotlib axis: the characters that one token covers, for each kind of sample and each reading, beside
    a line at the `rule` of thumb."""
    kinds, height = list(texts.SAMPLES), 0.8 / max(1, len(readings))
    for number, reading in enumerate(readings):
        covered = [reading.characters_per_token(texts.SAMPLES[kind]) for kind in kinds]
        places = [-kind - number * height for kind in range(len(kinds))]
        hatch = ("", "//", "..", "xx")[number % 4]
        bars = ax.barh(places, covered, height, label=reading.name, hatch=hatch, edgecolor="white")
        ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.axvline(rule, color="#1f2430", linestyle="--", linewidth=1, label=f"rule of thumb: {rule}", marker="")
    middle = height * (len(readings) - 1) / 2
    ax.set(xlabel="characters covered by one token", xlim=(0, 6), yticks=[-kind - middle for kind in range(len(kinds))])
    ax.set_yticklabels(kinds)
    ax.legend(loc=(0.5, 0.2))


def boxes(rows: list[tuple[str, list[str]]], label_width: int = 190) -> str:
    """An SVG drawing of texts cut into tokens: one row a tokenizer, one box a token; a blank is shown as an open box."""
    height, parts, widest, y = 34, [], 0, 6
    for label, pieces in rows:
        parts.append(f'<text x="4" y="{y + 19}" font-size="13" fill="#1f2430">{escape(label)}</text>')
        x = label_width
        for number, piece in enumerate(pieces):
            text = piece.replace(" ", "␣")
            width = 10 + 8 * len(text)
            fill = ("#e3effa", "#fdf0d8")[number % 2]
            parts.append(
                f'<rect x="{x}" y="{y}" width="{width}" height="26" rx="4" fill="{fill}" stroke="#3f90da"/>'
                f'<text x="{x + width / 2:g}" y="{y + 18}" text-anchor="middle" font-size="13" '
                f'font-family="monospace" fill="#1f2430">{escape(text)}</text>'
            )
            x += width + 4
        widest, y = max(widest, x), y + height
    return f'<svg width="{widest}" height="{y}" viewBox="0 0 {widest} {y}">{"".join(parts)}</svg>'
