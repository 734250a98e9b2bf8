"""Who makes which category, and how it stands in a room."""

from collections.abc import Callable

from ssm_sense.data.world.furniture import kin, leisure, oddities, seating, small, storage, tables, walls, wet
from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.furniture.varied import varied
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.names import SPLITS

Maker = Callable[[Look], Model]

# Categories of `names.CATEGORIES`, and two that fill a room but are not asked about: counters and monitors' desks.
MAKERS: dict[str, Maker] = {
    "chair": seating.chair,
    "stool": seating.stool,
    "sofa": seating.sofa,
    "armchair": seating.armchair,
    "table": tables.table,
    "desk": tables.desk,
    "workbench": tables.workbench,
    "dresser": tables.dresser,
    "bookshelf": storage.bookshelf,
    "wardrobe": storage.wardrobe,
    "bed": storage.bed,
    "crib": storage.crib,
    "toilet": wet.toilet,
    "sink": wet.sink,
    "bathtub": wet.bathtub,
    "washing machine": wet.washing_machine,
    "stove": wet.stove,
    "fridge": wet.fridge,
    "screen": leisure.screen,
    "piano": leisure.piano,
    "guitar": leisure.guitar,
    "treadmill": leisure.treadmill,
    "exercise bike": leisure.exercise_bike,
    "fireplace": leisure.fireplace,
    "plant": small.plant,
    "lamp": small.lamp,
    "box": small.box,
    "ball": small.ball,
    "bin": small.bin_,
    "basket": small.basket,
    "vase": small.vase,
    "painting": walls.painting,
    "window": walls.window,
    "clock": walls.clock,
    "mirror": walls.mirror,
    "rug": walls.rug,
}

# Small versions, for a table's top.
TABLETOP: dict[str, Maker] = {
    "plant": lambda look: small.plant(look, small=True),
    "lamp": lambda look: small.lamp(look, small=True),
    "box": lambda look: small.box(look, small=True),
    "vase": lambda look: small.vase(look, small=True),
}


def _by_split(train: Maker, val: Maker, test: Maker) -> Maker:
    """What each split makes of a name."""
    makers = dict(zip(SPLITS, (train, val, test), strict=True))
    return lambda look: makers[look.split](look)


NEEDLE_MAKERS: dict[str, Maker] = {
    "yellow creature": _by_split(oddities.yellow_creature, kin.bear_like_creature, kin.hare_like_creature),
    "giant duck": _by_split(oddities.giant_duck, kin.crested_duck, kin.upright_duck),
    "blue robot": _by_split(oddities.blue_robot, kin.barrel_robot, kin.wheeled_robot),
    "green alien": _by_split(oddities.green_alien, kin.three_eyed_alien, kin.one_eyed_alien),
    "snowman": _by_split(oddities.snowman, kin.bobble_hat_snowman, kin.bucket_hat_snowman),
}


def needle_maker(name: str, looks: str) -> Maker:
    """Who makes a needle, with `looks` of `Controls.needle_looks`."""
    return varied(NEEDLE_MAKERS[name]) if looks == "varied" else NEEDLE_MAKERS[name]


HUNG = ("painting", "window", "clock", "mirror")
