"""Colours: one a policy, the same in every figure, told apart by colour-blind readers and in both themes.

Figures are drawn in the light theme's colours. In the page each of these becomes a CSS variable, which the dark
theme sets to another value; so a colour here stands for one role only.
"""

from collections.abc import Iterable

INK, MUTED, RULE, BAND, PAPER = "#1b1d21", "#62666e", "#c9ccd2", "#eff0f2", "#fefefd"
EVENT = "#8a8f99"

_SERIES = ("#0b6cb0", "#cf5a06", "#04896a", "#b8579b", "#c48a05", "#3f9fd6", "#7a5c3e", "#5b5fc7")
_BLIND = "#7b7f87"
_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    BAND: "--band",
    PAPER: "--paper",
    EVENT: "--event",
    _BLIND: "--blind",
    **{colour: f"--series-{i}" for i, colour in enumerate(_SERIES)},
}
"""The page's CSS variable for every colour used in figures."""

FIRST, BLIND = "ours", "blind"
"""Policies with a place of their own: the first colour, and grey."""


class Palette:
    """Assigns colours and dashes to policies: ours first, the blind model grey, the others by name."""

    def __init__(self, policies: Iterable[str]) -> None:
        self.order = sorted(set(policies), key=lambda name: (name == BLIND, name != FIRST, name))
        coloured = [name for name in self.order if name != BLIND]
        self._place = {name: i for i, name in enumerate(coloured)}

    def colour(self, policy: str) -> str:
        """The policy's colour as hex, a key of VARIABLES."""
        return _BLIND if policy == BLIND else _SERIES[self._turn(policy)[1]]

    def dash(self, policy: str) -> str | tuple[float, tuple[float, ...]]:
        """The policy's line style in matplotlib's terms; beyond eight policies it tells equal colours apart."""
        return "-" if policy == BLIND else _DASHES[self._turn(policy)[0] % len(_DASHES)]

    def _turn(self, policy: str) -> tuple[int, int]:
        """How often all colours were used before, and the colour's place; the first policy shares its own with none."""
        turn, place = divmod(self._place[policy] - 1, len(_SERIES) - 1)
        return (0, 0) if self._place[policy] == 0 else (turn, place + 1)
