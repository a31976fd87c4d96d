"""The byte-pair tokenizer of the embedded models: one vocabulary, identical ids in `tokenizers` and in `tiktoken`."""

from __future__ import annotations

import random

from .corpus import Corpus
from .presets import SPECIALS, VOCAB_SIZE

# Contractions, words with their leading space, single digits, punctuation, white space. No possessive quantifier and no
# inline flag, so that both regex engines read it the same way.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# Dialogues stand in the corpus as lines "User: ..." and "Assistant: ...", so that is how a chat is written for these
# models. The role tokens among the specials never occur in it: they are reserved, and their vectors are untrained.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def train_bpe(corpus: Corpus, mix: dict[str, float], megabytes: float = 60.0, seed: int = 0):
    """Train the tokenizer on about `megabytes` of text drawn by the weights of `mix`. Returns a tokenizers.Tokenizer."""
    rng = random.Random(seed)

    def texts():
        total = sum(mix.values())
        for name, weight in mix.items():
            documents = corpus.documents("train", name)
            rng.shuffle(documents)
            budget = megabytes * 1e6 * weight / total
            for document in documents:
                if budget <= 0:
                    break
                budget -= len(document)
                yield document

    return bpe_from_texts(texts())


def bpe_from_texts(texts, vocab_size: int = VOCAB_SIZE):
    """A byte-level BPE tokenizer: ids 0-5 are the specials, then the 256 bytes, then merges in order."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def byte_table() -> dict[str, int]:
    """Printable stand-in -> byte, as byte-level BPE vocabularies write bytes (the GPT-2 convention)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {chr(b): b for b in plain}
    others = [b for b in range(256) if b not in plain]
    table.update({chr(256 + i): b for i, b in enumerate(others)})
    return table


def to_tiktoken(vocabulary: dict[str, int], name: str):
    """The same vocabulary as a tiktoken.Encoding. `vocabulary` maps token text (byte stand-ins) to id."""
    import tiktoken

    table = byte_table()
    specials = {text: vocabulary[text] for text in SPECIALS if text in vocabulary}
    ranks = {bytes(table[c] for c in text): i for text, i in vocabulary.items() if text not in specials}
    return tiktoken.Encoding(
        name, pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=specials, explicit_n_vocab=len(vocabulary)
    )


def to_transformers(tokenizer, context: int):
    """The tokenizer as transformers' PreTrainedTokenizerFast, with the chat template and the longest input."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=context,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
