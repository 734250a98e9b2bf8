"""`ssm-sense report`: turn rows.jsonl into tables, figures and one HTML page."""

import argparse
from pathlib import Path

from ssm_sense.errors import UserError

_DESCRIPTION = """\
Turn the rows of one or more runs into one HTML page that needs nothing else, light and dark, and beside it, in a
folder of the same name, the tables as CSV and the figures as PNG and SVG. Reads rows.jsonl and, where they are there,
frames.jsonl, boundaries.jsonl and pictures in keyframes/, in the folder and everywhere below it.
"""


def main(argv: list[str]) -> int:
    """Write the report and name its files."""
    parser = argparse.ArgumentParser(
        prog="ssm-sense report", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=Path, required=True, metavar="DIR", help="a folder with rows.jsonl in or below it"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: %(default)s")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument(
        "--clip", help="the clip whose surprise is shown over time; default: the one with the most true events"
    )
    parser.add_argument("--against", metavar="NAME", help="compare all others with this policy, or run, in pairs")
    parser.add_argument(
        "--margin",
        type=float,
        default=5.0,
        help="points within which policies, or lengths, are as good; default: %(default)g",
    )
    arguments = parser.parse_args(argv)
    if not 0 < arguments.margin < 100:
        raise UserError(f"--margin: expected points between 0 and 100, got {arguments.margin:g}")
    from ssm_sense.report import build

    titled = {} if arguments.title is None else {"title": arguments.title}
    chosen = {"clip": arguments.clip, "against": arguments.against, "margin": arguments.margin / 100}
    for path in build(arguments.rows, arguments.out, **chosen, **titled):
        print(path)
    return 0
