"""Where the prefix, the prompt and the answer stand in what a language model reads."""

from functools import cached_property

from transformers import PreTrainedTokenizerBase

MARK = "<|prefix|>"
"""Stands for the prefix while a chat template is rendered; never tokenised."""


class Layout:
    """Token ids around a prefix of embeddings: ``before``, the prefix, ``prompt``, and then the ``answer``.

    With a chat template the prefix and the prompt are the user's turn and the answer is the assistant's; without
    one it is the plain "<prefix> prompt answer", after the tokenizer's beginning-of-sequence token if it has one.
    An answer ends with the end-of-sequence token, which chat models also use to end a turn.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.eos_token_id is None:
            raise ValueError("tokenizer: expected one with an end-of-sequence token, which ends an answer")
        self.tokenizer = tokenizer
        self.end: int = tokenizer.eos_token_id

    @cached_property
    def before(self) -> list[int]:
        """The ids before the prefix, the same for every prompt."""
        return self._ids(self._around("")[0])

    def prompt(self, text: str) -> list[int]:
        """The ids between the prefix and the answer."""
        return self._ids(self._around(text)[1])

    def answer(self, text: str) -> list[int]:
        """The ids of an answer, its end included."""
        return [*self._ids(text), self.end]

    def word(self, text: str) -> list[int]:
        """The ids of a word by itself, as it stands inside a text."""
        return self._ids(f" {text}") or self._ids(text)

    def text(self, ids: list[int]) -> str:
        """The text of an answer's ids."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _around(self, prompt: str) -> tuple[str, str]:
        if self.tokenizer.chat_template is None:
            return self.tokenizer.bos_token or "", f"{prompt}\n"
        turn = [{"role": "user", "content": f"{MARK}\n{prompt}"}]
        # Templates that know no thinking ignore the argument; those that do would open an answer with it.
        rendered = self.tokenizer.apply_chat_template(
            turn, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        before, after = str(rendered).split(MARK, 1)
        return before, after

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)
