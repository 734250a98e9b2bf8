"""The model: frames in, surprise-gated memory of constant size, tokens for a language model out.

latents ─► temporal encoder (event state) ─► episode (events so far) ─► tokens ─► LLM ─► answer
   │             │             ▲                                           ▲
   │             └─► LFP head ─┘ surprise: gate, reset                     │
   ├─► inventory (what was seen, and how many of each) ────────────────────┤
   └─► sightings (what was seen beside what, and when) ────────────────────┘
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.connector import Connector
from ssm_sense.language.inventory_words import InventoryWords
from ssm_sense.language.query import Query
from ssm_sense.language.sightings_words import SightingsWords
from ssm_sense.memory.answering import NOTHING, AnsweringModel, Told
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.nn.bank import EventBank
from ssm_sense.nn.closed_loop import ClosedLoop
from ssm_sense.nn.deltanet import DeltaEpisode
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.inventory import ROWS, Inventory
from ssm_sense.nn.lfp import LFPHead, lfp_loss
from ssm_sense.nn.pool import pool_places
from ssm_sense.nn.sightings import Sightings
from ssm_sense.nn.sources import SurpriseSource
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.nn.trace import Trace, join_traces
from ssm_sense.state import State


class SsmSense(AnsweringModel):
    """A streaming video-language model with a state of constant size.

    Args:
        encoder: the temporal encoder, whose recurrences are the event state.
        head: predicts the next frame's latents from the encoder's output.
        policy: turns surprise into gate, keep and boundaries.
        episode: the state over events: recurrent, a bounded bank of them, or a gated DeltaNet.
        language: the language model that answers.
        language_width: Q of that language model, stated here because its weights are loaded later.
        event_probes, episode_probes: R of each read-out.
        frame_side: the newest frame is seen as frame_side² tokens, averaged after they were connected, so that what one
            place shows is told before it is mixed with its neighbours.
        window: frames solved together by the fixed point.
        rescans: cap on its iterations; streams above the tolerance by then are solved frame by frame, and with 0 all
            are, which is exact and, for small models on a CPU, also the fastest.
        tolerance: largest change of a gate that counts as settled.
        lfp_weight: λ of the LFP loss.
        source: surprise from elsewhere than the closed loop, such as the distance from a moving average. Nothing then
            has to be solved, for what is surprising does not depend on what was written; the head is trained all the
            same. None closes the loop.
        concepts: K words, such as "lamp": the kinds of things that an `Inventory` is kept of; none keeps none.
        places_kept: places that the inventory knows again, at 72 + 2 K bytes each.
        sought: X words, such as "snowman": things of which `Sightings` hold beside which of the concepts they were
            seen, and when; none holds none.

    Raises ValueError for things that are sought without concepts to be beside.
    """

    places_in: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "encoder.place.weight": (0,),
        "event_probes": (1,),
        "frame_connector.slot": (0,),
        "inventory.place": (0,),
        "inventory.places.place": (0,),
        "sightings.across": (1, 2),
        "sightings.place": (0,),
    }

    def __init__(
        self,
        encoder: TemporalEncoder,
        head: LFPHead,
        policy: SurprisePolicy,
        episode: Episode | EventBank | DeltaEpisode,
        language: CausalLM,
        language_width: int,
        event_probes: int = 2,
        episode_probes: int = 4,
        frame_side: int = 2,
        window: int = 16,
        rescans: int = 4,
        tolerance: float = 1e-3,
        lfp_weight: float = 0.1,
        source: SurpriseSource | None = None,
        concepts: Sequence[str] = (),
        places_kept: int = 375,
        sought: Sequence[str] = (),
    ) -> None:
        if sought and not concepts:
            raise ValueError(f"sought: expected none without concepts to be beside, got {', '.join(sought)}")
        vision_width = head.down.out_features
        super().__init__(language, language_width, vision_width)
        self.encoder, self.head, self.policy, self.episode = encoder, head, policy, episode
        self.event_probes = nn.Parameter(torch.randn(event_probes, encoder.places, encoder.width) * 0.5)
        self.episode_probes = nn.Parameter(torch.randn(episode_probes, episode.width) * 0.5)
        self.frame_side, self.window, self.rescans = frame_side, window, rescans
        self.tolerance, self.lfp_weight = tolerance, lfp_weight
        self.source = source
        if source is not None:
            source.of(encoder)
        self.event_connector = Connector(encoder.width, language_width, event_probes)
        self.episode_connector = Connector(episode.width, language_width, episode_probes * episode.tokens)
        self.frame_connector = Connector(vision_width, language_width, encoder.places)
        frame_tokens = min(encoder.places, frame_side**2)
        self.pool_connector = Connector(episode.width, language_width, episode.tokens)
        self.concepts, self.sought = tuple(concepts), tuple(sought)
        kinds = len(concepts)
        self.inventory = Inventory(vision_width, encoder.places, kinds, kept=places_kept) if concepts else None
        self.inventory_words = InventoryWords(concepts, language_width) if concepts else None
        self.sightings = Sightings(vision_width, encoder.places, len(sought), kinds) if sought else None
        self.sightings_words = SightingsWords(sought, concepts, language_width) if sought else None
        slots = event_probes + (episode_probes + 1) * episode.tokens + frame_tokens
        self.readout_width = language_width * slots

    def initial_state(self, streams: int) -> State:
        """The state of B streams that have seen nothing."""
        blank = self.scale.mean.new_zeros(streams, self.encoder.places, self.head.down.out_features)
        return State.join(
            {
                "event": self.encoder.initial_state(streams),
                "episode": self.episode.initial_state(streams),
                "policy": self.policy.initial_state(streams),
                "source": State({}) if self.source is None else self.source.initial_state(streams),
                "inventory": State({}) if self.inventory is None else self.inventory.initial_state(streams),
                "sightings": State({}) if self.sightings is None else self.sightings.initial_state(streams),
                "predicted": blank,
                "latest": blank,
            }
        )

    def observe(
        self, latents_BTSV: Tensor, seconds_BT: Tensor, state: State, events_BT: Tensor | None = None
    ) -> tuple[Trace, State]:
        """Watch T frames. One frame at a time is the exact closed loop; more are solved window by window.

        Args:
            latents_BTSV: frozen vision latents as the tower gives them.
            seconds_BT: float64 times of the frames.
            state: from `initial_state` or an earlier call.
            events_BT: bool, true boundaries used in place of found ones.
        """
        traces: list[Trace] = []
        frames = latents_BTSV.shape[1]
        for start in range(0, frames, self.window):
            part = slice(start, min(start + self.window, frames))
            events = None if events_BT is None else events_BT[:, part]
            trace, state = self._observe_window(latents_BTSV[:, part], seconds_BT[:, part], state, events)
            traces.append(trace)
        return join_traces(traces), state

    def _observe_window(
        self, latents: Tensor, seconds: Tensor, state: State, events: Tensor | None
    ) -> tuple[Trace, State]:
        x = self.scale(latents)
        wrong, residual, disagreement, source_state = self._surprises(x, seconds, state, events)
        decision, policy_state = self.policy(wrong, seconds, state.sub("policy"), events)
        u, event_state = self.encoder(x, state.sub("event"), decision.gate, decision.keep)
        predicted = self.head(u)
        inventory, inventory_state = self._look(x, decision.boundary, state)
        after = State.join(
            {
                "event": event_state,
                "episode": self.episode(u, decision.boundary, state.sub("episode"), wrong.mean(-1)),
                "policy": policy_state,
                "source": source_state,
                "inventory": inventory_state,
                "sightings": self._sight(x, seconds, state.sub("sightings")),
                "predicted": predicted[:, -1],
                "latest": x[:, -1],
            }
        )
        return Trace(predicted, wrong, decision, residual, disagreement, inventory), after

    def _look(self, x: Tensor, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        if self.inventory is None:
            return x.new_zeros(*x.shape[:2], len(ROWS), 0), State({})
        return self.inventory(x, boundary_BT, state.sub("inventory"))

    def _sight(self, x: Tensor, seconds: Tensor, state: State) -> State:
        return state if self.sightings is None else self.sightings(x, seconds, state)

    @torch.no_grad()
    def _surprises(
        self, x: Tensor, seconds: Tensor, state: State, events: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """The surprise of every frame of a window, what the closed loop left open, and the state of another source."""
        if self.source is None:
            loop = ClosedLoop(self.encoder, self.head, self.policy, self.rescans, self.tolerance)
            return *loop.solve(x, seconds, state, events), State({})
        wrong, source_state = self.source(x, state.sub("source"))
        return wrong, x.new_zeros(()), x.new_zeros(()), source_state

    def tokens(self, state: State) -> Tensor:
        """What the language model sees of the state: (B, M, Q). The state is not changed.

        R tokens of the episode (with the event in progress flushed into a copy), what was read from the state of the
        event in progress and what it would be written as, and the newest frame.
        """
        episode = self.episode.read(self.episode.flush(state.sub("episode")), self.episode_probes)
        event = self.encoder.read(state.sub("event"), self.event_probes)
        return torch.cat(
            [
                self.episode_connector(episode.flatten(1, 2)),
                self.event_connector(event.mean(2)),
                self.pool_connector(state["episode.pool.last"]),
                pool_places(self.frame_connector(state["latest"]), self.frame_side),
            ],
            dim=1,
        )

    def prefix(self, state: State, prompt: str) -> Tensor:
        """All that the language model sees before a question to one stream: `tokens`, and what it asks to be told."""
        inventory = None if self.inventory is None else self.inventory.read(state.sub("inventory"))
        sightings = None if self.sightings is None else self.sightings.read(state.sub("sightings"))
        return self._with_words(self.tokens(state), [prompt], inventory, sightings)

    def _with_words(
        self, tokens_nMQ: Tensor, prompts: Sequence[str], inventory_n4K: Tensor | None, sightings_n2XYM: Tensor | None
    ) -> Tensor:
        parts = [tokens_nMQ]
        if self.inventory_words is not None and inventory_n4K is not None:
            parts.append(self.inventory_words(inventory_n4K, prompts, self.language))
        if self.sightings is not None and self.sightings_words is not None and sightings_n2XYM is not None:
            parts.append(self.sightings_words(sightings_n2XYM, prompts, self.language, self.sightings.moved))
        return torch.cat(parts, dim=1)

    def alone(self, state: State) -> State:
        """A copy of the state that remembers no event but the one in progress."""
        parts = {"episode": self.episode.alone(state.sub("episode"))}
        if self.inventory is not None:
            parts["inventory"] = self.inventory.alone(state.sub("inventory"))
        if self.sightings is not None:
            parts["sightings"] = self.sightings.initial_state(len(state["predicted"]))
        return State({**state, **State.join(parts)})

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """Loss of the answers to questions put along the streams, and of the predicted latents.

        Returns:
            ``loss`` = ``answer`` + λ · (``lfp_squared`` + ``lfp_cosine``), and for the log ``residual`` and
            ``disagreement`` of the fixed point, ``gate`` (mean) and ``events`` (boundaries a frame); ``per_query``
            (n,) is each question's own loss; ``readout`` (B, moments, M·Q) the tokens handed over at each of the
            moments at which anything is asked; ``inventory`` (B, T, 4, K); and, where that is told, ``places``, the
            loss of knowing a room again, and ``sightings``, that of what frames show beside what.
        """
        frames = latents_BTSV.shape[1]
        asked_at = sorted({query.frame for query in queries})
        state = self.initial_state(latents_BTSV.shape[0])
        traces, tokens, sightings = [], [], []
        for start, stop in zip([0, *(f + 1 for f in asked_at)], [*(f + 1 for f in asked_at), frames], strict=True):
            if start == stop:
                continue
            events = None if told.events_BT is None else told.events_BT[:, start:stop]
            trace, state = self.observe(latents_BTSV[:, start:stop], seconds_BT[:, start:stop], state, events)
            traces.append(trace)
            if stop - 1 in asked_at:
                tokens.append(self.tokens(state))
                if self.sightings is not None:
                    sightings.append(self.sightings.read(state.sub("sightings")))
        trace = join_traces(traces)
        order, read = {frame: i for i, frame in enumerate(asked_at)}, torch.stack(tokens)
        streams = latents_BTSV.shape[0]
        places = torch.tensor([order[q.frame] * streams + q.stream for q in queries], device=read.device)
        moments = torch.tensor([q.stream * frames + q.frame for q in queries], device=read.device)
        prompts = [q.prompt for q in queries]
        known = trace.inventory
        if told.inventory_BT4K is not None:
            known = torch.where(told.inventory_BT4K < 0, known, told.inventory_BT4K.to(known))
        seen, known = (x.flatten(0, 1).index_select(0, at) for x, at in ((read, places), (known, moments)))
        sighted = torch.stack(sightings).flatten(0, 1).index_select(0, places) if sightings else None
        if self.sightings is not None and sighted is not None and told.sightings_n2XY is not None:
            sighted = self.sightings.with_told(sighted, told.sightings_n2XY)
        seen = self._with_words(seen, prompts, known, sighted)
        per_query = self.language.loss(seen, prompts, [q.answer for q in queries])
        x = self.scale(latents_BTSV)
        lfp = lfp_loss(trace.predicted[:, :-1], x[:, 1:])
        if self.training:
            self.policy.follow(trace.surprise[:, 1:].mean(-1))
        answer = per_query.mean()
        return {
            "loss": answer + self.lfp_weight * (lfp.squared + lfp.cosine),
            "answer": answer,
            "lfp_squared": lfp.squared,
            "lfp_cosine": lfp.cosine,
            "residual": trace.residual,
            "disagreement": trace.disagreement,
            "gate": trace.decision.gate.mean(),
            "events": trace.decision.boundary.float().mean(),
            "per_query": per_query,
            "readout": read.transpose(0, 1).flatten(2),
            "inventory": trace.inventory,
            **self._told_losses(x, trace.decision.boundary, told),
        }

    def look_losses(self, latents_BTSV: Tensor, seconds_BT: Tensor, told: Told = NOTHING) -> dict[str, Tensor]:
        """Those of what looks at latents by itself, whose training needs neither encoder nor language model.

        Returns:
            ``inventory`` (B, T, 4, K) and, where they are told, ``places`` and ``sightings``, as `losses` has them; in
            training nothing of what is frozen.

        Raises:
            ValueError: without an inventory, or in closed loop, where the encoder tells events.
        """
        if self.inventory is None or self.source is None:
            raise ValueError("look_losses: expected an inventory, and a source of surprise outside the closed loop")
        x = self.scale(latents_BTSV)
        state, boundary, counts = self.initial_state(len(x)), told.events_BT, self._matters(self.inventory)
        if boundary is None and counts:
            with torch.no_grad():
                surprise, _ = self.source(x, state.sub("source"))
                boundary = self.policy(surprise, seconds_BT, state.sub("policy"))[0].boundary
        if boundary is None:  # Nobody asks where events begin.
            boundary = torch.zeros_like(seconds_BT, dtype=torch.bool)
        found = self._told_losses(x, boundary, told)
        if counts:
            found["inventory"], _ = self.inventory(x, boundary, state.sub("inventory"))
        return found

    def _told_losses(self, x: Tensor, boundary_BT: Tensor, told: Told) -> dict[str, Tensor]:
        found = {}
        if self.inventory is not None and told.rooms_BT is not None and self._matters(self.inventory.places):
            found["places"] = self.inventory.places.loss(x, told.rooms_BT, boundary_BT)
        if self.sightings is not None and told.beside_BTX is not None and self._matters(self.sightings):
            found["sightings"] = self.sightings.loss(x, told.beside_BTX)
        return found

    def _matters(self, part: nn.Module) -> bool:
        """Whether anybody asks what a part loses: in training it has to learn."""
        return not self.training or any(weight.requires_grad for weight in part.parameters())

    def memory(self) -> RecurrentMemory:
        """One stream's memory, which is the recurrent state."""
        return RecurrentMemory(self)
