"""One stateful pass over every clip: each question is asked when the stream reaches its time."""

import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from ssm_sense.data.clip import Clip, Frame, Question
from ssm_sense.evaluate.cap import Cap, CapReachedError
from ssm_sense.evaluate.cost import GREY, counted, first_pass, forget_peak, peak_bytes, peak_cuda_bytes
from ssm_sense.evaluate.folder import ClipLines, RunFolder
from ssm_sense.evaluate.held import bytes_by_place
from ssm_sense.evaluate.run import RunInfo
from ssm_sense.lock import alone_in
from ssm_sense.metrics.score import SCORERS, STOPPED, Scorer
from ssm_sense.stream import FrameReport, Session

log = logging.getLogger(__name__)

_EPSILON_S = 1e-6
_UNCAPPED = Cap()
_TRAITS = ("causal", "query_aware", "constant_memory", "needs_training")


@runtime_checkable
class Announced(Protocol):
    """A policy that must know its questions before the stream begins."""

    def expect(self, questions: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Forget the stream and all questions, and be ready for these: pairs of prompt and options."""


class Summary(NamedTuple):
    """What became of a dataset: clips watched now, clips that were finished before, clips that failed, and those that a
    cap cut off; watched are all but those that were finished before."""

    watched: int
    skipped: int
    failed: int
    stopped: int = 0


def evaluate(
    dataset: Iterable[Clip],
    session: Session,
    out: Path,
    run: RunInfo,
    batch_frames: int = 8,
    progress: bool = True,
    cap: Cap = _UNCAPPED,
) -> Summary:
    """Watch every clip once, ask its questions on the way, and write rows.jsonl, frames.jsonl and clips.jsonl.

    dataset: clips whose names differ. session: reset at the start of every clip. out: the folder; clips that are
    finished there are skipped, those that failed are tried again. run: the rows' provenance; its scorer scores, and if
    it says what a frame takes in the vision tower, the rows say what one takes in the memory at the end of the clip.
    batch_frames: frames decoded and encoded together; memory does not grow with the clip. cap: of the run.

    A policy that is `Announced` is told a clip's questions before its first frame; `traits` in each row says so.
    A question at t_s is asked after every frame up to t_s and before any later one; one beyond the end, at the end.
    A clip that raises gets a row, with the error and no credit, for each question that it leaves unanswered. So does
    one that the cap cuts off, but those rows have no score and count nowhere; both are tried anew when the run goes on.

    Raises UserError for a folder that holds another run of this name, or in which a run is going on, ValueError for two
    clips of one name and an unknown scorer.
    """
    if run.scorer not in SCORERS:
        raise ValueError(f"expected a scorer among {', '.join(SCORERS)}, got {run.scorer!r}")
    if batch_frames < 1:
        raise ValueError(f"expected 1 or more frames a batch, got {batch_frames}")
    seen: set[str] = set()
    watched = skipped = failed = stopped = 0
    clips = len(dataset) if isinstance(dataset, Sized) else None
    with alone_in(out), progress_bar(run, clips, progress) as advance:
        folder = RunFolder(out, run)
        for clip in dataset:
            if cap.time_is_up:
                break
            if clip.name in seen:
                raise ValueError(f"expected clips with different names, got two of {clip.name!r}")
            seen.add(clip.name)
            advance(clip.name, 0)
            if clip.name in folder.finished:
                skipped += 1
            else:
                watched += 1
                raised = _watch_clip(clip, session, folder, batch_frames, SCORERS[run.scorer], cap)
                capped = isinstance(raised, CapReachedError)
                stopped, failed = stopped + capped, failed + (raised is not None and not capped)
            advance(clip.name, 1)
    return Summary(watched, skipped, failed, stopped)


def blind(clip: Clip) -> Clip:
    """The same questions with one grey frame in place of the stream: what the model answers without seeing."""
    return replace(clip, frames=[(GREY, 0.0)], events=None)


def _watch_clip(
    clip: Clip, session: Session, folder: RunFolder, batch_frames: int, scorer: Scorer, cap: Cap
) -> Exception | None:
    """Watch one clip and commit its lines. Returns what cut it short, if anything did."""
    begun = time.perf_counter()
    error = None
    short: Exception | None = None
    # A clip's draws are its own, whichever clips were watched before it, and by whom.
    forget_peak()
    torch.manual_seed(zlib.crc32(f"{folder.run.seed}/{clip.name}".encode()))
    with folder.clip(clip.name) as lines:
        watcher = _Watcher(clip, session, lines, scorer, cap)
        try:
            if isinstance(session.memory, Announced):
                session.memory.expect([(question.prompt, question.options) for question in clip.questions])
            session.reset()
            watcher.watch(batch_frames)
            if folder.run.flops:
                watcher.count()
        except CapReachedError as reached:
            short, error = reached, f"{STOPPED}{reached}"
            watcher.give_up(error, scored=False)
        except Exception as raised:  # whatever one clip does, the run goes on, and the rows say what happened
            short, error = raised, f"{type(raised).__name__}: {raised}"
            log.warning("clip %s failed", clip.name, exc_info=raised)
            watcher.give_up(error)
        lines.commit(time.perf_counter() - begun, error)
    return short


def show(session: Session, frames: Tensor, seconds: Sequence[float]) -> list[FrameReport]:
    """Let a session watch what a clip yields: pictures uint8 (n, H, W, 3), or latents of its tower, float (n, S, V)."""
    if frames.dtype == torch.uint8:
        return session.feed(frames, seconds)
    weights = next(session.vision.parameters(), None)
    return session.observe(frames if weights is None else frames.to(weights.device), seconds)


class _Watcher:
    """The pass over one clip: what is still to be asked, and what was seen so far."""

    def __init__(self, clip: Clip, session: Session, lines: ClipLines, scorer: Scorer, cap: Cap) -> None:
        self.clip, self.session, self.lines, self.scorer, self.cap = clip, session, lines, scorer, cap
        self.questions = deque(sorted(clip.questions, key=lambda question: question.t_s))
        self.events = deque(sorted(clip.events or (), key=lambda event: event.t_s))
        self.frames, self.total_ms = 0, 0.0
        self.seen_s: float | None = None
        self.asked_s: float | None = None
        self.latest: Tensor | None = None
        self.vision: str | None = None

    def watch(self, batch_frames: int) -> None:
        """Feed all frames in order of time, in batches that end where a question is due."""
        batch: list[Frame] = []
        for frame, t_s in self.clip.frames:
            while self.questions and self.questions[0].t_s < t_s - _EPSILON_S:
                batch = self._feed(batch)
                self._ask()
            batch.append((frame, t_s))
            if len(batch) == batch_frames:
                batch = self._feed(batch)
        self._feed(batch)
        while self.questions:
            self._ask()

    def count(self) -> None:
        """Say what a frame takes in the memory as it is now, by one more like the last."""
        if self.latest is None or self.seen_s is None:
            return
        pictures = self.latest.dtype == torch.uint8
        latents = self.session.vision.encode(self.latest) if pictures else self.latest
        next_s = self.seen_s + 1 / self.clip.fps
        self.lines.count(counted(lambda: show(self.session, latents, [next_s])))

    def give_up(self, error: str, scored: bool = True) -> None:
        """A row without an answer for every question that was not reached, or for the clip if it has none; scored as
        wrong, or not at all."""
        if not self.clip.questions:
            self.lines.row(self._row(None, None, error))
        while self.questions:
            row = self._row(self.questions.popleft(), None, error)
            self.lines.row(row if scored else {**row, "correct": None, "mra": None})

    def _feed(self, batch: list[Frame]) -> list[Frame]:
        """Show the frames of a batch, and begin an empty one."""
        if batch:
            frames = torch.from_numpy(np.stack([frame for frame, _ in batch]))
            self.latest = frames[-1:]
            self.vision = "live" if frames.dtype == torch.uint8 else "cached"
            for report in show(self.session, frames, [t_s for _, t_s in batch]):
                self._report(report)
            self.cap.check(self.session.nbytes, self.seen_s or 0.0)
        return []

    def _report(self, report: FrameReport) -> None:
        """Write a frame's line; it is a true event's if that began since the frame before."""
        begun = None
        while self.events and self.events[0].t_s <= report.t_s + _EPSILON_S:
            begun = self.events.popleft()
        known = self.clip.events is not None
        label = begun.label if begun else None
        self.lines.frame({**report._asdict(), "true_event": begun is not None if known else None, "event": label})
        self.frames, self.total_ms, self.seen_s = self.frames + 1, self.total_ms + report.ms, report.t_s

    def _ask(self) -> None:
        """Ask the question that is due; it is done with only when it was answered."""
        question = self.questions[0]
        with first_pass(self.session) as passes:
            begun = time.perf_counter()
            answer = self.session.ask(question)
            answer_ms = (time.perf_counter() - begun) * 1e3
        row = self._row(question, answer.text, None)
        row |= {"log_likelihoods": list(answer.log_likelihoods), "answer_ms": round(answer_ms, 3)}
        row["first_asked"] = self.asked_s is None or self.asked_s != self.seen_s
        self.asked_s = self.seen_s
        if passes:
            row["first_pass_ms"] = round((passes[0] - begun) * 1e3, 3)
        self.lines.row(row)
        self.questions.popleft()

    def _row(self, question: Question | None, prediction: str | None, error: str | None) -> dict[str, Any]:
        """A question's line, scored; an official scorer's crash is the row's error and leaves it without a score."""
        correct: bool | None = None
        mra: float | None = None
        if question is not None:
            try:
                score = self.scorer(prediction, question.answer, question.options)
                correct, mra = score.correct, score.mra
            except (ValueError, ZeroDivisionError) as crash:
                error = error or f"scorer: {crash}"
        return {
            "duration_s": self.clip.duration_s,
            "kind": question.kind if question else None,
            "question": question.text if question else None,
            "options": list(question.options) if question else [],
            "truth": question.answer if question else None,
            "prediction": prediction,
            "log_likelihoods": [],
            "t_s": question.t_s if question else None,
            "seen_s": self.seen_s,
            "correct": correct,
            "mra": mra,
            "vision": self.vision,
            "nbytes": self.session.nbytes,
            "bytes": bytes_by_place(self.session.memory),
            "ms_per_frame": round(self.total_ms / self.frames, 3) if self.frames else None,
            "answer_ms": None,
            "first_asked": None,
            "first_pass_ms": None,
            "peak_bytes": peak_bytes(),
            "peak_cuda_bytes": peak_cuda_bytes(),
            "traits": {name: getattr(self.session.memory, name) for name in _TRAITS},
            "error": error,
        }


@contextmanager
def progress_bar(run: RunInfo, total: int | None, shown: bool) -> Iterator[Callable[[str, int], None]]:
    """A progress bar on stderr: yields a function (clip's name, clips done since)."""
    columns = (
        TextColumn(run.name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task("", total=total)
        yield lambda name, done: progress.update(task, description=name, advance=done)
