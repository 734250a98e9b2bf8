"""Tar archives, and what hides in archives; zip archives are tested where VSI-SUPER unpacks them."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from ssm_sense.data.archive import damaged_members, is_inside, unpack, unpack_missing
from ssm_sense.errors import UserError


def tar(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.name, info.size = name, len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["adt.tar", "adt.tar.gz"])
def test_a_tar_is_unpacked_once(tmp_path: Path, name: str) -> None:
    archive = tar(tmp_path / name, {"adt/a.mp4": b"one", "./adt/b.mp4": b"two", "adt/notes.txt": b"no"})
    assert unpack(archive, tmp_path / "adt") == 2
    assert sorted(p.name for p in (tmp_path / "adt").iterdir()) == ["a.mp4", "b.mp4"]
    assert (tmp_path / "adt/b.mp4").read_bytes() == b"two"
    assert unpack(archive, tmp_path / "adt") == 0


def test_links_are_not_followed(tmp_path: Path) -> None:
    link = tarfile.TarInfo()
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    assert unpack(tar(tmp_path / "a.tar", {"b.mp4": link}), tmp_path / "a") == 0
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/deep").symlink_to(outside)
    with pytest.raises(UserError, match="is a link"):
        unpack(tar(tmp_path / "c.tar", {"deep/a.mp4": b"x"}), tmp_path / "c")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["../a.mp4", "/a.mp4", "b/../../a.mp4"])
def test_a_tar_never_writes_outside(tmp_path: Path, name: str) -> None:
    archive = tar(tmp_path / "a.tar", {"a/fine.mp4": b"x", name: b"evil"})
    with pytest.raises(UserError, match="outside of its folder"):
        unpack(archive, tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_what_is_missing_is_unpacked(tmp_path: Path) -> None:
    tar(tmp_path / "adt.tar.gz", {"adt/videos/a.mp4": b"one", "adt/b.JPG": b"two", "adt/run.sh": b"no"})
    (tmp_path / "vsi").mkdir()
    tar(tmp_path / "vsi/sim.tar", {"c.mp4": b"three"})
    tar(tmp_path / "other.tar", {"d.mp4": b"four"})
    media = ["adt/videos/a.mp4", "adt/b.JPG", "vsi/sim/c.mp4", "lost/e.mp4", "f.mp4"]
    unpack_missing(tmp_path, media)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"adt.tar.gz", "vsi/sim.tar", "other.tar", *media[:3]}
    (tmp_path / "adt.tar.gz").write_bytes(b"no archive, and nobody looks")
    unpack_missing(tmp_path, media[:3])


def test_what_is_missing_never_comes_from_outside(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", {"a/fine.mp4": b"x", "../evil.mp4": b"evil"})
    with pytest.raises(UserError, match="outside of its folder"):
        unpack_missing(tmp_path, ["a/fine.mp4"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_damage_is_named(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", {"a.mp4": bytes(range(256)) * 400})
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(UserError, match=r"a\.tar\.gz: cannot be unpacked"):
        unpack(archive, tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("good.mp4", b"a" * 500)
        file.writestr("bad.mp4", b"b" * 500)
    content = (tmp_path / "b.zip").read_bytes().replace(b"b" * 500, b"b" * 499 + b"c")
    (tmp_path / "b.zip").write_bytes(content)
    assert damaged_members(tmp_path / "b.zip") == ["bad.mp4"]


def test_too_large_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2}))
    with pytest.raises(UserError, match="unpacks to 3 bytes, the disk has 2 left"):
        unpack(tar(tmp_path / "a.tar", {"a.mp4": b"one"}), tmp_path / "a")


@pytest.mark.parametrize("name", ["a", "a/b.mp4", "a..b/c"])
def test_inside(name: str) -> None:
    assert is_inside(name)


@pytest.mark.parametrize("name", ["", "/a", "..", "a/../b", "a\\..\\b", "C:a", "a\0b"])
def test_outside(name: str) -> None:
    assert not is_inside(name)
