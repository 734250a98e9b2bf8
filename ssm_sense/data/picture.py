"""How a stored picture is meant to be seen: turned upright, with square pixels, in RGB."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    import av
    from av.buffer import Buffer


class Presentation:
    """Turns decoded pictures into uint8 RGB arrays of one size, whatever size the stream changes to.

    first: the stream's first picture; its display matrix says how to turn and mirror all of them.
    pixel_aspect: width of a stored pixel over its height.
    size: (H, W) to scale to, the aspect not kept; None for the stored size, widened so that pixels are square.
    """

    def __init__(self, first: "av.VideoFrame", pixel_aspect: Fraction, size: tuple[int, int] | None) -> None:
        self._transpose, self._flip_rows, self._flip_columns = _orientation(first)
        if size is None:
            stored = first.height, max(1, round(first.width * pixel_aspect))
        else:
            stored = size[::-1] if self._transpose else size
        self._height, self._width = stored
        self.size = stored[::-1] if self._transpose else stored
        """(H, W) of the arrays."""

    def __call__(self, picture: "av.VideoFrame") -> np.ndarray:
        """Return uint8 RGB (H, W, 3), by the colour matrix and range that the stream declares."""
        from av.video.reformatter import Interpolation

        # Without full chroma, scaled pictures come out darker by 1.7 of 255 on average.
        rgb = picture.reformat(
            width=self._width,
            height=self._height,
            format="rgb24",
            interpolation=Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT,
            threads=1,
        ).to_ndarray()
        if self._transpose:
            rgb = rgb.transpose(1, 0, 2)
        if self._flip_rows:
            rgb = rgb[::-1]
        if self._flip_columns:
            rgb = rgb[:, ::-1]
        return np.ascontiguousarray(rgb)


def _orientation(picture: "av.VideoFrame") -> tuple[bool, bool, bool]:
    """Whether to transpose, then to flip rows, then columns, so that the picture stands as it was meant to.

    A display matrix moves the stored point (x, y) to (a x + c y, b x + d y); its first entries are a, b, _, c, d.
    """
    matrix = cast("Buffer | None", picture.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def read_picture(path: Path) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), upright. Raises UserError where it cannot be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: not a picture that can be read: {error}") from error
