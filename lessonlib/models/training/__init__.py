"""How the embedded models are made: corpus reader, tokenizer, trainer, evaluation, export."""
