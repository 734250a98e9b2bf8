"""Figures as files and as inline SVG whose colours follow the page's theme."""

import io
import re
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ssm_sense.report.figures import NARROW_IN, STYLE, WIDE_IN
from ssm_sense.report.palette import PAPER, VARIABLES
from ssm_sense.state import write_whole

_DPI = 300


def save(draw: Callable[[float], Figure], path: Path) -> None:
    """Write a figure at its full width as PNG and SVG, for a paper: `path` with both endings; whole or not at all."""
    with mpl.rc_context(STYLE):
        figure = draw(WIDE_IN)
        for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            save_as = partial(figure.savefig, format=ending, dpi=_DPI, facecolor=PAPER, metadata=metadata)
            write_whole(path.with_suffix(f".{ending}"), save_as)


def inline(draw: Callable[[float], Figure], name: str, description: str) -> str:
    """HTML with a figure drawn twice, for wide pages and for phones; the style sheet shows one of them.

    name: prefix of all ids, which must not repeat within a page. description: what a screen reader says.
    """
    widths = (("wide", WIDE_IN), ("narrow", NARROW_IN))
    with mpl.rc_context(STYLE):
        return "".join(_svg(draw(width_in), f"{name}-{kind}", kind, description, width_in) for kind, width_in in widths)


def _svg(figure: Figure, prefix: str, kind: str, description: str, full_in: float) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\1{prefix}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    if box is None:
        raise ValueError(f"expected an SVG with a viewBox, got {head[:120]!r}")
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]}'
    share = f'style="width:{100 * figure.get_figwidth() / full_in:.1f}%"'
    return f'{opening} class="{kind}" {share} role="img" aria-label="{escape(description)}">{rest.strip()}'
