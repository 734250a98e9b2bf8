"""A dataset by the folder it lies in, or by its id on the Hugging Face hub, from where it is fetched."""

import re
from pathlib import Path

from ssm_sense.errors import UserError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def dataset_folder(place: str, patterns: list[str] | None = None) -> Path:
    """The folder of a dataset.

    place: a folder, or a hub id such as "nyu-visionx/VSI-SUPER-Recall". patterns: what of it to fetch; all if None.
    Raises UserError where there is neither, or the hub cannot be reached.
    """
    if Path(place).is_dir():
        return Path(place)
    if not _HUB_ID.fullmatch(place):
        raise UserError(f"{place}: expected a folder, or a dataset's id on the hub such as owner/name")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, repo_type="dataset", allow_patterns=patterns))
    except (OSError, ValueError) as error:  # what the hub's own errors are, whether it refuses or is out of reach
        raise UserError(f"{place}: no such folder, and not to be had from the hub: {error}") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("httpx", "httpcore", "huggingface_hub", "requests"):
            raise UserError(f"{place}: no such folder, and the hub cannot be reached: {error}") from error
        raise
