"""Sources compared on streams whose events are plain to see, and on ones worked by hand."""

import json
import math

import numpy as np
import pytest
import torch

from ssm_sense.boundaries import (
    BoundaryRow,
    Stream,
    Track,
    best_threshold,
    compare,
    found_boundaries,
    per_clip,
    track,
    watch,
    write_lines,
)
from ssm_sense.nn.lfp import lfp_loss
from ssm_sense.nn.sources import AdjacentDifference, EmaDistance, RandomSurprise

PLACES, WIDTH = 4, 8


def rooms(seed: int, frames: int = 60, every: int = 12, noise: float = 0.1) -> Stream:
    """A new random picture every few frames, with noise, at 2 frames/s; one event lies between two frames."""
    draw = torch.Generator().manual_seed(seed)
    pictures = torch.randn(frames // every + 1, PLACES, WIDTH, generator=draw)
    latents = pictures[torch.arange(frames) // every] + noise * torch.randn(frames, PLACES, WIDTH, generator=draw)
    events_s = [0.0, every / 2 - 0.2, *(start / 2 for start in range(2 * every, frames, every))]
    return Stream(f"rooms {seed}", latents, [t / 2 for t in range(frames)], events_s)


@pytest.fixture
def streams() -> list[Stream]:
    return [rooms(seed) for seed in range(4)]


def made_up(surprise: list[float], events_s: list[float]) -> Track:
    return Track(
        "made up", np.arange(len(surprise), dtype=float), np.array(surprise), np.array(events_s), math.nan, math.nan
    )


def test_what_changes_only_at_events_is_found_and_chance_is_not(streams: list[Stream]) -> None:
    sources = {"adjacent": AdjacentDifference(PLACES, WIDTH), "random": RandomSurprise()}
    tracks = watch(sources, streams)
    rows = compare({k: v[:2] for k, v in tracks.items()}, {k: v[2:] for k, v in tracks.items()}, tolerance_s=0.0)
    adjacent, random = rows
    assert (adjacent.source, adjacent.n_streams, adjacent.n_events) == ("adjacent", 2, 8)
    assert adjacent.auroc == adjacent.auroc_low == adjacent.auroc_high == 1.0
    assert adjacent.f1 == 1.0
    assert 0.0 < adjacent.threshold < 1.0
    assert random.source == "random"
    assert random.auroc < 0.8
    assert random.f1 < 0.6
    assert math.isnan(random.cosine_error)
    assert math.isnan(random.squared_error)


def test_the_threshold_is_the_validation_streams_own() -> None:
    loud = made_up([1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.5, 0.1, 0.1], [4.0, 8.0])
    quiet = made_up([1, 0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.3, 0.1, 0.1], [4.0, 8.0])
    assert best_threshold([loud], 0.0, 3.0) == pytest.approx(0.3, abs=0.02)
    assert best_threshold([quiet], 0.0, 3.0) == pytest.approx(0.2, abs=0.02)
    (row,) = compare({"made up": [quiet]}, {"made up": [loud]}, tolerance_s=0.0)
    assert row.threshold == best_threshold([loud], 0.0, 3.0)
    assert math.isnan(row.auroc_low)
    assert (row.auroc, row.f1) == (1.0, 0.0)
    (row,) = compare({"made up": [loud]}, {"made up": [quiet]}, tolerance_s=0.0)
    assert row.f1 == 1.0


def test_a_flat_source_finds_nothing() -> None:
    flat = made_up([1, 0.4, 0.4, 0.4, 0.4, 0.4], [3.0])
    assert best_threshold([flat], 0.0, 3.0) == 0.4
    assert compare({"flat": [flat]}, {"flat": [flat]})[0].f1 == 0.0


def test_an_event_begins_by_the_same_rule_as_in_the_model() -> None:
    one = made_up([1.0, 0.1, 0.2, 0.9, 0.8, 0.1, 0.9, 0.2, 0.7], [])
    assert found_boundaries(one, np.array([0.5, 0.85]), 3.0) == [[3.0, 6.0], [3.0, 6.0]]
    assert found_boundaries(one, np.array([0.5, 0.85, 0.95]), 4.0) == [[6.0], [6.0], []]


def test_the_tolerance_reaches_as_far_as_it_says() -> None:
    late = made_up([1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1], [5.0])
    near, far = (compare({"late": [late]}, {"late": [late]}, tolerance_s=s)[0] for s in (0.5, 1.0))
    assert (near.f1, far.f1) == (0.0, 1.0)
    assert (near.auroc, far.auroc) == (0.45, 1.0)
    assert far.tolerance_s == 1.0


def test_an_event_is_seen_in_the_first_frame_after_it_and_the_first_frame_begins_none(streams: list[Stream]) -> None:
    tracks = watch({"adjacent": AdjacentDifference(PLACES, WIDTH)}, streams)["adjacent"]
    assert tracks[0].events_s.tolist() == [6.0, 12.0, 18.0, 24.0]


def test_a_long_stream_is_watched_in_windows_that_leave_no_seam() -> None:
    stream = rooms(0, frames=200)
    source = EmaDistance(PLACES, WIDTH, decay=0.7)
    (seen,) = watch({"ema": source}, [stream])["ema"]
    whole = stream.latents[None]
    wrong, _ = source(whole, source.initial_state(1))
    predicted, _ = source.predict(whole, source.initial_state(1))
    errors = lfp_loss(predicted[:, :-1], whole[:, 1:])
    np.testing.assert_allclose(seen.surprise, wrong[0].mean(-1), atol=1e-5)
    assert seen.cosine_error == pytest.approx(float(errors.cosine), abs=1e-5)
    assert seen.squared_error == pytest.approx(float(errors.squared), abs=1e-4)


def test_a_models_trace_is_measured_as_a_source_is(streams: list[Stream]) -> None:
    source = AdjacentDifference(PLACES, WIDTH)
    (ours,) = watch({"adjacent": source}, streams[:1])["adjacent"]
    wrong, _ = source(streams[0].latents[None], source.initial_state(1))
    for per_frame in (wrong[0], wrong[0].mean(-1)):
        theirs = track(streams[0], per_frame, streams[0].latents)
        assert ours.clip == theirs.clip == "rooms 0"
        for a, b in zip(ours[1:], theirs[1:], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    with pytest.raises(ValueError, match="expected surprise and predictions"):
        track(streams[0], wrong[0, 1:], streams[0].latents)


def test_every_stream_draws_its_own_random_surprise(streams: list[Stream]) -> None:
    first, second = watch({"random": RandomSurprise()}, streams[:2])["random"]
    assert not np.array_equal(first.surprise[1:], second.surprise[1:])


def test_sources_need_tracks_on_both_sides(streams: list[Stream]) -> None:
    tracks = watch({"random": RandomSurprise()}, streams[:1])
    with pytest.raises(ValueError, match="same sources"):
        compare(tracks, {"other": tracks["random"]})
    with pytest.raises(ValueError, match="same sources"):
        compare(tracks, {"random": []})


def test_a_line_a_source_and_clip_takes_the_sources_threshold(streams: list[Stream]) -> None:
    tracks = watch({"adjacent": AdjacentDifference(PLACES, WIDTH), "random": RandomSurprise()}, streams)
    rows = compare(tracks, tracks, tolerance_s=0.5)
    lines = per_clip(tracks, rows)
    assert [(line["source"], line["clip"]) for line in lines] == [
        (source, f"rooms {i}") for source in ("adjacent", "random") for i in range(4)
    ]
    assert all(line["threshold"] == rows[i // 4].threshold for i, line in enumerate(lines))
    first, last = lines[0], lines[-1]
    assert (first["auroc"], first["f1"], first["n_events"], first["tolerance_s"]) == (1.0, 1.0, 4, 0.5)
    assert first["prediction_error"] == tracks["adjacent"][0].cosine_error
    assert last["prediction_error"] is None


def test_rows_are_strict_json(tmp_path) -> None:
    row = BoundaryRow("random", 1, 4, 0.5, math.nan, math.nan, 0.25, 0.75, math.nan, math.nan, 1.0)
    write_lines([row, row], tmp_path / "boundaries.jsonl")
    first, second = map(json.loads, (tmp_path / "boundaries.jsonl").read_text().splitlines())
    assert (
        first
        == second
        == {
            **row._asdict(),
            **dict.fromkeys(["auroc_low", "auroc_high"]),
            **dict.fromkeys(["cosine_error", "squared_error"]),
        }
    )
