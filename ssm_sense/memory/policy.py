"""What every memory of a stream offers, so that `Session` and the harness never branch on which one it is."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from ssm_sense.language.causal_lm import CausalLM


class Observation(NamedTuple):
    """What a memory made of one frame. NaN where it has no such notion."""

    surprise: float
    gate: float
    """Share of the frame that was written."""
    boundary: bool
    """An event begins."""
    moved: bool | None = None
    """A stay in another place begins; None for a memory that tells no places apart."""

    @property
    def parted(self) -> bool:
        """What is counted part by part is counted anew: with each stay or, without such a notion, each event."""
        return self.boundary if self.moved is None else self.moved


class Held(NamedTuple):
    """What a memory knows of one kind of thing. The first two are expected numbers, the others are likelihoods."""

    so_far: float
    here: float
    """At this place, as the next."""
    seen_here: float
    in_view: float


class Sighting(NamedTuple):
    """When a thing was seen most surely beside another."""

    thing: str
    beside: str
    t_s: float
    sure: float
    """From 0 to 1, to be compared with others: the model was taught with what is rare weighing more."""


class Answer(NamedTuple):
    """The answer's text (the option's letter where options were given) and each option's log-likelihood."""

    text: str
    log_likelihoods: tuple[float, ...] = ()


class Sized(Protocol):
    """Anything that takes bytes, such as a tensor or keys and values."""

    @property
    def nbytes(self) -> int:
        """Of all of it."""


class Policy(Protocol):
    """Watches latents one frame at a time and answers questions from what it kept.

    A policy owns its memory, whose budget in bytes went to the constructor, and calls the language model that was
    injected. Reading changes nothing.
    """

    causal: ClassVar[bool]
    query_aware: ClassVar[bool]
    """Must know the question while it watches."""
    constant_memory: ClassVar[bool]
    needs_training: ClassVar[bool]
    """Weights are learnt for it: a model of its own, or a head that no other policy uses."""

    def reset(self) -> None:
        """Forget the stream."""

    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Take in one frame's vision latents (S, V), shown at ``t_s``.

        ``surprise`` is that of an outside source; a memory that predicts for itself ignores it.
        """

    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer a prompt, or choose among options such as ``"A. Bed, Chair"``."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Everything held of the stream, by name."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""

    @property
    def nbytes(self) -> int:
        """Bytes held of the stream, every list kept for later included."""


@runtime_checkable
class KeepsInventory(Protocol):
    """A memory that keeps count of kinds of things."""

    def inventory(self) -> dict[str, Held]:
        """What was seen of each kind by now, by name. Nothing changes."""


@runtime_checkable
class KeepsSightings(Protocol):
    """A memory that knows when things were seen beside others."""

    def sightings(self) -> list[Sighting]:
        """The surest of each thing by now, in order of time. Nothing changes."""


def letters(options: Sequence[str]) -> list[str]:
    """The letter before the full stop of options such as ``"A. Bed, Chair"``."""
    for option in options:
        if option[1:3] != ". ":
            raise ValueError(f"options: expected entries such as 'A. Bed, Chair', got {option!r}")
    return [option[0] for option in options]


def answer(language: CausalLM, prefix: Tensor, prompt: str, options: Sequence[str]) -> Answer:
    """Answer from tokens (1, P, Q): the likeliest option's letter, or a greedy answer where there are no options."""
    if not options:
        return Answer(language.generate(prefix, prompt))
    names = letters(options)
    scores = language.score(prefix, prompt, names).tolist()
    return Answer(names[scores.index(max(scores))], tuple(scores))


def bytes_of(parts: Sequence[Sized]) -> int:
    """Bytes of parts of one size, told by the first: a policy is asked at every frame, and may hold thousands."""
    return len(parts) * parts[0].nbytes if parts else 0
