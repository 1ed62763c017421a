"""What a bucket says, asked again while it does not answer; credentials are found by the file system's own chain."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from protect.errors import InputError

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for which a service that does not answer is asked again."""
_CURRENT = 30.0
"""Seconds for which a listing is believed."""
_LONGEST_PAUSE = 8.0
_TIMES, _TAGS = ("LastModified", "mtime", "last_modified", "updated", "created"), ("ETag", "etag", "md5Hash")
_NO_RIGHTS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError")
_REFUSED = ("NoAuthHandlerFound", "ParamValidationError", "ProfileNotFound", "InvalidConfigError")


class BucketError(InputError):
    """A bucket that cannot be used: no rights, or no answer. It is no file's fault."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a bucket says about a name."""

    size: int
    changed: int
    """Nanoseconds; those below a second stand for the content's tag, so that another content has another time."""
    is_folder: bool
    told: float


told: dict[str, Facts] = {}
"""By URL, what was heard last."""


def file_system(protocol: str) -> Any:
    """What fsspec has for a protocol.

    Raises:
        InputError: if it knows none, or a package is missing.
    """
    try:
        import fsspec

        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        extra = "'tracemark[buckets]'" if protocol == "s3" else f"what reads {protocol}:// ({str(error)[:60]})"
        raise InputError(f"{protocol}:// needs a package that is not installed", f"pip install {extra}") from None
    except ValueError:
        raise InputError(
            f"{protocol}:// is unknown", "Give a path, or the URL of a bucket, such as s3://bucket/folder."
        ) from None


def asked(path: Path, question: Callable[[Any, str], T]) -> T:
    """Ask the file system, again and again while it does not answer.

    Raises:
        FileNotFoundError: if there is no such file.
        BucketError: if it refuses, or does not answer for `PATIENCE` seconds.
    """
    protocol, name = path.parts[0].removesuffix(":"), "/".join(path.parts[1:])
    system, end, pause = file_system(protocol), time.monotonic() + PATIENCE, 0.25
    while True:
        try:
            return question(system, name)
        except (FileNotFoundError, InputError, TypeError, AttributeError, NotImplementedError):
            raise
        except Exception as error:
            kind = type(error).__name__
            # Nothing of the message: some name keys and tokens.
            if isinstance(error, PermissionError) or kind in _NO_RIGHTS:
                raise BucketError(
                    f"no right to use {path} ({kind})",
                    "Check the credentials (environment, profile, role) and what the bucket allows.",
                ) from None
            if kind in _REFUSED or time.monotonic() + pause > end:
                raise BucketError(
                    f"{path} does not answer ({kind})", "Check the network and the address, and repeat: a run resumes."
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def facts_of(path: Path) -> Facts:
    """Of a file or folder; asked for if what was heard is old.

    Raises:
        FileNotFoundError: if there is none.
    """
    known = told.get(str(path))
    if known and time.monotonic() - known.told < _CURRENT:
        return known
    told.pop(str(path), None)
    now = time.monotonic()
    found = facts_from(asked(path, lambda system, name: system.info(name)), now)
    told[str(path)] = found
    return found


def facts_from(info: Mapping[str, Any], now: float) -> Facts:
    """From what fsspec tells of a name, heard at a time of the monotonic clock."""
    when = next((info[name] for name in _TIMES if info.get(name)), 0)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    seconds = int(when.timestamp() if isinstance(when, datetime) else when or 0)
    tag = str(next((info[name] for name in _TAGS if info.get(name)), ""))
    digits = int.from_bytes(hashlib.blake2b(tag.strip('"').encode(), digest_size=8).digest(), "big") % 10**9
    folder = info.get("type") == "directory"
    return Facts(int(info.get("size") or 0), seconds * 10**9 + digits, folder, now)


def part_of(path: Path, start: int, end: int) -> bytes:
    """Bytes of a file from `start` to before `end`.

    Raises:
        OSError: if it has become shorter.
    """
    data: bytes = asked(path, lambda system, name: system.cat_file(name, start=start, end=end))
    if len(data) != end - start:
        raise OSError(0, "became shorter while it was read", str(path))
    return data
