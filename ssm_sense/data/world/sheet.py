"""A contact sheet: frames of walks with what the truth says of them, so that people can look."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ssm_sense.data.world.names import plural
from ssm_sense.data.world.stream import Recipe, compose, pictures, truth_of
from ssm_sense.data.world.truth import Truth

_CAPTION_PX = 34


def contact_sheet(path: Path, recipe: Recipe, rows: int, columns: int) -> None:
    """Write a PNG of rows x columns frames of one stream, evenly spread, with the frames of its needles among them."""
    stream = compose(recipe)
    shots = list(pictures(stream))
    truth = truth_of(stream, [shot.visible for shot in shots])
    count = min(rows * columns, len(shots))
    chosen = {needle.frame for needle in truth.needles[: count // 3]}
    for frame in np.linspace(0, len(shots) - 1, count).round().astype(int):
        if len(chosen) < count:
            chosen.add(int(frame))
    tiles = [_tile(shots[frame].image, truth, frame) for frame in sorted(chosen)]
    side, tall = recipe.size, recipe.size + _CAPTION_PX
    sheet = Image.new("RGB", (columns * (side + 4) - 4, rows * (tall + 4) - 4), (16, 16, 18))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, ((number % columns) * (side + 4), (number // columns) * (tall + 4)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG", optimize=True)


def _tile(image: np.ndarray, truth: Truth, frame: int) -> Image.Image:
    side = len(image)
    tile = Image.new("RGB", (side, side + _CAPTION_PX), (28, 28, 32))
    tile.paste(Image.fromarray(image))
    draw = ImageDraw.Draw(tile)
    shot = truth.frames[frame]
    needles = [f"{needle.needle} by {needle.landmark}" for needle in truth.needles if needle.frame == frame]
    seen: dict[str, int] = {}
    for item, pixels in sorted(shot.visible.items(), key=lambda pair: -pair[1]):
        if pixels >= truth.rule.pixels:
            category = truth.by_id[item].category
            seen[category] = seen.get(category, 0) + 1
    told = [category if n == 1 else f"{n} {plural(category)}" for category, n in seen.items()]
    while told and draw.textlength(", ".join(told)) > side - 8:
        told.pop()
    draw.text((4, side + 3), f"{shot.t_s:.0f} s  {truth.kinds[shot.room]}", fill=(240, 240, 240))
    draw.text(
        (4, side + 17), needles[0] if needles else ", ".join(told), fill=(255, 210, 60) if needles else (170, 170, 178)
    )
    return tile
