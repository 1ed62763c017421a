"""Requests as `embed` makes them, over captions that are made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from protect.alignments.alignment import Request
from protect.formats.record import Record
from protect.keys.tree import KeyTree, secret_from_seed

DESCRIPTIONS = tuple(f"on a {colour} wall with a {shape}" for colour in ("red", "blue") for shape in ("dot", "line"))


def record(key: str, captions: str | Mapping[str, str]) -> Record:
    """A sample whose picture is empty."""
    named = {"text": captions} if isinstance(captions, str) else captions
    return Record(key, named, lambda: b"")


def records_of(captions: Sequence[str]) -> list[Record]:
    """One sample for each caption, called 0000.png and so on."""
    return [record(f"{i:04}.png", caption) for i, caption in enumerate(captions)]


def no_obstacles(records: Sequence[Record]) -> list[None]:
    """Every picture can carry a mark."""
    return [None] * len(records)


def request_for(
    records: Sequence[Record] | Callable[[], Iterator[Record]],
    *,
    rate: float = 0.2,
    slots: int | None = None,
    seed: int = 0,
    count: int | None = None,
    obstacles: Callable[[Sequence[Record]], Sequence[str | None]] = no_obstacles,
    leave: tuple[str, ...] = (),
) -> Request:
    """A request with throw-away keys."""
    stream = records if callable(records) else records.__iter__
    return Request(
        records=stream,
        count=sum(1 for _ in stream()) if count is None else count,
        rate=rate,
        slots=slots,
        keys=KeyTree(secret_from_seed(seed, "alignments")),
        obstacles=obstacles,
        descriptions=DESCRIPTIONS,
        leave=leave,
    )
