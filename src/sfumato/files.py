"""Files that exist whole or not at all, and the text of bytes."""

import codecs
import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sfumato.errors import OutputError, RequestError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a system says where there is no room for a file."""


def write_atomic(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write beside `path`, sync, and rename over it; at any interruption the old file or none is there.

    Args:
        replace: when False, an existing `path` is an error, also if another process makes it meanwhile.

    Raises:
        FileExistsError: when it exists and is not to be replaced.
        OSError: when the folder is missing, not writable or full; nothing is left behind.
    """
    with whole_file(path, replace=replace) as file:
        file.write(data)


@contextlib.contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A file to be written that takes the name `path` when it is complete and synced, and who may read and write a file
    that it replaces may do so with it; see `write_atomic`."""
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
    mode = _mode_of(path) if replace else None
    try:
        with _created(temporary, 0o666 if mode is None else mode & 0o666) as file:
            if mode is not None:
                with contextlib.suppress(OSError):  # some file systems have no modes
                    temporary.chmod(mode)  # what the process's umask has taken away
            yield file
            _sync(file)
        if replace:
            temporary.replace(path)
        else:
            move_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def whole_folder(final: Path, *, replace: bool = True) -> Iterator[Path]:
    """A folder to be filled that takes the name `final` (and the place of an older one) when it is complete and synced.

    Args:
        replace: when False, a folder in which there is something is not replaced, also if it was made meanwhile.

    Raises:
        OutputError: it cannot be written; an older folder is untouched then, and nothing else is left.
    """
    temporary, old = (final.with_name(f".{final.name}.{end}") for end in ("tmp", "old"))
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_dir():
                _sync_folder(path)
            else:
                path.chmod(0o644)  # safetensors writes for the owner alone
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        _sync_folder(temporary)
        if replace and final.exists():
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
            temporary.rename(final)
            shutil.rmtree(old)
        else:
            temporary.rename(final)
        _sync_folder(final.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if (refusal := _system_error(error)) is not None:
            raise cannot_write(final, refusal) from error
        raise


def cannot_write(path: Path, error: OSError) -> OutputError:
    """What to say where the system does not let a file be written."""
    remedy = "free space and run it again" if error.errno in FULL else "check the path and its permissions"
    return OutputError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def _system_error(error: BaseException) -> OSError | None:
    """What the system said, if it is the system's error: safetensors has it in a text of its own."""
    if isinstance(error, OSError):
        return error
    found = (
        re.search(r"I/O error: (.*) \(os error (\d+)\)", str(error)) if "Safetensor" in type(error).__name__ else None
    )
    return OSError(int(found[2]), found[1]) if found else None


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """While the context lasts, the file `path` is this process's and says so; the system lets go of it when a process
    ends in whatever way, so that none is held by the dead.

    Raises:
        BlockingIOError: another process holds it; `strerror` is what it has written, its number and its machine.
        OSError: it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(path.open("a+"))
            if not _locked(file.fileno()):
                file.seek(0)
                raise BlockingIOError(errno.EAGAIN, file.read().strip() or "another process", str(path))
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                break  # else its last holder has just removed it
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes no open file
                path.unlink()


def _locked(descriptor: int) -> bool:
    """Whether the lock of an open file is ours now. A file system without locks gives it to everybody."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far from what others read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)
    return True


def probe(folder: Path, size: int = 65536) -> None:
    """Write `size` bytes into a folder and remove them again.

    Raises:
        OSError: as writing there would.
    """
    temporary = folder / f".{secrets.token_hex(6)}.tmp"
    try:
        with _created(temporary) as file:
            file.write(bytes(size))
            _sync(file)
    finally:
        temporary.unlink(missing_ok=True)


def _mode_of(path: Path) -> int | None:
    """The permissions of a file; None where there is none."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return None


def _created(path: Path, mode: int = 0o666) -> BinaryIO:
    """A new file, open to be written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    return open(descriptor, "wb")  # noqa: PTH123 - a descriptor has no Path


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def move_new(temporary: Path, path: Path) -> None:
    """Give `temporary` the name `path`, which must be free. (A hard link fails where a name is taken, a rename not.)

    Raises:
        FileExistsError: it is taken.
        OSError: as linking and renaming do.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: look, then rename
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system lets folders be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # the file itself is whole and synced; some file systems refuse this
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark its own begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def check_regular(path: Path) -> None:
    """Raises OSError for what is not there, and for a folder, a pipe or a device, which might never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "it is a folder" if path.is_dir() else "it is a pipe or a device, not a file", os.fspath(path))


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a file, at most `limit` of them.

    Raises:
        OSError: it cannot be read, or is a folder, a pipe or a device.
    """
    check_regular(path)
    with path.open("rb") as file:
        return file.read() if limit is None else file.read(limit)


def decoded(data: bytes) -> str:
    """The text of `data`: in the encoding that its byte order mark names, which is taken off, else in UTF-8.

    Raises:
        UnicodeDecodeError: it is in another encoding; NUL is no text either (UTF-16 without a mark is full of it).
    """
    text = data.decode(next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8"))
    if "\0" in text:
        place = data.index(0)
        raise UnicodeDecodeError("utf-8", data, place, place + 1, "NUL is no text")
    return text


def read_text(path: Path, limit: int, want: str) -> str:
    """The text of a user's file of at most `limit` bytes.

    Args:
        want: what should be given, for the message.

    Raises:
        RequestError: it cannot be read, is larger, or is not UTF-8.
    """
    try:
        data = read_regular(path, limit + 1)
        if len(data) > limit:
            raise RequestError(f"{path} has over {limit >> 20} MB; split it")
        return decoded(data)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}; give {want}") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 at byte {error.start}; convert it") from None


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
