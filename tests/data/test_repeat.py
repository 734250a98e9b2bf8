"""The same film again and again: what is asked when, and that its first showing is the film as it is."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.data.clip import Clip, Event, Question
from ssm_sense.data.features import extract
from ssm_sense.data.latents import CachedClips
from ssm_sense.data.repeat import repeated
from ssm_sense.data.video import VideoFile, write_video

QUESTIONS = (
    Question("How many so far?", "1", 2.0, "vsc-streaming"),
    Question("How many so far?", "3", 4.0, "vsc-streaming"),
    Question("How many by now?", "2", 2.0, "vsc"),
    Question("How many?", "3", 4.0, "vsc"),
    Question("Which?", "A", 4.0, "vsr", ("A. Bed", "B. Sofa")),
)
EVENTS = (Event(0.0, "hall"), Event(2.0, "kitchen"))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Four seconds, each brighter than the one before."""
    path = tmp_path / "film.mp4"
    write_video(path, [np.full((32, 32, 3), 50 * i, np.uint8) for i in range(4)], 1)
    return path


def clip_of(film: Path, fps: float = 1.0) -> Clip:
    video = VideoFile(film, fps)
    return Clip("film", video, fps, video.duration_s, QUESTIONS, EVENTS)


class MeanTower:
    """Latents are the mean of the picture."""

    grid, width, fingerprint = 1, 1, "mean"

    def encode(self, frames):
        return frames.float().mean((1, 2, 3)).reshape(-1, 1, 1)


def test_what_is_asked_at_the_end_is_asked_at_the_end_of_each_showing_named(film: Path) -> None:
    clip = repeated(clip_of(film), [2, 0, 2])
    at_end = [(q.kind, q.t_s, q.answer) for q in clip.questions[3:]]
    assert clip.questions[:3] == QUESTIONS[:3]
    assert at_end == [("vsc", 4.0, "3"), ("vsr", 4.0, "A"), ("vsc", 14.0, "3"), ("vsr", 14.0, "A")]
    assert [t_s for _, t_s in clip.frames] == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    assert clip.duration_s == 14.0
    assert [(event.t_s, event.label) for event in clip.events or ()] == [
        (start_s + event.t_s, event.label) for start_s in (0, 5, 10) for event in EVENTS
    ]
    once = repeated(clip_of(film), [1])
    assert [(q.kind, q.t_s) for q in once.questions[3:]] == [("vsc", 9.0), ("vsr", 9.0)]


def test_every_showing_is_the_film(film: Path) -> None:
    clip = clip_of(film, 2.0)
    shown = list(repeated(clip, [1]).frames)
    alone = list(clip.frames)
    assert len(shown) == 2 * len(alone)
    for (picture, t_s), (expected, begun_s) in zip(shown[: len(alone)], alone, strict=True):
        assert t_s == begun_s
        assert (picture == expected).all()
    for (picture, t_s), (expected, begun_s) in zip(shown[len(alone) :], alone, strict=True):
        assert t_s == begun_s + 4.5  # the first frame due after the end at 4 s
        assert (picture == expected).all()
    assert all(later > sooner for (_, sooner), (_, later) in pairwise(shown))


def test_cached_latents_are_shown_again_as_frames_are(film: Path, tmp_path: Path) -> None:
    extract(film, MeanTower(), tmp_path / "cache", dtype="float32")
    clip = repeated(CachedClips(tmp_path / "cache", "mean")(clip_of(film)), [1])
    latents, seconds = zip(*clip.frames, strict=True)
    assert list(seconds) == [t_s for _, t_s in repeated(clip_of(film), [1]).frames]
    assert np.stack(latents).shape == (8, 1, 1)
    assert (np.stack(latents[:4]) == np.stack(latents[4:])).all()
    assert [clip.duration_s, *(q.t_s for q in clip.questions[3:])] == [9.0, 9.0, 9.0]


def test_a_picture_beyond_the_stated_end_does_not_delay_the_next_showing() -> None:
    frames = [(np.zeros((1, 1, 3), np.uint8), float(t)) for t in range(7)]
    clip = repeated(Clip("long", frames, 1.0, 4.0), [1])
    assert [t_s for _, t_s in clip.frames] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert clip.events is None


def test_strange_numbers_are_refused(film: Path) -> None:
    for again in ([], [-1, 2]):
        with pytest.raises(ValueError, match="expected numbers of at least 0"):
            repeated(clip_of(film), again)
