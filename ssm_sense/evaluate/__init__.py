"""Clips and a session in, rows.jsonl and frames.jsonl out: one stateful pass a clip, resumable clip by clip.

run        RunInfo: what produced a row
folder     RunFolder: the files of a run, committed clip by clip
watch      evaluate: the pass itself
cap        minutes and bytes after which a run stops
cost       peak memory, multiplications of a frame
held       where a memory's bytes are
workers    the same in several processes
calibrate  τ and the gate's centre, picked in the closed loop
tune       settings of another policy, picked from a grid
real_size  what memory costs at real size, on towers of `random_weights`
audit      how far one comes who never looks, by the blind answerers of `answerers`
"""

from ssm_sense.evaluate.cap import Cap
from ssm_sense.evaluate.folder import RunFolder
from ssm_sense.evaluate.run import RunInfo
from ssm_sense.evaluate.watch import Summary, blind, evaluate
from ssm_sense.evaluate.workers import Task, evaluate_with_workers

__all__ = ["Cap", "RunFolder", "RunInfo", "Summary", "Task", "blind", "evaluate", "evaluate_with_workers"]
