"""What a memory trained on the latent world holds: recall against load, and against the length of the stream.

A row of either is an object of numbers; `recall` is the share of needles whose place is told right, with the ends of
its interval by a bootstrap over streams.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssm_sense.data.world.latent import UNKNOWN, WANDERINGS, Houses, LatentWorld, Walk
from ssm_sense.metrics.information import recalled_bits
from ssm_sense.metrics.interval import stream_mean
from ssm_sense.metrics.score import best_constant, mean_relative_accuracy
from ssm_sense.nn.latent_reader import LatentReader, held_bytes
from ssm_sense.state import State

Row = dict[str, float | int | str]

LOADS, EVENTS = (4, 8, 16, 32, 64, 128), 150
MINUTES, FACTS = (10, 30, 60, 120, 240), 16
STREAMS, SEED = 64, 2_000_000

WINDOW_MINUTES = 5
"""Facts are shown in the first so many minutes of a stream and in the last so many before a question."""
BLOCK = 150
"""Events watched at a time."""


class Answers(NamedTuple):
    """What was right, stream by stream."""

    recall: np.ndarray
    """(B, L) bool."""
    order: np.ndarray
    """(B, n) bool: of the n places at which the wanderer has been."""
    mra: np.ndarray
    """(B, C): of the counts."""
    blind: float
    """What the best answer that is the same for all streams and kinds would earn, knowing the truths."""


@torch.inference_mode()
def recall_by_load(
    model: LatentReader,
    world: LatentWorld,
    loads: Sequence[int] = LOADS,
    events: int = EVENTS,
    streams: int = STREAMS,
    seed: int = SEED,
) -> list[Row]:
    """A row for each load, all of streams of the same length, the needle asked about being known only at the end.

    Raises ValueError for loads that do not fit into the events (`LatentWorld.walk`).
    """
    rows = []
    for load in loads:
        rng = np.random.default_rng((seed, load))
        houses = world.houses(rng, streams)
        walk = world.walk(rng, houses, events, world.some_needles(rng, load))
        state = watched(model, walk, model.initial_state(streams))
        answers = asked(model, world, state, walk.needles, walk.places, walk, houses)
        bytes_held = held_bytes(model, state) / streams
        rows.append({"load": load, "minutes": events * world.event_s / 60, **_row(answers, world.places, bytes_held)})
    return rows


@torch.inference_mode()
def recall_by_length(
    model: LatentReader,
    world: LatentWorld,
    minutes: Sequence[int] = MINUTES,
    facts: int = FACTS,
    streams: int = STREAMS,
    seed: int = SEED,
    strange: bool = False,
) -> list[Row]:
    """A row for each length, all of one pass over the same streams.

    Half of the facts, and two of the wanderer's places, are shown in the first five minutes. Then nothing is, until
    five minutes before a question, where the stream forks: a copy of the state sees the other half and is asked, and
    the stream goes on without them. So at every length as much is to be remembered.

    `change` is recall less what it was at the first length, paired by stream, with its interval; `early` and `late`
    are the recall of either half.

    minutes: rising, the first at least ten. Raises ValueError otherwise.
    strange: needles that the world keeps from training, and walks of another kind than any of it (`LatentWorld`).
    """
    world = world.strangely() if strange else world
    if not minutes or minutes[0] < 2 * WINDOW_MINUTES or sorted(set(minutes)) != list(minutes):
        raise ValueError(f"minutes: expected to rise from {2 * WINDOW_MINUTES} or more, got {minutes}")
    rng = np.random.default_rng((seed, 1))
    per_minute = 60 / world.event_s
    window = round(WINDOW_MINUTES * per_minute)
    houses = world.houses(rng, streams)
    needles = world.some_needles(rng, facts, strange)
    half, none = facts // 2, needles[:0]
    early = walk = world.walk(rng, houses, window, needles[:half], WANDERINGS // 2)
    state = watched(model, walk, model.initial_state(streams))
    gone, rows, first = window, [], None
    for minute in minutes:
        until = round(minute * per_minute) - window
        while gone < until:
            walk = world.walk(rng, houses, min(BLOCK, until - gone), none, after=walk)
            state = watched(model, walk, state)
            gone += walk.frames.shape[1]
        tail = world.walk(rng, houses, window, needles[half:], WANDERINGS // 2, after=walk)
        fork = watched(model, tail, state)
        places = np.concatenate([early.places, tail.places], axis=1)
        answers = asked(model, world, fork, needles, places, tail, houses)
        first = answers if first is None else first
        row = _row(answers, world.places, held_bytes(model, fork) / streams)
        row |= {"early": float(answers.recall[:, :half].mean()), "late": float(answers.recall[:, half:].mean())}
        row |= _change(answers.recall.mean(1) - first.recall.mean(1))
        rows.append({"minutes": minute, "load": facts, **row})
    return rows


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """As a list in JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")


def watched(model: LatentReader, walk: Walk, state: State) -> State:
    """The state after a walk, watched in blocks."""
    frames = torch.from_numpy(walk.frames)
    for start in range(0, frames.shape[1], BLOCK):
        state = model.watch(frames[:, start : start + BLOCK], state)
    return state


def asked(
    model: LatentReader,
    world: LatentWorld,
    state: State,
    needles: np.ndarray,
    places: np.ndarray,
    walk: Walk,
    houses: Houses,
) -> Answers:
    """Every question there is, put to a state."""
    codes: Tensor = torch.from_numpy(world.needle_codes[needles]).float()
    where, others, numbers = (logits.argmax(-1).numpy() for logits in model.answer(state, codes))
    been = int((walk.wanderer[0] != UNKNOWN).sum())
    order = others[:, :been] == walk.wanderer[:, :been]
    counts = walk.counts(houses)
    pairs = zip(numbers.ravel().tolist(), counts.ravel().tolist(), strict=True)
    mra = np.array([mean_relative_accuracy(number, count) for number, count in pairs])
    return Answers(where == places, order, mra.reshape(counts.shape), best_constant(counts.ravel().tolist())[1])


def _row(answers: Answers, places: int, bytes_held: float) -> Row:
    streams, load = answers.recall.shape
    recall = stream_mean(answers.recall.ravel().tolist(), np.repeat(np.arange(streams), load).tolist())
    ends = [load * recalled_bits(share, places) for share in (recall.value, recall.low, recall.high)]
    row: Row = {"recall": recall.value, "recall_low": recall.low, "recall_high": recall.high}
    row |= {"bits": ends[0], "bits_low": ends[1], "bits_high": ends[2]}
    row |= {"state_bytes": bytes_held, "bits_per_byte": ends[0] / bytes_held}
    row |= {f"order_{i + 1}": float(share) for i, share in enumerate(answers.order.mean(0))}
    return row | {"counts_mra": float(answers.mra.mean()), "counts_blind": answers.blind}


def _change(differences: np.ndarray) -> Row:
    """The mean of differences in [−1, 1], one a stream, and its interval."""
    mean = stream_mean(((differences + 1) / 2).tolist(), list(range(len(differences))))
    value, low, high = (2 * end - 1 for end in mean[:3])
    return {"change": value, "change_low": low, "change_high": high}
