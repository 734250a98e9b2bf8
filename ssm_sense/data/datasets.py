"""One door to every benchmark: what a folder holds is told by its tables, and comes as clips.

| layout    | told by                              | parts                |
|-----------|--------------------------------------|----------------------|
| vsi-super | test_10mins.parquet and its like     | one a length         |
| vsi-bench | test.jsonl, or another test*.parquet | one                  |
| vsi-590k  | vsi_590k.jsonl                       | one                  |

Rendered sets have the same layouts: `ssm-sense world render` writes the first, `ssm-sense data export` the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from ssm_sense.data import vsi_bench, vsi_super
from ssm_sense.data.clip import Clip, Question
from ssm_sense.data.vsi_590k import TABLE, VSI590K
from ssm_sense.data.world.questions import questions_so_far
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError

LAYOUTS = ("vsi-super", "vsi-bench", "vsi-590k")
SUPER_TASKS = ("vsr", "vsc", "vsc-streaming")
DIRECTION = "object_rel_direction"
"""VSI-Bench's task of that name has three question types, one a level."""
_SHOWN = 5
_NEAR_END_S = 1.0
"""What would be asked this close to the end is asked there."""


class Clips(Sequence[Clip]):
    """Clips that are made when they are asked for: `n` of them, the i-th by `make(i)`."""

    def __init__(self, n: int, make: Callable[[int], Clip]) -> None:
        self._n, self._make = n, make

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, place: int) -> Clip: ...
    @overload
    def __getitem__(self, place: slice) -> "Clips": ...
    def __getitem__(self, place: int | slice) -> "Clip | Clips":
        if isinstance(place, slice):
            chosen = range(self._n)[place]
            return Clips(len(chosen), lambda i: self._make(chosen[i]))
        return self._make(range(self._n)[place])

    def __iter__(self) -> Iterator[Clip]:
        return map(self._make, range(self._n))

    def map(self, change: Callable[[Clip], Clip]) -> "Clips":
        """The same clips, each changed when it is asked for."""
        return Clips(self._n, lambda i: change(self._make(i)))


@dataclass(frozen=True)
class Part:
    """Clips that are evaluated together. minutes: of VSI-SUPER, how long the videos are; None for the others. table:
    the file that holds their rows."""

    layout: str
    minutes: float | None
    clips: Clips
    table: Path


def layout_of(folder: Path) -> str:
    """Which of LAYOUTS a folder has. Raises UserError, saying what it holds, for none or several."""
    present = (bool(vsi_super.lengths(folder)), bool(vsi_bench.tables(folder)), (folder / TABLE).is_file())
    found = [layout for layout, there in zip(LAYOUTS, present, strict=True) if there]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{folder}: holds tables of {' and '.join(found)}; say with --layout which of them is meant")
    expected = f"test_10mins.parquet (VSI-SUPER), test.jsonl or test*.parquet (VSI-Bench), or {TABLE} (VSI-590K)"
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a folder with {expected}; there is no such folder")
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    hint = ""
    if any(path.with_suffix(".mp4").is_file() for path in folder.rglob("*.json")):
        hint = "; these are rendered videos without questions, which `ssm-sense data export` asks"
    raise UserError(f"{folder}: expected {expected}; found {', '.join(names[:_SHOWN]) or 'nothing'}{more}{hint}")


