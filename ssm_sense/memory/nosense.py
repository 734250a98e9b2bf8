"""NoSense: similarity of single frames to texts, and nothing else (arXiv 2511.16655).

No language model, no video model, no order but that of the frames. It nearly solves recall, which is why no claim of
long memory stands without it. Both variants watch through a `SiglipTextTower`, one pooled embedding a frame, which
they hold in half precision; how they answer stands in `memory.similarity`. The same frames and questions get the
same answers from both, and the difference is what they have to hold for it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.policy import Answer, Observation, bytes_of
from ssm_sense.memory.similarity import SimilarityReader, Watch
from ssm_sense.state import State

_NOTHING = Observation(float("nan"), float("nan"), False)


class NoSense:
    """Learns the question at the end, so it keeps an embedding of every frame: memory grows with the stream.

    Args:
        reader: turns a question into what to look for.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = False
    needs_training: ClassVar[bool] = False
    holds: ClassVar[str] = "host"

    def __init__(self, reader: SimilarityReader) -> None:
        self.reader = reader
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.embeddings: list[Tensor] = []

    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Keep a frame's pooled embedding, latents (1, V)."""
        self.embeddings.append(_embedding(latents, self.reader).cpu())
        return _NOTHING

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Look through all frames for what the question asks."""
        watch = self.reader.watch(prompt, options)
        return watch.answer(watch.update(self._all().float().to(watch.texts.device), watch.initial_state()))

    def state_dict(self) -> Mapping[str, Tensor]:
        """``embeddings`` (frames, V), float16."""
        return {"embeddings": self._all()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from saved embeddings; raises ValueError for those of another tower."""
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        width = self.reader.tower.width
        if found.keys() != {"embeddings"} or found["embeddings"][1:] != (width,):
            raise ValueError(f"expected embeddings (frames, {width}), got {found}")
        self.embeddings = [embedding.half().clone() for embedding in state["embeddings"]]

    @property
    def nbytes(self) -> int:
        """2·V a frame."""
        return bytes_of(self.embeddings)

    def _all(self) -> Tensor:
        empty = torch.zeros(0, self.reader.tower.width, dtype=torch.float16)
        return torch.stack(self.embeddings) if self.embeddings else empty


class NoSenseAhead:
    """Is told the questions before the stream begins, so it keeps the few frames that matter to them.

    Args:
        reader: turns a question into what to look for.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = True
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(self, reader: SimilarityReader) -> None:
        self.reader = reader
        self.watches: dict[str, Watch] = {}
        self.reset()

    @torch.inference_mode()
    def expect(self, questions: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Forget the stream and all questions, and be ready for these: pairs of prompt and options."""
        self.watches = {prompt: self.reader.watch(prompt, options) for prompt, options in questions}
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the questions that are expected stay."""
        self.states = {prompt: watch.initial_state() for prompt, watch in self.watches.items()}

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Show a frame's pooled embedding, latents (1, V), to every watch."""
        embedding = _embedding(latents, self.reader).float()[None]
        self.states = {prompt: watch.update(embedding, self.states[prompt]) for prompt, watch in self.watches.items()}
        return _NOTHING

    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer a question that was expected; raises ValueError for any other."""
        if prompt not in self.watches:
            raise ValueError(f"expected one of {len(self.watches)} questions announced beforehand, got {prompt!r}")
        return self.watches[prompt].answer(self.states[prompt])

    def state_dict(self) -> Mapping[str, Tensor]:
        """The watches' states, in the order in which the questions were announced."""
        return dict(State.join({str(i): state for i, state in enumerate(self.states.values())}))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from saved states; raises ValueError unless they are of the same questions."""
        expected = {name: tensor.shape for name, tensor in self.state_dict().items()}
        found = {name: tensor.shape for name, tensor in state.items()}
        if expected != found:
            raise ValueError(f"expected the state of the {len(self.watches)} questions announced, got {found}")
        loaded = State(state)
        self.states = {p: loaded.sub(str(i)).to(w.texts.device) for i, (p, w) in enumerate(self.watches.items())}

    @property
    def nbytes(self) -> int:
        """Of the watches' states and of the texts that they compare frames with."""
        return sum(state.nbytes for state in self.states.values()) + sum(w.texts.nbytes for w in self.watches.values())


def _embedding(latents: Tensor, reader: SimilarityReader) -> Tensor:
    """A frame's embedding (V,), float16; raises ValueError for the latents of a tower that does not pool."""
    if latents.shape != (1, reader.tower.width):
        raise ValueError(
            f"latents: expected the pooled embedding (1, {reader.tower.width}) of SiglipTextTower, "
            f"got {tuple(latents.shape)}"
        )
    return latents[0].half()
