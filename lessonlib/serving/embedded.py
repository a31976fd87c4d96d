"""An embedded model behind an engine: real answers to the requests of a client."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from .. import models


class Writer:
    """Answers of an embedded model, greedy, a token at a time. `reply` and `count` are what an Engine asks for."""

    def __init__(self, name: str = "mini"):
        self.model, self.tokenizer = models.load(name)
        self.one_at_a_time = threading.Lock()

    def count(self, given) -> int:
        """Tokens of a prompt or of messages."""
        return len(self._ids(given))

    def reply(self, given, most: int) -> Iterator[str]:
        """Parts of text, one a token, at most `most`."""
        import torch

        ids, kept = torch.tensor([self._ids(given)], device=self.model.device), None
        said = ""
        new: list[int] = []
        with self.one_at_a_time:
            for _ in range(most):
                with torch.no_grad():
                    out = self.model(ids, past_key_values=kept, use_cache=True)
                kept, token = out.past_key_values, out.logits[0, -1].argmax().item()
                if token == self.tokenizer.eos_token_id:
                    return
                new.append(token)
                text = self.tokenizer.decode(new)
                part, said = ("", said) if text.endswith("\ufffd") else (text[len(said) :], text)
                yield part
                ids = torch.tensor([[token]], device=self.model.device)

    def _ids(self, given) -> list[int]:
        if isinstance(given, str):
            return self.tokenizer(given)["input_ids"]
        text = self.tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text)["input_ids"]
