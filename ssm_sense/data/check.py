"""What of a dataset is there, missing or damaged, file by file, and which scenes two of them share."""

import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ssm_sense.data import vsi_bench, vsi_super
from ssm_sense.data.archive import ARCHIVES, DAMAGE, damaged_members
from ssm_sense.data.picture import read_picture
from ssm_sense.data.rows import read_jsonl, read_table, text_of
from ssm_sense.data.video import VideoFile
from ssm_sense.data.vsi_590k import SHUFFLED, TABLE, conversation, medium_of
from ssm_sense.errors import UserError

STATES = ("present", "packed", "missing", "damaged", "shuffled")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_SCENES = {
    "scannet": re.compile(r"(scene\d{4})(_\d\d)?"),
    "scannetpp": re.compile(r"([0-9a-f]{10})"),
    "arkitscenes": re.compile(r"(\d{6,8})"),
}
_FAMILIES = {"scannetppv2": "scannetpp", "scannetpp": "scannetpp", "scannet": "scannet", "arkitscenes": "arkitscenes"}


@dataclass(frozen=True)
class FileState:
    """One file of a dataset. state: one of STATES; "packed" is in an archive and not yet beside it, "shuffled" is there
    with its frames out of order. questions: rows that need it. detail: what is wrong with it."""

    name: str
    state: str
    questions: int = 0
    detail: str = ""


def check(folder: Path, deep: bool = False) -> Iterator[FileState]:
    """The state of every table, archive and medium of VSI-SUPER, VSI-590K or VSI-Bench, one at a time.

    deep: decode every video to its end and read every archive through, instead of opening them. Raises UserError where
    the folder holds none of these layouts.
    """
    needed: dict[str, int] = {}
    for table in _tables(folder):
        try:
            for medium in _media_of(table):
                needed[medium] = needed.get(medium, 0) + 1
            yield FileState(table.relative_to(folder).as_posix(), "present")
        except UserError as error:
            yield FileState(table.relative_to(folder).as_posix(), "damaged", detail=str(error))
    packed: set[str] = set()
    for archive in sorted(path for path in folder.iterdir() if path.name.endswith(ARCHIVES)):
        try:
            packed |= _names_in(archive)
            bad = damaged_members(archive) if deep else []
            state = FileState(archive.name, "damaged" if bad else "present", detail=", ".join(bad[:3]))
        except UserError as error:
            state = FileState(archive.name, "damaged", detail=str(error))
        yield state
    for medium in sorted(needed):
        yield _medium(folder, medium, needed[medium], packed, deep)


def scenes(media: Iterable[str]) -> set[tuple[str, str]]:
    """(family, place) of each medium of ScanNet, ScanNet++ or ARKitScenes; rescans of a place are that place."""
    found = set()
    for medium in media:
        parts = PurePosixPath(medium).parts
        family = _FAMILIES.get(parts[0].lower()) if parts else None
        if family:
            matches = [_SCENES[family].fullmatch(part) for part in (*parts[1:-1], PurePosixPath(medium).stem)]
            found |= {(family, match[1]) for match in matches if match}
    return found


def scenes_of(folder: Path) -> set[tuple[str, str]]:
    """The scenes that the rows of VSI-590K or VSI-Bench are about. Raises UserError for a row that is wrong, and where
    there are no tables."""
    return scenes(medium for table in _tables(folder) for medium in _media_of(table))


def _tables(folder: Path) -> list[Path]:
    """The tables of a folder, one at least. Raises UserError where there are none."""
    super_ = [vsi_super.table_of(folder, minutes) for minutes in vsi_super.lengths(folder)]
    found = [*super_, *vsi_bench.tables(folder), *([folder / TABLE] if (folder / TABLE).is_file() else [])]
    if not found:
        raise UserError(f"{folder}: expected the tables of VSI-SUPER, VSI-590K or VSI-Bench, found none")
    return found


def _media_of(table: Path) -> Iterator[str]:
    """The medium of each row. Raises UserError, naming file and row, for a row that is wrong."""
    if table.name == TABLE:
        rows: Iterable[tuple[int, dict]] = ((i, row) for i, (_, row) in enumerate(read_jsonl(table)))
    else:
        rows = enumerate(read_table(table))
    for i, row in rows:
        try:
            if table.name == TABLE:
                conversation(row)
                yield medium_of(row)
            elif "video_path" in row:
                text_of(row, "question")
                yield text_of(row, "video_path")
            else:
                vsi_bench.question(row, 0.0)
                yield vsi_bench.video_path(row)
        except (ValueError, TypeError) as error:
            raise UserError(f"{table}, row {i}: {error}") from error


def _names_in(archive: Path) -> set[str]:
    """Names of the files in an archive, as they are and below a folder that is called as the archive."""
    stem = archive.name.split(".")[0]
    try:
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as file:
                names = set(file.namelist())
        else:
            with tarfile.open(archive) as tar:
                names = {member.name.removeprefix("./") for member in tar if member.isreg()}
    except DAMAGE as error:
        raise UserError(f"{archive}: cannot be read: {error}") from error
    return names | {f"{stem}/{name}" for name in names}


def _medium(folder: Path, name: str, questions: int, packed: set[str], deep: bool) -> FileState:
    path = folder / name
    if not path.is_file():
        return FileState(name, "packed" if name in packed else "missing", questions)
    try:
        if path.suffix.lower() in _PICTURES:
            read_picture(path)
        else:
            video = VideoFile(path)
            if deep:
                for _ in video:
                    pass
    except UserError as error:
        return FileState(name, "damaged", questions, str(error))
    shuffled = name.partition("/")[0] in SHUFFLED and path.suffix.lower() not in _PICTURES
    return FileState(name, "shuffled" if shuffled else "present", questions)
