"""Unpacking archives of videos without leaving the folder that they belong to."""

import lzma
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ssm_sense.errors import UserError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, OSError, EOFError),
    *(NotImplementedError, RuntimeError, zlib.error, lzma.LZMAError, struct.error),
    *(ValueError, OverflowError, LookupError, MemoryError),
)
"""What the standard library raises for archives that are cut off, encrypted, or made up."""


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name there, its size, and how to read it."""

    name: str
    size_bytes: int
    open: Callable[[], IO[bytes]]


def is_inside(name: str) -> bool:
    """Whether a relative path, as written on any system, stays in the folder that it starts from."""
    path = PurePosixPath(name.replace("\\", "/"))
    return bool(name) and not path.is_absolute() and ".." not in path.parts and ":" not in name and "\0" not in name


def unpack(archive: Path, folder: Path, suffixes: tuple[str, ...] = (".mp4",)) -> int:
    """Unpack the files of an archive into `folder`, whether or not their names begin with its; return how many.

    Each appears under its name only when it is whole, and those that are there already are left alone. Only plain files
    with one of the suffixes are looked at: no links, no devices.

    Raises UserError where the archive is damaged, names a path outside, or does not fit the disk.
    """
    try:
        with _members(archive) as members:
            wanted = [member for member in members if member.name.lower().endswith(suffixes)]
            outside = [member.name for member in wanted if not is_inside(member.name)]
            if outside:
                raise UserError(f"{archive}: holds paths outside of its folder, such as {outside[0]!r}")
            targets = {folder / PurePosixPath(m.name.removeprefix(f"{folder.name}/")): m for m in wanted}
            missing = {target: member for target, member in targets.items() if not target.is_file()}
            need_bytes, free_bytes = sum(m.size_bytes for m in missing.values()), shutil.disk_usage(archive.parent).free
            if need_bytes > free_bytes:
                raise UserError(f"{archive}: unpacks to {need_bytes:,} bytes, the disk has {free_bytes:,} left")
            for target, member in missing.items():
                _check_no_link(folder, target, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(member, target)
            return len(missing)
    except DAMAGE as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{archive}: cannot be unpacked: {error}") from error


def unpack_missing(folder: Path, media: Iterable[str]) -> None:
    """Unpack the archives that lie where a folder of media would: for scannet/videos/a.mp4, say, scannet.tar.gz.

    Nothing is opened where all media are there. Otherwise all files of the suffixes of those that are missing are
    unpacked from the archives that may hold them, as `unpack` does.

    media: paths below `folder`, each `is_inside`.
    Raises UserError where `unpack` does.
    """
    missing = [PurePosixPath(medium) for medium in media if not (folder / medium).is_file()]
    suffixes = tuple({medium.suffix.lower() for medium in missing if medium.suffix})
    for place in sorted({parent for medium in missing for parent in medium.parents[:-1]}):
        for archive in (folder / f"{place}{suffix}" for suffix in ARCHIVES):
            if archive.is_file():
                unpack(archive, folder / place, suffixes)


def damaged_members(archive: Path) -> list[str]:
    """The files of an archive whose bytes are not what they should be. Raises UserError where it cannot be read."""
    bad = []
    try:
        with _members(archive) as members:
            for member in members:
                try:
                    with member.open() as source:
                        while source.read(1 << 20):
                            pass
                except DAMAGE:
                    bad.append(member.name)
    except DAMAGE as error:
        raise UserError(f"{archive}: cannot be read: {error}") from error
    return bad


@contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    """The plain files of a zip or tar archive, open for reading."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            yield [
                Member(m.filename, m.file_size, _zip_opener(file, m))
                for m in file.infolist()
                if m.filename and not m.is_dir()
            ]
    else:
        with tarfile.open(archive) as tar:
            yield [Member(m.name.removeprefix("./"), m.size, _tar_opener(tar, m)) for m in tar if m.isreg()]


def _zip_opener(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: file.open(member)


def _tar_opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        source = tar.extractfile(member)
        if source is None:
            raise tarfile.TarError(f"{member.name} holds no bytes")
        return source

    return opened


def _check_no_link(folder: Path, target: Path, archive: Path) -> None:
    """A link in the folder could lead out of it."""
    for path in (target, *target.parents):
        if path == folder:
            return
        if path.is_symlink():
            raise UserError(f"{archive}: {path} is a link, which could lead outside of its folder")


def _copy(member: Member, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with member.open() as source, draft.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        if draft.stat().st_size != member.size_bytes:
            raise OSError(f"{member.name} ends after {draft.stat().st_size:,} of {member.size_bytes:,} bytes")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
