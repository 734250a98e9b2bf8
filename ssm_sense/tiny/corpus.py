"""Pictures from random places of rendered houses, with what each patch of them shows; kept on disk, by house."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssm_sense.data.world.names import ROOM_KINDS
from ssm_sense.tiny.statements import IMAGE_SIZE, THINGS
from ssm_sense.tiny.workers import make_missing

if TYPE_CHECKING:
    from ssm_sense.data.world.camera import Pose
    from ssm_sense.data.world.furnish import Piece
    from ssm_sense.data.world.house import House

ROOMS = 12
PER_ROOM = 14
PATCH_SIZE = 16
NEEDLE_SHARE = 0.15
"""Of the pictures, those with an odd object put in front of the camera."""


@dataclass(frozen=True)
class Pictures:
    """n pictures of houses and what they show.

    images: uint8 (H, W, 3), n of them. cells: how many pixels of each patch show each of `THINGS`, uint8 (n, S, K),
    at most 255. rooms: index in `ROOM_KINDS`, int64 (n,).
    """

    images: Sequence[np.ndarray]
    cells: np.ndarray
    rooms: np.ndarray

    def first(self, n: int) -> "Pictures":
        """The first n of them, or all if they are fewer."""
        return Pictures(self.images[:n], self.cells[:n], self.rooms[:n])


def render_corpus(folder: Path, split: str, houses: int, per_room: int, workers: int = 1) -> Iterator[int]:
    """Render houses 0 … houses − 1 of a split into `folder`, those that are missing, in `workers` processes.

    Yields every now and then how many of them are there, at last `houses`. A house is written whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [house_file(folder, split, seed, per_room).with_suffix(".npy") for seed in range(houses)]
    yield from make_missing(files, "ssm_sense.tiny.corpus", [str(folder), split, str(per_room)], workers)


def house_file(folder: Path, split: str, seed: int, per_room: int) -> Path:
    """Where a house is kept: .npy holds the pictures' images; .cells.npy and .rooms.npy the rest."""
    return folder / f"{split}-{seed:05d}x{per_room}"


def read_corpus(folder: Path, split: str, houses: int, per_room: int) -> Pictures:
    """Pictures of houses 0 … houses − 1, the images memory-mapped."""
    files = [house_file(folder, split, seed, per_room) for seed in range(houses)]
    return Pictures(
        [image for file in files for image in np.load(file.with_suffix(".npy"), mmap_mode="r")],
        np.concatenate([np.load(file.with_suffix(".cells.npy")) for file in files]),
        np.concatenate([np.load(file.with_suffix(".rooms.npy")) for file in files]),
    )


def write_house(folder: Path, split: str, seed: int, per_room: int) -> None:
    """Render one house into `folder`; its images come last, as the sign that all is there."""
    house = render_house(split, seed, per_room=per_room)
    file = house_file(folder, split, seed, per_room)
    np.save(file.with_suffix(".cells.npy"), house.cells)
    np.save(file.with_suffix(".rooms.npy"), house.rooms)
    partial = file.with_suffix(".partial")
    with open(partial, "wb") as stream:
        np.save(stream, np.stack(house.images))
    os.replace(partial, file.with_suffix(".npy"))


def render_house(
    split: str, seed: int, rooms: int = ROOMS, per_room: int = PER_ROOM, size: int = IMAGE_SIZE
) -> Pictures:
    """Pictures of side `size` from random poses along the walk through each room of one house."""
    from ssm_sense.data.world.camera import Pose
    from ssm_sense.data.world.furnish import furnish
    from ssm_sense.data.world.house import plan_house
    from ssm_sense.data.world.renderer import Renderer
    from ssm_sense.data.world.route import room_route

    house = plan_house(split, seed, rooms)
    renderer = Renderer(house, size)
    rng = np.random.default_rng((seed, 1))
    images, cells, kinds = [], [], []
    for index, room in enumerate(house.rooms):
        route = room_route(house, index)
        near = [index, *(door.a + door.b - index for door in room.doors)]
        names = {piece.id: piece.category for i in near for piece in furnish(house, i)}
        for _ in range(per_room):
            x, y = route.at(rng.uniform(0.15, 0.85) * route.length_m)
            pose = Pose(x, y, rng.uniform(1.35, 1.65), rng.uniform(0, 360), rng.uniform(-18, 0))
            extra = _needle(house, index, pose, rng)
            picture = renderer.picture(pose, index, extra)
            images.append(picture.image)
            cells.append(count_cells(picture.objects, names | {piece.id: piece.category for piece in extra}))
            kinds.append(ROOM_KINDS.index(room.kind))
    return Pictures(images, np.stack(cells), np.array(kinds))


def count_cells(objects: np.ndarray, names: dict[int, str]) -> np.ndarray:
    """Pixels of each thing in each patch, uint8 (S, K), at most 255, of object ids (H, W) and what things they are.

    Several objects of a name count together; ids without a name, such as −1, count nowhere.
    """
    grid = len(objects) // PATCH_SIZE
    patches = objects.reshape(grid, PATCH_SIZE, grid, PATCH_SIZE)
    cells = np.zeros((grid * grid, len(THINGS)), np.int64)
    for i in np.unique(objects):
        if i in names:
            cells[:, THINGS.index(names[i])] += (patches == i).sum((1, 3)).ravel()
    return np.minimum(cells, 255).astype(np.uint8)


def _needle(house: "House", index: int, pose: "Pose", rng: np.random.Generator) -> "tuple[Piece, ...]":
    """In some pictures, one odd object on the floor in front of the camera; in `train` it never looks the same."""
    from ssm_sense.data.world.furnish import Piece
    from ssm_sense.data.world.furniture.catalogue import NEEDLE_MAKERS, needle_maker
    from ssm_sense.data.world.layout import Spot
    from ssm_sense.data.world.look import Look
    from ssm_sense.data.world.needle import NEEDLE_ID

    if rng.random() >= NEEDLE_SHARE:
        return ()
    name = sorted(NEEDLE_MAKERS)[rng.integers(len(NEEDLE_MAKERS))]
    model = needle_maker(name, "varied" if house.split == "train" else "one")(Look(rng, house.split))
    for _ in range(20):
        angle = np.radians(pose.yaw + rng.uniform(-32, 32))
        away_m = rng.uniform(1.0, 3.5)
        x, y = pose.x + away_m * float(np.cos(angle)), pose.y + away_m * float(np.sin(angle))
        if house.rooms[index].contains(x, y, margin_m=0.35):
            spot = Spot(x, y, 0.0, float(rng.uniform(-np.pi, np.pi)), (x - 0.3, y - 0.3), (x + 0.3, y + 0.3))
            return (Piece(NEEDLE_ID, name, "", index, model, spot),)
    return ()


if __name__ == "__main__":
    where, which, many, *seeds = sys.argv[1:]
    for number in seeds:
        write_house(Path(where), which, int(number), int(many))
