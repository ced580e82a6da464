"""A ZIP archive of a study, unpacked into a private folder that does not outlive its use. Standard library only."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from medvis.errors import InputError
from medvis.io.private import private_folder

MEMBERS = 50_000
MEMBER_BYTES = 4 << 30
TOTAL_BYTES = 16 << 30
RATIO = 200
SMALL = 64 << 20
"""Bytes; what unpacks to no more than this may be packed as tightly as it likes."""
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_HINT = "unpack it yourself and give the folder"


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A private folder with the files of the archive, removed at the end, also after an error or an interrupt.

    Raises:
        InputError: damaged, encrypted, or refused: a member that leads out of the folder or is no regular file, more
            than `MEMBERS` members, one of more than `MEMBER_BYTES`, more than `TOTAL_BYTES` in all or than there is
            room for, or packed more tightly than `RATIO` to 1 (beyond `SMALL` bytes).
    """
    with private_folder() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(path, archive, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise InputError(f"{path} is a damaged or unknown kind of ZIP archive: {error}", hint=_HINT) from error
        except OSError as error:
            raise InputError(f"{path} cannot be unpacked: {error.strerror or error}", hint=_HINT) from error
        yield folder


def _unpack(path: Path, archive: zipfile.ZipFile, folder: Path) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    _check(path, members, shutil.disk_usage(folder).free)
    for member in members:
        target = folder.joinpath(*_parts(path, member))
        target.parent.mkdir(parents=True, exist_ok=True)
        left = member.file_size
        with archive.open(member) as packed, target.open("xb") as file:
            while chunk := packed.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise InputError(f"{path}: a member is larger than it says", "an honest archive")
                file.write(chunk)


def _check(path: Path, members: Sequence[zipfile.ZipInfo], free: int) -> None:
    """Refuses by what the archive says of itself; `_unpack` holds it to that."""
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise InputError(f"{path} is an encrypted ZIP archive", "one without a password", _HINT)
    if len(members) > MEMBERS:
        raise InputError(f"{path} has {len(members)} members", f"at most {MEMBERS}", _HINT)
    largest = max((member.file_size for member in members), default=0)
    if largest > MEMBER_BYTES:
        raise InputError(f"{path} has a member of {_size(largest)}", f"at most {_size(MEMBER_BYTES)}", _HINT)
    total = sum(member.file_size for member in members)
    if total > min(TOTAL_BYTES, free):
        limit = f"at most {_size(TOTAL_BYTES)}, and {_size(free)} are free"
        raise InputError(f"{path} unpacks to {_size(total)}", limit, _HINT)
    packed = sum(member.compress_size for member in members)
    if total > SMALL and total > RATIO * packed:
        ratio = f"{path} unpacks {_size(packed)} to {_size(total)}"
        raise InputError(ratio, f"at most {RATIO} to 1, as images are packed", _HINT)


def _parts(path: Path, member: zipfile.ZipInfo) -> tuple[str, ...]:
    """The member's path below the folder. Raises InputError if it would leave it."""
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise InputError(f"{path} holds a link or a device", "regular files only", _HINT)
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    outside = not parts or parts[0] == "/" or ".." in parts or any(PureWindowsPath(part).drive for part in parts)
    if outside:
        raise InputError(f"{path} holds a member that leads out of its folder", "names below it", _HINT)
    return parts


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"
