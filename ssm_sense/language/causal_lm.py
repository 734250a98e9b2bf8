"""A pretrained causal language model that reads a prefix of embeddings and answers a prompt."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForCausalLM, Cache, DynamicCache, PreTrainedModel

from ssm_sense import pretrained
from ssm_sense.errors import UserError
from ssm_sense.language import gguf
from ssm_sense.language.layout import Layout
from ssm_sense.language.lora import Lora, adapt, merged

IGNORED = -100
"""Label of tokens that are not supervised."""


ITEMS_AT_ONCE = 32
"""Items of a loss in one forward pass."""


class CausalLM(nn.Module):
    """Any causal language model of transformers that takes embeddings: Qwen2, Qwen2.5, Qwen3, Llama, SmolLM.

    path: a local folder or a hub id, such as Qwen/Qwen2.5-1.5B-Instruct; or a GGUF file, as `gguf.find` knows it.
    tokenizer: its folder; by default the model's own, or else "tokenizer" beside the model's folder.
    dtype: of the weights and the computation; losses and scores are float32 whatever it is.
    freeze: the weights take no gradient; the prefix still does.
    gradient_checkpointing: recompute the layers in the backward pass, in training mode.
    lora: train adapters in place of the weights; what is saved has them merged in, and loads without peft.

    Nothing is read until `load` (or `width`, which needs the config alone), so that a configuration instantiates
    without a network. M below is the number of items in a batch.
    """

    def __init__(
        self,
        path: str,
        tokenizer: str | None = None,
        dtype: pretrained.Dtype = "float32",
        freeze: bool = False,
        gradient_checkpointing: bool = False,
        lora: Lora | None = None,
    ) -> None:
        super().__init__()
        if freeze and lora is not None:
            raise ValueError("freeze: expected False with lora, which freezes all but its adapters")
        self.path = path
        self.tokenizer_path = tokenizer
        self.dtype: pretrained.Dtype = dtype
        self.freeze = freeze
        self.gradient_checkpointing = gradient_checkpointing
        self.lora = lora
        self.layout: Layout | None = None
        self.lm: PreTrainedModel | None = None

    def load(self) -> Self:
        """Read the weights and the tokenizer; does nothing when they are there.

        Raises UserError where they are missing, broken, or not those of a causal language model.
        """
        if self.lm is None:
            self.layout = Layout(pretrained.load_tokenizer(self.folder, self.tokenizer_path))
            lm: PreTrainedModel = pretrained.load(AutoModelForCausalLM, self.folder, self.dtype)
            lm.requires_grad_(not self.freeze)
            if self.lora is not None:
                adapt(lm, self.lora)
            if self.gradient_checkpointing:
                lm.gradient_checkpointing_enable({"use_reentrant": False})
            self.lm = lm.train(self.training)
        return self

    def move(self, path: str, tokenizer: str | None) -> None:
        """Load from another place than the constructor was told. Raises RuntimeError where the weights are there."""
        if self.lm is not None:
            raise RuntimeError(f"CausalLM({self.path!r}): cannot move to {path!r} once the weights are loaded")
        self.path, self.tokenizer_path = path, tokenizer
        for known in ("folder", "width"):
            self.__dict__.pop(known, None)

    def save(self, folder: Path) -> None:
        """Write the weights to folder/llm and the tokenizer to folder/tokenizer, as `CausalLM` reads them."""
        lm, layout = self._loaded()
        with pretrained.quiet():
            (lm if self.lora is None else merged(lm)).save_pretrained(folder / "llm")
            layout.tokenizer.save_pretrained(folder / "tokenizer")

    @cached_property
    def folder(self) -> Path:
        """The local folder of the checkpoint."""
        if self.path.endswith(gguf.SUFFIX):
            return gguf.unpack(gguf.find(self.path))
        return pretrained.resolve(self.path)

    @cached_property
    def width(self) -> int:
        """Q, read from the checkpoint's config. Raises UserError for one that is broken or says none."""
        config = pretrained.read_config(AutoConfig, self.folder)
        width = getattr(config.get_text_config(), "hidden_size", None)
        if not isinstance(width, int):
            raise UserError(f"{self.folder}: expected a language model with a hidden_size, got {config.model_type!r}")
        return width

    def loss(self, prefix: Tensor, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """Mean negative log-likelihood (M,) of each answer's tokens, its end included, after prefix and prompt.

        prefix: (M, P, Q), P may be 0. Differentiable in the prefix and the weights.
        """
        if not len(prefix) == len(prompts) == len(answers):
            came = f"{len(prefix)}, {len(prompts)} and {len(answers)}"
            raise ValueError(f"expected as many prompts and answers as items of the prefix, got {came}")
        _, layout = self._loaded()
        self._check(prefix)
        asked = [layout.prompt(prompt) for prompt in prompts]
        said = [layout.answer(answer) for answer in answers]
        # Items of like length together, for padding costs as much as text.
        order = sorted(range(len(asked)), key=lambda i: len(asked[i]) + len(said[i]))
        parts = [order[i : i + ITEMS_AT_ONCE] for i in range(0, len(order), ITEMS_AT_ONCE)]
        losses = [self._loss(prefix[part], [asked[i] for i in part], [said[i] for i in part]) for part in parts]
        return torch.cat(losses)[torch.tensor(order).argsort()]

    def _loss(self, prefix: Tensor, asked: list[list[int]], said: list[list[int]]) -> Tensor:
        lm, layout = self._loaded()
        # What follows the prefix: prompt, answer, padding on the right.
        tail = self._pad([a + b for a, b in zip(asked, said, strict=True)], layout.end)
        labels = self._pad([[IGNORED] * len(a) + b for a, b in zip(asked, said, strict=True)], IGNORED)
        length = torch.tensor([len(a) + len(b) for a, b in zip(asked, said, strict=True)], device=tail.device)
        embeds = torch.cat([self._opening(len(prefix)), self._cast(prefix), self._embed(tail)], dim=1)
        seen = embeds.shape[1] - tail.shape[1] + length
        mask = torch.arange(embeds.shape[1], device=tail.device) < seen[:, None]
        first = min(len(a) for a in asked)
        _check_something_to_read(embeds.shape[1] - tail.shape[1] + first)
        # Logits only where an answer is predicted: from the last token of the shortest prompt on.
        keep = tail.shape[1] - first + 1
        logits = lm(inputs_embeds=embeds, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
        wanted = labels[:, first:]
        nll = F.cross_entropy(logits[:, :-1].float().mT, wanted, ignore_index=IGNORED, reduction="none")
        return nll.sum(1) / (wanted != IGNORED).sum(1)

    def score(self, prefix: Tensor, prompt: str, options: Sequence[str]) -> Tensor:
        """Log-likelihood (n,) of each option's text as the whole answer, its end included.

        prefix: (1, P, Q). The prefix is read once, then the options as one batch.
        """
        logits, cache = self.ask(prefix, prompt)
        return self.score_after(logits, cache, options)

    def generate(self, prefix: Tensor, prompt: str, max_new_tokens: int = 8, repetition_penalty: float = 1.0) -> str:
        """The greedy answer. prefix: (1, P, Q)."""
        logits, cache = self.ask(prefix, prompt)
        return self.generate_after(logits, cache, max_new_tokens, repetition_penalty)

    # The parts that a policy with a key-value cache of its own puts together.

    @torch.no_grad()
    def read(self, prefix: Tensor) -> DynamicCache:
        """The cache after what comes before every prefix, and a prefix (1, P, Q); empty where there is neither."""
        lm, _ = self._loaded()
        self._check(prefix)
        embeds = torch.cat([self.embed_opening(), self._cast(prefix)], dim=1)
        cache = DynamicCache()
        if embeds.shape[1]:
            lm.base_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        return cache

    @torch.no_grad()
    def ask(self, prefix: Tensor, prompt: str) -> tuple[Tensor, Cache]:
        """Read prefix (1, P, Q) and prompt: logits (1, vocabulary) of the answer's first token, and the cache."""
        self._check(prefix)
        if len(prefix) != 1:
            raise ValueError(f"prefix: expected one item (1, P, Q), got {tuple(prefix.shape)}")
        embeds = torch.cat([self.embed_opening(), self._cast(prefix), self.embed_prompt(prompt)], dim=1)
        _check_something_to_read(embeds.shape[1])
        return self.forward_embeds(embeds)

    def embed_opening(self) -> Tensor:
        """Embeddings (1, n, Q) of what comes before the prefix; n may be 0."""
        return self._opening(1)

    def embed_prompt(self, prompt: str) -> Tensor:
        """Embeddings (1, n, Q) of what comes between the prefix and the answer."""
        _, layout = self._loaded()
        return self._embed(self._pad([layout.prompt(prompt)], layout.end))

    def embed_pieces(self, word: str) -> Tensor:
        """Embeddings (n, Q) of the tokens of a word as it stands inside a text."""
        _, layout = self._loaded()
        return self._embed(self._pad([layout.word(word)], layout.end))[0]

    def embed_words(self, words: Sequence[str]) -> Tensor:
        """Embeddings (n, Q) of words by themselves, the mean over its tokens where a word is several.

        Raises ValueError for a word of which the tokenizer makes nothing.
        """
        return self._embed_means([[ids] for ids in self._word_ids(words)])[:, 0]

    def embed_spelled(self, words: Sequence[str]) -> Tensor:
        """Embeddings (n, 2, Q) of words of one or two tokens by themselves, such as numbers: of the first and the last.

        Zeros stand for the second token of a word of one. Where a word is more, the first is the mean of all but the
        last. Raises ValueError for a word of which the tokenizer makes nothing.
        """
        return self._embed_means(
            [[ids[:1], []] if len(ids) == 1 else [ids[:-1], ids[-1:]] for ids in self._word_ids(words)]
        )

    def _word_ids(self, words: Sequence[str]) -> list[list[int]]:
        ids = [self._loaded()[1].word(word) for word in words]
        if not all(ids):
            raise ValueError(f"words: expected ones that the tokenizer knows, got {words[ids.index([])]!r}")
        return ids

    def _embed_means(self, ids: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """Means (n, m, Q) over tokens, of n × m lists of them, zeros where there are none."""
        lists = [tokens for row in ids for tokens in row]
        rows = torch.cat([torch.full((len(tokens),), row) for row, tokens in enumerate(lists)])
        found = self._embed(self._pad([[token for tokens in lists for token in tokens]], self._loaded()[1].end))[0]
        sums = found.new_zeros(len(lists), found.shape[1]).index_add(0, rows.to(found.device), found)
        means = sums / torch.tensor([[max(len(tokens), 1)] for tokens in lists]).to(sums)
        return means.view(len(ids), -1, found.shape[1])

    def forward_embeds(
        self,
        embeds: Tensor,
        past_key_values: Cache | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Cache]:
        """Append embeddings (M, n, Q) to a cache, a new one by default, which is changed in place and returned.

        position_ids: (1 or M, n); by default they go on from the cache's length.
        attention_mask: (M, cached + n), true where a token may be seen; by default everywhere.
        Returns the logits (M, vocabulary) after the last embedding, and the cache.
        """
        lm, _ = self._loaded()
        out = lm(
            inputs_embeds=self._cast(embeds),
            past_key_values=past_key_values,
            position_ids=position_ids,
            attention_mask=attention_mask,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1], out.past_key_values

    @torch.no_grad()
    def score_after(self, logits: Tensor, cache: Cache, options: Sequence[str], position: int | None = None) -> Tensor:
        """Log-likelihood (n,) of each option's text as the whole answer, its end included.

        logits: (1, vocabulary) after the prompt. cache: that of one item up to there; it is used up.
        position: of the answer's first token; by default the cache's length.
        """
        if not options:
            raise ValueError("options: expected at least one, got none")
        lm, layout = self._loaded()
        answers = [layout.answer(option) for option in options]
        ids, labels = self._pad(answers, layout.end), self._pad(answers, IGNORED)
        cached = cache.get_seq_length()
        cache.batch_repeat_interleave(len(options))
        steps = torch.arange(ids.shape[1] - 1, device=ids.device)
        out = lm(
            inputs_embeds=self._embed(ids[:, :-1]),
            past_key_values=cache,
            position_ids=(steps + (cached if position is None else position))[None],
            attention_mask=F.pad(labels[:, :-1] != IGNORED, (cached, 0), value=True),
            use_cache=True,
        )
        every = torch.cat([logits.expand(len(options), -1)[:, None], out.logits], dim=1).float()
        return -F.cross_entropy(every.mT, labels, ignore_index=IGNORED, reduction="none").sum(1)

    @torch.no_grad()
    def generate_after(
        self,
        logits: Tensor,
        cache: Cache,
        max_new_tokens: int = 8,
        repetition_penalty: float = 1.0,
        position: int | None = None,
    ) -> str:
        """The greedy answer, at most `max_new_tokens` long; arguments as for `score_after`.

        repetition_penalty: divides the positive logits of tokens already in the answer and multiplies the negative
        ones (CTRL, arXiv 1909.05858); what was read before the answer is not penalised.
        """
        lm, layout = self._loaded()
        position = cache.get_seq_length() if position is None else position
        configured = lm.generation_config.eos_token_id if lm.generation_config is not None else None
        ends = {layout.end, *([configured] if isinstance(configured, int) else configured or [])}
        said: list[int] = []
        while len(said) < max_new_tokens:
            scores = logits[0].float()
            if said:
                again = scores[said]
                penalised = torch.where(again > 0, again / repetition_penalty, again * repetition_penalty)
                scores = scores.index_copy(0, torch.tensor(said, device=scores.device), penalised)
            token = int(scores.argmax())
            if token in ends:
                break
            here = torch.tensor([[token]], device=scores.device)
            place = torch.tensor([[position + len(said)]], device=scores.device)
            said.append(token)
            if len(said) < max_new_tokens:
                logits, cache = self.forward_embeds(self._embed(here), cache, place)
        return layout.text(said)

    def _loaded(self) -> tuple[PreTrainedModel, Layout]:
        if self.lm is None or self.layout is None:
            raise RuntimeError(f"CausalLM({self.path!r}): call load() before using it")
        return self.lm, self.layout

    def _check(self, prefix: Tensor) -> None:
        if prefix.ndim != 3 or prefix.shape[-1] != self.width:
            raise ValueError(f"prefix: expected (M, P, {self.width}), got {tuple(prefix.shape)}")

    def _pad(self, rows: Sequence[Sequence[int]], value: int) -> Tensor:
        """Ids (M, longest), padded on the right, on the model's device."""
        lm, _ = self._loaded()
        tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
        return pad_sequence(tensors, batch_first=True, padding_value=value).to(lm.device)

    def _embed(self, ids: Tensor) -> Tensor:
        lm, _ = self._loaded()
        return lm.get_input_embeddings()(ids)

    def _cast(self, embeds: Tensor) -> Tensor:
        lm, _ = self._loaded()
        return embeds.to(lm.device, lm.dtype)

    def _opening(self, items: int) -> Tensor:
        _, layout = self._loaded()
        return self._embed(self._pad([layout.before], layout.end)).expand(items, -1, -1)


def _check_something_to_read(tokens: int) -> None:
    if not tokens:
        raise ValueError("expected a prefix or a prompt, got neither: an answer is predicted from what comes before it")
