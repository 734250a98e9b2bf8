"""Thumbnails of key frames, embedded in the page."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ssm_sense.errors import UserError

_ENDINGS = {".png", ".jpg", ".jpeg"}
_WIDTH_PX = 320
_MOST = 12


@dataclass(frozen=True)
class KeyFrame:
    """A picture and its moment in the stream."""

    t_s: float
    path: Path

    def data_uri(self) -> str:
        """The picture as a JPEG of at most 320 pixels' width, inside a data URI.

        Raises UserError if the file is no picture.
        """
        try:
            with Image.open(self.path) as image:
                small = image.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise UserError(f"{self.path}: expected a PNG or JPEG picture ({error})") from error
        small.thumbnail((_WIDTH_PX, _WIDTH_PX))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def find(folder: Path, clip: str) -> list[KeyFrame]:
    """The key frames of a clip in order of time, at most twelve, evenly chosen where there are more.

    They lie in a folder `keyframes/<clip>`, or directly in `keyframes` where no clip has a folder of its own,
    anywhere below `folder`. The last number in a file's name is its time: "hall-012.5s.png" is at 12.5 s.
    Raises UserError for a picture without a number in its name.
    """
    homes = [home for home in sorted(folder.rglob("keyframes")) if home.is_dir()]
    own = [home / clip for home in homes if (home / clip).is_dir()]
    found = [
        KeyFrame(_seconds(path), path)
        for home in own or homes
        for path in sorted(home.iterdir())
        if path.suffix.lower() in _ENDINGS
    ]
    found.sort(key=lambda frame: frame.t_s)
    return _spread(found)


def _spread(frames: Sequence[KeyFrame]) -> list[KeyFrame]:
    if len(frames) <= _MOST:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (_MOST - 1))] for i in range(_MOST)]


def _seconds(path: Path) -> float:
    numbers = re.findall(r"\d+(?:\.\d+)?", path.stem)
    if not numbers:
        raise UserError(f"{path}: expected the frame's seconds in its name, such as hall-012.5s{path.suffix}")
    return float(numbers[-1])
