"""The model: frames in, surprise-gated memory of constant size, tokens for a language model out.

latents ─► temporal encoder (event state) ─► episode (events so far) ─► tokens ─► LLM ─► answer
   │             │             ▲                                           ▲
   │             └─► LFP head ─┘ surprise: gate, reset                     │
   └─► inventory (what was seen, and how many of each) ────────────────────┘
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.connector import Connector
from ssm_sense.language.inventory_words import InventoryWords
from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, AnsweringModel, Told
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.nn.bank import EventBank
from ssm_sense.nn.deltanet import DeltaEpisode
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.inventory import ROWS, Inventory
from ssm_sense.nn.lfp import LFPHead, lfp_loss, surprise
from ssm_sense.nn.pool import pool_places
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
        places_kept: places that the inventory knows again.
    """

    places_in: ClassVar[Mapping[str, int]] = {
        "encoder.place.weight": 0,
        "event_probes": 1,
        "frame_connector.slot": 0,
        "inventory.place": 0,
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
        places_kept: int = 32,
    ) -> None:
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
        self.concepts = tuple(concepts)
        kinds = len(concepts)
        self.inventory = Inventory(vision_width, encoder.places, kinds, kept=places_kept) if concepts else None
        self.inventory_words = InventoryWords(concepts, language_width) if concepts else None
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
                "predicted": predicted[:, -1],
                "latest": x[:, -1],
            }
        )
        return Trace(predicted, wrong, decision, residual, disagreement, inventory), after

    def _look(self, x: Tensor, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        if self.inventory is None:
            return x.new_zeros(*x.shape[:2], len(ROWS), 0), State({})
        return self.inventory(x, boundary_BT, state.sub("inventory"))

    @torch.no_grad()
    def _surprises(
        self, x: Tensor, seconds: Tensor, state: State, events: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """The surprise of every frame of a window, what the closed loop left open, and the state of another source."""
        if self.source is None:
            return *self._solve(x, seconds, state, events), State({})
        wrong, source_state = self.source(x, state.sub("source"))
        return wrong, x.new_zeros(()), x.new_zeros(()), source_state

    def _solve(self, x: Tensor, seconds: Tensor, state: State, events: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The surprise of every frame of a window, by rescanning until the gates that it sets reproduce it.

        The gate at t depends on the prediction made at t−1 only, so n rescans make the first n + 1 frames exact and
        a window of one frame needs none.
        """
        state = state.detach()
        policy_state, event_state = state.sub("policy"), state.sub("event")
        first = self._surprise(state["predicted"].unsqueeze(1), x[:, :1], policy_state)
        zero = x.new_zeros(())
        if x.shape[1] == 1:
            return first, zero, zero
        if self.rescans == 0:
            return self._solve_in_order(x, seconds, events, state), zero, zero
        gate: Tensor | None = None
        keep: Tensor | None = None
        boundary = torch.zeros_like(seconds, dtype=torch.bool)
        change = moved = x.new_full((x.shape[0],), torch.inf)
        wrong = first
        for _ in range(min(self.rescans, x.shape[1])):
            u, _ = self.encoder(x[:, :-1], event_state, *(None if g is None else g[:, :-1] for g in (gate, keep)))
            wrong = torch.cat([first, surprise(self.head(u), x[:, 1:])], dim=1)
            decision, _ = self.policy(wrong, seconds, policy_state, events)
            previous = torch.ones_like(decision.gate) if gate is None else gate
            change = (decision.gate - previous).abs().amax((1, 2))
            moved = (decision.boundary != boundary).sum(1).to(change.dtype)
            gate, keep, boundary = decision
            if bool(((change <= self.tolerance) & (moved == 0)).all()):
                break
        unsettled = torch.nonzero((change > self.tolerance) | (moved > 0)).squeeze(1)
        if len(unsettled):
            true = None if events is None else events[unsettled]
            exact = self._solve_in_order(x[unsettled], seconds[unsettled], true, state.select(unsettled))
            wrong = wrong.index_copy(0, unsettled, exact)
        return wrong, change.max(), moved.sum()

    def _solve_in_order(self, x: Tensor, seconds: Tensor, events: Tensor | None, state: State) -> Tensor:
        """The same by the exact sequential form, frame by frame."""
        event_state, policy_state, predicted = state.sub("event"), state.sub("policy"), state["predicted"]
        found = []
        for t in range(x.shape[1]):
            now = slice(t, t + 1)
            wrong = self._surprise(predicted.unsqueeze(1), x[:, now], policy_state)
            true = None if events is None else events[:, now]
            decision, policy_state = self.policy(wrong, seconds[:, now], policy_state, true)
            u, event_state = self.encoder(x[:, now], event_state, decision.gate, decision.keep)
            predicted = self.head(u[:, 0])
            found.append(wrong)
        return torch.cat(found, dim=1)

    def _surprise(self, predicted: Tensor, actual: Tensor, policy_state: State) -> Tensor:
        """Surprise of single frames (B, 1, S), 1 by definition where the stream has only begun."""
        wrong = surprise(predicted, actual)
        return torch.where(policy_state["started"][:, None, None], wrong, 1.0)

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
        tokens = self.tokens(state)
        if self.inventory is None:
            return tokens
        return self._with_inventory(tokens, self.inventory.read(state.sub("inventory")), [prompt])

    def _with_inventory(self, tokens_nMQ: Tensor, inventory_n4K: Tensor, prompts: Sequence[str]) -> Tensor:
        if self.inventory_words is None:
            return tokens_nMQ
        return torch.cat([tokens_nMQ, self.inventory_words(inventory_n4K, prompts, self.language)], dim=1)

    def alone(self, state: State) -> State:
        """A copy of the state that remembers no event but the one in progress."""
        parts = {"episode": self.episode.alone(state.sub("episode"))}
        if self.inventory is not None:
            parts["inventory"] = self.inventory.alone(state.sub("inventory"))
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
            moments at which anything is asked; ``inventory`` (B, T, 4, K); and, where rooms are told, ``places``, the
            loss of knowing one again.
        """
        frames = latents_BTSV.shape[1]
        asked_at = sorted({query.frame for query in queries})
        state = self.initial_state(latents_BTSV.shape[0])
        traces, tokens = [], []
        for start, stop in zip([0, *(f + 1 for f in asked_at)], [*(f + 1 for f in asked_at), frames], strict=True):
            if start == stop:
                continue
            events = None if told.events_BT is None else told.events_BT[:, start:stop]
            trace, state = self.observe(latents_BTSV[:, start:stop], seconds_BT[:, start:stop], state, events)
            traces.append(trace)
            if stop - 1 in asked_at:
                tokens.append(self.tokens(state))
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
        seen = self._with_inventory(seen, known, prompts)
        per_query = self.language.loss(seen, prompts, [q.answer for q in queries])
        x = self.scale(latents_BTSV)
        lfp = lfp_loss(trace.predicted[:, :-1], x[:, 1:])
        places_loss = {}
        if self.inventory is not None and told.rooms_BT is not None:
            places_loss["places"] = self.inventory.places.loss(x.mean(2), told.rooms_BT)
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
            **places_loss,
        }

    def memory(self) -> RecurrentMemory:
        """One stream's memory, which is the recurrent state."""
        return RecurrentMemory(self)
