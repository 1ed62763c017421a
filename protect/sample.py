"""The sample dataset that ships with the package, to try every command without one's own pictures."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

from protect.errors import InputError


def sample_dataset_path() -> Path:
    """The shipped tar in webdataset form: ``KEY.png`` and ``KEY.txt`` per sample.

    Raises:
        InputError: if the installation lacks the file.
    """
    path = Path(str(resources.files("protect") / "assets" / "sample.tar"))
    if not path.is_file():
        raise InputError(
            f"the sample dataset {path} is missing",
            "Install the package again, or run: python examples/make_sample_dataset.py",
        )
    return path


def unpack_sample(folder: Path, limit: int | None = None) -> int:
    """Unpack the sample as a Hugging Face `imagefolder`: pictures, byte for byte, and ``metadata.jsonl``.

    Nothing is left at `folder` unless all of it was written.

    Args:
        folder: destination; must not exist or be empty.
        limit: take only this many samples, evenly spread over the tar, whose order they keep.

    Returns:
        The number of samples written.

    Raises:
        InputError: if `folder` holds anything or cannot be written, or `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: at least 1", "Leave the limit out to unpack every sample.")
    source = sample_dataset_path()
    folder = folder.resolve()
    partial = folder.with_name(folder.name + ".partial")
    try:
        _refuse_non_empty(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        count = _unpack(source, partial, limit)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(
            f"cannot write {folder}: {error.strerror}", "Free space or choose a writable folder."
        ) from error
    return count


def _refuse_non_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder", "Give a new or empty folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty", "Give a new or empty folder.")


def _unpack(source: Path, folder: Path, limit: int | None) -> int:
    from webdataset.tariterators import group_by_keys, tar_file_expander

    with source.open("rb") as stream:  # WebDataset(...) itself would leave the file open
        samples = list(group_by_keys(tar_file_expander([{"url": str(source), "stream": stream}])))
    count = min(limit or len(samples), len(samples))
    lines = []
    for sample in (samples[index * len(samples) // count] for index in range(count)):
        name = f"{sample['__key__']}.png"
        (folder / name).write_bytes(sample["png"])
        lines.append(json.dumps({"file_name": name, "text": sample["txt"].decode()}, ensure_ascii=False))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