def open_parts(
    folder: Path,
    layout: str | None = None,
    fps: float = 1.0,
    minutes: Sequence[float] = (),
    tasks: Sequence[str] = (),
    limit: int | None = None,
    ask_at: Sequence[float] = (),
    draws: int = 1,
) -> list[Part]:
    """The clips of a benchmark's folder.

    Args:
        folder: with tables and videos.
        layout: of LAYOUTS; recognised from the tables if None.
        fps: frames to watch a second.
        minutes: lengths of VSI-SUPER; all there are if empty.
        tasks: kinds of question to ask, and no others; all if empty.
        limit: only the first so many clips of each part.
        ask_at: minutes at which rendered streams in VSI-SUPER's layout are asked on the way what they are asked at
            their end, so that one pass gives the score at every duration.
        draws: the most recall questions at each of these minutes.

    Raises:
        UserError: for a folder that is none of these, whose rows are wrong, or that has no video at all; for a length
            or a kind of question that is not there; for streams without truth that are to be asked on the way. A video
            that is missing or damaged is a clip that raises when it is watched.
    """
    layout = layout or layout_of(folder)
    if minutes and layout != "vsi-super":
        raise UserError(f"--minutes: expected with VSI-SUPER alone, and {folder} holds {layout}")
    if ask_at and layout != "vsi-super":
        raise UserError(f"--ask-at: expected with VSI-SUPER's layout alone, and {folder} holds {layout}")
    if layout == "vsi-super":
        _check_tasks(tasks, SUPER_TASKS, layout)
        lengths = list(minutes) or vsi_super.lengths(folder)
        if not lengths:
            raise UserError(f"{folder}: expected tables such as test_10mins.parquet, found none")
        return [
            Part(
                layout,
                length,
                _super(folder, length, fps, tasks, ask_at, draws)[:limit],
                vsi_super.table_of(folder, length),
            )
            for length in lengths
        ]
    if layout == "vsi-bench":
        known = (*vsi_bench.CHOICES, *vsi_bench.NUMBERS)
        _check_tasks(tasks, (*known, DIRECTION), layout)
        wanted = tuple(kind for kind in known if kind in tasks or (DIRECTION in tasks and kind.startswith(DIRECTION)))
        bench = vsi_bench.read(folder, fps, types=wanted or None, keep_going=True)
        if not bench:
            raise UserError(f"{folder}: expected questions of {' or '.join(tasks)}, found none")
        return [Part(layout, None, Clips(len(bench), bench.__getitem__)[:limit], vsi_bench.tables(folder)[0])]
    train = VSI590K(folder, fps, types=tuple(tasks) or None, keep_going=True)
    return [Part(layout, None, Clips(len(train), train.clip)[:limit], train.table)]


def _super(
    folder: Path, minutes: float, fps: float, tasks: Sequence[str], ask_at: Sequence[float], draws: int
) -> Clips:
    """The clips of one length that are asked something of the tasks, with those questions alone."""
    clips = []
    for clip in vsi_super.read(folder, minutes, fps, keep_going=True):
        questions = _on_the_way(folder, clip, ask_at, draws)
        asked = tuple(question for question in questions if not tasks or question.kind in tasks)
        if asked:
            clips.append(replace(clip, questions=asked))
    if not clips:
        raise UserError(f"{folder}: expected questions of {' or '.join(tasks)}, found none")
    return Clips(len(clips), clips.__getitem__)


def _on_the_way(folder: Path, clip: Clip, ask_at: Sequence[float], draws: int) -> tuple[Question, ...]:
    """What a clip is asked, with what a rendered stream is asked at these minutes, in order of time.

    What is to be asked of a recall stream at its end comes in place of its own question if there are several draws.
    """
    if not ask_at:
        return clip.questions
    file = folder / f"{clip.name}.json"
    if not file.is_file():
        raise UserError(f"--ask-at: expected rendered streams with their truth beside them; {clip.name} has none")
    truth = Truth.load(file)
    moments = {60 * minutes for minutes in ask_at}
    before = sorted(t_s for t_s in moments if t_s <= clip.duration_s - _NEAR_END_S)
    asked = [question for t_s in before for question in questions_so_far(truth, t_s, draws)]
    if draws > 1 and truth.task == "vsr":
        return (*asked, *questions_so_far(truth, clip.duration_s, draws))
    return (*asked, *clip.questions)


def _check_tasks(tasks: Sequence[str], known: Sequence[str], layout: str) -> None:
    strange = [task for task in tasks if task not in known]
    if strange:
        raise UserError(f"--task: expected of {layout} some of {', '.join(known)}; got {', '.join(strange)}")
