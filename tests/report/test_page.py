"""The page: complete, self-contained, in two themes; and the files beside it."""

import csv
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from ssm_sense.commands import report as command
from ssm_sense.errors import UserError
from ssm_sense.report import build
from ssm_sense.report.palette import VARIABLES
from ssm_sense.report.tables import short_bytes

pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # matplotlib warns of a layout that collapsed

VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Checks that tags nest, and gathers what a test asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.references: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "action")]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(v or "" for v in values.values()))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data if self.open[-1:] != ["style"] else ""


def read(path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def test_everything_is_written(page):
    out, written = page
    names = {path.name for path in written}
    assert names == {
        *("page.html", "scores.csv", "boundaries.csv", "timeline.csv", "cost.csv", "counts.csv"),
        *(f"{name}.{ending}" for name in ("timeline", "cost", "counts") for ending in ("png", "svg")),
    }
    with Image.open(out.parent / "page" / "timeline.png") as image:
        assert image.width > 2000
    with open(out.parent / "page" / "scores.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 9
    assert (lines[0]["policy"], lines[0]["score"], lines[0]["floor"], lines[0]["blind"]) == (
        "ours",
        "0.75",
        "0.25",
        "0.25",
    )


def test_the_page_asks_nobody_for_anything(page):
    reader = read(page[0])
    assert reader.open == []
    assert "script" not in reader.tags
    outside = [r for r in reader.references if not r.startswith(("data:", "#"))]
    assert outside == []
    assert set(re.findall(r"https?://[^\"'\s<)]*", page[0].read_text())) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page[0].read_text()


def test_ids_are_unique_and_references_meet_them(page):
    reader = read(page[0])
    assert len(reader.ids) == len(set(reader.ids))
    inside = {reference[1:] for reference in reader.references if reference.startswith("#")}
    assert inside
    assert inside <= set(reader.ids)


def test_figures_follow_the_theme(page):
    text = page[0].read_text()
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) > 6
    for drawing in drawings:
        assert re.findall(r"[:\"]\s*#[0-9a-f]{6}\b", drawing) == []


def test_both_themes_define_every_colour():
    style = files("ssm_sense.report").joinpath("page.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        assert f"{variable}: {colour};" in light, variable
        assert f"{variable}: #" in dark, variable


def test_numbers_captions_and_commands_are_on_it(page):
    text = " ".join(read(page[0]).text.split())
    for expected in (
        "Recall (VSR) · 1 min · accuracy · chance 25.0 · blind 25.0",
        "40.9 – 92.9",  # Wilson of 6 in 8
        "16 (8)",
        "the 2 true changes",
        "the 2 events found, filled where one lies within 2 s of a true change (1)",
        "21.0 s · kitchen <big>",
        "closed loop",
        "ssm-sense evaluate --policy ours",
        "ssm-sense report --rows",
        "3 policies in 3 runs on 8 streams",
    ):
        assert expected in text, expected
    assert "nan" not in text.split()


def test_hostile_names_stay_text(make, tmp_path):
    name = '<img src="http://example.org/x">'
    rows = [make.row(name, clip=name, kind=name, error=name, prediction=None, correct=False)]
    build(make.write(tmp_path, rows=rows, frames=make.walk(name, name)), tmp_path / "page.html", title=name)
    reader = read(tmp_path / "page.html")
    assert "img" not in reader.tags
    assert reader.open == []


def test_key_frames_are_small_pictures_inside_the_page(page):
    pictures = re.findall(r'<img src="(data:image/jpeg;base64,[^"]*)" alt="([^"]*)"', page[0].read_text())
    assert [alt for _, alt in pictures] == ["frame at 21 s", "frame at 41.5 s"]
    assert all(len(data) < 20_000 for data, _ in pictures)


def test_a_report_of_the_same_rows_is_the_same(page, tmp_path):
    out = page[0]
    build(out.parent / "run", tmp_path / "page.html")
    again = (tmp_path / "page.html").read_text().replace(str(tmp_path / "page.html"), str(out))
    assert again == out.read_text()


def test_rows_alone_make_a_report(make, tmp_path):
    written = build(make.write(tmp_path / "run", rows=[make.row()]), tmp_path / "page.html")
    assert [path.name for path in written] == ["page.html", "scores.csv"]
    assert "–" in read(tmp_path / "page.html").text


def test_long_streams_are_thinned_without_losing_a_peak(make, tmp_path):
    frames = [make.frame(t_s=float(t), surprise=0.9 if t == 4321 else 0.1) for t in range(6000)]
    build(make.write(tmp_path / "run", rows=[make.row()], frames=frames), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert len(text) < 400_000
    assert "Each point is the largest of 5 frames" in text


def test_the_clip_can_be_chosen(make, tmp_path):
    frames = make.walk(clip="many") + [make.frame(clip="few", t_s=float(t)) for t in range(9)]
    make.write(tmp_path / "run", rows=[make.row(clip="few")], frames=frames)
    build(tmp_path / "run", tmp_path / "page.html")
    assert "Surprise in clip many" in read(tmp_path / "page.html").text
    build(tmp_path / "run", tmp_path / "page.html", clip="few")
    assert "Surprise in clip few" in read(tmp_path / "page.html").text
    with pytest.raises(UserError, match="of clip 'none'; there are few, many"):
        build(tmp_path / "run", tmp_path / "page.html", clip="none")


def test_bad_key_frames_are_named(run_folder, tmp_path):
    home = run_folder / "keyframes" / "c0"
    (home / "room-3.0s.png").write_text("no picture")
    with pytest.raises(UserError, match=r"room-3\.0s\.png: expected a PNG or JPEG"):
        build(run_folder, tmp_path / "page.html")
    (home / "room-3.0s.png").rename(home / "kitchen.png")
    with pytest.raises(UserError, match=r"kitchen\.png: expected the frame's seconds"):
        build(run_folder, tmp_path / "page.html")


def test_an_output_that_is_no_page_is_refused(run_folder, tmp_path):
    with pytest.raises(UserError, match=r"ends in \.html"):
        build(run_folder, tmp_path / "page")


def test_nothing_is_written_among_the_rows(run_folder):
    there = sorted(run_folder.iterdir())
    with pytest.raises(UserError, match="would go among the rows"):
        build(run_folder, run_folder.with_suffix(".html"))
    assert sorted(run_folder.iterdir()) == there


@pytest.mark.parametrize("name", ["page.html", "page/scores.csv", "page/counts.png"])
def test_a_disk_that_fills_up_leaves_the_old_file_whole(make, tmp_path, monkeypatch, name):
    rows = [make.row(kind="vsc", prediction="9", mra=0.8)]
    build(make.write(tmp_path / "run", rows=rows), tmp_path / "page.html")
    before = (tmp_path / name).read_bytes()
    owner, method = {"html": (Path, "write_text"), "csv": (csv.DictWriter, "writerow"), "png": (Figure, "savefig")}[
        name.split(".")[1]
    ]
    whole = getattr(owner, method)

    def full(first, second, *args, **fields):
        file = next((one for one in (first, second) if isinstance(one, Path)), None)
        if owner is Figure and file is None:  # of the page
            return whole(first, second, *args, **fields)
        if file is not None:
            file.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(owner, method, full)
    with pytest.raises(OSError, match="No space left"):
        build(tmp_path / "run", tmp_path / "page.html", title="Another")
    assert (tmp_path / name).read_bytes() == before
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def test_the_command(run_folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert command.main(["--rows", str(run_folder), "--out", str(out), "--title", "A title"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(out)
    assert "<h1>A title</h1>" in out.read_text()
    with pytest.raises(UserError, match="no such folder"):
        command.main(["--rows", str(tmp_path / "nowhere"), "--out", str(out)])


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (4_194_304, "4.19 MB"), (999_600, "1 MB"), (3e12, "3 TB")]
)
def test_bytes_are_short(value, text):
    assert short_bytes(value) == text
