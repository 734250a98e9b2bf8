"""The class that lmms-eval makes an instance of; it alone imports lmms-eval."""

from pathlib import Path
from typing import Any

from lmms_eval.api.model import lmms

from ssm_sense.commands.lmms_eval import Watcher
from ssm_sense.commands.policies import open_policy, policy_settings
from ssm_sense.errors import UserError


class SsmSenseModel(lmms):
    """A model folder under one of our policies.

    Args:
        model, policy, policy_config, budget_bytes, device: as of `ssm-sense evaluate`.
        fps, batch_frames: as of `Watcher`.
        batch_size: of lmms-eval; streams are watched one at a time whatever it is.
    """

    is_simple = True

    def __init__(
        self,
        model: str,
        policy: str = "model",
        policy_config: str | None = None,
        budget_bytes: int | None = None,
        fps: float = 1.0,
        batch_frames: int = 8,
        device: str = "cpu",
        batch_size: int | str = 1,
    ) -> None:
        super().__init__()
        file = None if policy_config is None else Path(policy_config)
        budget = None if budget_bytes is None else int(budget_bytes)
        session = open_policy(policy, model, policy_settings(file, budget), device or "cpu")
        self.watcher = Watcher(session, float(fps), int(batch_frames))

    def generate_until(self, requests: list[Any]) -> list[str]:
        """An answer to each request, whose visuals must be one video file. Requests keep their order."""
        asked = []
        for request in requests:
            prompt, _, visuals_of, number, task, split = request.args
            visuals = visuals_of(self.task_dict[task][split][number])
            if len(visuals) != 1 or not isinstance(visuals[0], str):
                raise UserError(f"task {task}: expected one video file a question, got {visuals!r:.80}")
            asked.append((Path(visuals[0]), prompt))
        answers = []
        for request, answer in zip(requests, self.watcher.answers(asked), strict=True):
            self.cache_hook.add_partial("generate_until", tuple(request.args[:2]), answer)
            answers.append(answer)
        return answers

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Not offered: raises UserError, for no task about videos asks for it."""
        raise UserError("ssm_sense answers tasks of output_type generate_until, not loglikelihood")

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        """Not offered: raises UserError."""
        raise UserError("ssm_sense answers tasks of output_type generate_until, not of several rounds")
