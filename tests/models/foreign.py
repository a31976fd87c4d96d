"""Small models that look like those of others: random weights, vocabularies of four kinds, built in a moment."""

from dataclasses import dataclass

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = "the small boat sees a red ball"
CORPUS = [TEXT, "Ann likes the old boat and two green hats.", "a small stone, the red hats; Ben sees Ann!"] * 20
SPECIALS = ["<unk>", "<s>", "</s>"]
WORDS = Regex(r"\w+|[^\w\s]+")


@dataclass(frozen=True)
class Foreign:
    """A model to build: `kind` names its class, `vocabulary` and `bos` its tokenizer, the rest how it is stored."""

    name: str
    kind: str = "llama"
    vocabulary: str = "bytes"
    bos: bool = False
    declared: str | None = None  # tokenizer_class as real folders write it
    head: int = 16
    tied: bool = False
    dtype: torch.dtype = torch.float32
    shards: bool = False


FOREIGN = [
    Foreign("llama_as_llama_2", vocabulary="fallback", bos=True, declared="LlamaTokenizer", dtype=torch.float16),
    Foreign("llama_head_8_tied_shards", head=8, tied=True, vocabulary="fallback", bos=True, shards=True),
    Foreign("llama_bf16_shards", dtype=torch.bfloat16, shards=True, vocabulary="unknown", bos=True),
    Foreign("llama_words", vocabulary="words", tied=True, dtype=torch.bfloat16),
    Foreign("gpt2", kind="gpt2", declared="GPT2Tokenizer", tied=True, head=8),
    Foreign("gpt2_untied_fp16", kind="gpt2", bos=True, dtype=torch.float16),
    Foreign("qwen2", kind="qwen2", declared="Qwen2Tokenizer", tied=True, dtype=torch.bfloat16),
    Foreign("mixtral", kind="mixtral", vocabulary="fallback", bos=True, dtype=torch.bfloat16),
    Foreign("mixtral_tied_shards", kind="mixtral", vocabulary="unknown", tied=True, shards=True),
    Foreign("gemma", kind="gemma", vocabulary="fallback", bos=True, tied=True, dtype=torch.bfloat16),
]


def build(case: Foreign, folder):
    """Save the model and its tokenizer to `folder`. Returns both as saved: the model in float32, its values rounded."""
    tokenizer = _tokenizer(case)
    torch.manual_seed(5)
    model = _model(case, len(tokenizer)).to(case.dtype).eval()
    model.save_pretrained(folder, max_shard_size="20KB" if case.shards else "5GB")
    tokenizer.save_pretrained(folder)
    return model.float(), tokenizer


def _model(case: Foreign, size: int):
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        GemmaConfig,
        GPT2Config,
        LlamaConfig,
        MixtralConfig,
        Qwen2Config,
    )  # fmt: skip

    ids = dict(vocab_size=size, bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=case.tied)
    if case.kind == "gpt2":
        config = GPT2Config(n_embd=4 * case.head, n_layer=2, n_head=4, n_positions=256, **ids)
    else:
        made = {"llama": LlamaConfig, "qwen2": Qwen2Config, "mixtral": MixtralConfig, "gemma": GemmaConfig}[case.kind]
        experts = dict(num_local_experts=4, num_experts_per_tok=2) if case.kind == "mixtral" else {}
        config = made(
            hidden_size=4 * case.head, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=case.head, intermediate_size=48, max_position_embeddings=256, **ids, **experts,
        )  # fmt: skip
    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)


def _tokenizer(case: Foreign):
    import transformers

    made = {"bytes": _bytes, "fallback": _fallback, "unknown": _unknown, "words": _words}[case.vocabulary]()
    if case.bos:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", made.token_to_id("<s>"))]
        )
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>",
        clean_up_tokenization_spaces=False, model_max_length=256, **({"add_bos_token": True} if case.bos else {}),
    )  # fmt: skip
    return made


def _train(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer=trainer)
    return tokenizer


def _bytes():
    """Bytes as GPT-2 writes them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _train(
        tokenizer,
        trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False),
    )


def _fallback():
    """Pieces that start with a mark for the space, unknown characters as bytes: Llama 2."""
    tokens = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    return _pieces(tokens, 330, byte_fallback=True)


def _unknown():
    """The same without bytes: what no piece covers becomes <unk>."""
    return _pieces(SPECIALS, 90, byte_fallback=False)


def _pieces(tokens, size, byte_fallback):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=tokens, show_progress=False)
    _train(tokenizer, trainer)
    import json

    state = json.loads(tokenizer.to_str())
    state["model"] |= {"byte_fallback": byte_fallback, "unk_token": "<unk>", "fuse_unk": True}
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in SPECIALS]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _words():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(WORDS, behavior="removed", invert=True)
    return _train(tokenizer, trainers.WordLevelTrainer(special_tokens=SPECIALS, show_progress=False))
