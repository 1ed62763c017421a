"""A recipient's copy: what it has otherwise than the dataset. It follows from the key; none is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from protect.alignments.alignment import Draw, Request
from protect.alignments.wording import Wording
from protect.embed.chosen import Chosen
from protect.embed.leaning import leanings_of
from protect.embed.looks import without_obstacles
from protect.embed.render import EQUAL_PSNR, Placed, carriers_of
from protect.embed.shared import Shared, stored_shared
from protect.errors import InputError
from protect.formats.record import Record
from protect.keys.store import Store
from protect.marks.family import ChoosingFamily
from protect.recipients.entry import recipient_key
from protect.release.bound import BoundRelease, bind, is_coded
from protect.release.record import Carrier, Release


@dataclass(frozen=True)
class Overlay:
    """What one recipient's copy has otherwise than the dataset."""

    bound: BoundRelease
    """The release with this recipient's marks."""
    chosen: Chosen
    """The samples that change."""
    shared: Shared

    @property
    def coded(self) -> bool:
        """Whether pictures carry the bits of a tracing code."""
        return is_coded(self.bound.slots[0].family)

    def changes(self) -> Iterator[tuple[Record, Carrier]]:
        """Every sample that changes, as it was and as it is in the copy, but for what is painted."""
        leave = self.bound.release.plan.leave_captions
        for record in self.shared.records():
            if turn := self.chosen.turn(record.key):
                there, back = (tuple(self.bound.slots[slot] for slot in side) for side in turn)
                captions = Placed(record, there, back).captions(leave)
                yield record, Carrier(record.key, *turn, sha256="", captions=captions, psnr=EQUAL_PSNR, score=0.0)

    def digest(self, painted: Iterable[Carrier] = ()) -> str:
        """Of the copy's keys, captions and painted pictures, 64 hex digits.

        Args:
            painted: the carriers with their pictures, where any are painted.
        """
        digest = self.shared.digest
        for record, carrier in self.changes():
            digest.change(record, carrier.captions)
        for carrier in painted:
            if carrier.sha256:
                digest.add_picture(carrier.key, carrier.sha256)
        return digest.hexdigest()

    def with_carriers(self) -> BoundRelease:
        """The release as if this copy were the only one."""
        carriers = tuple(carrier for _, carrier in self.changes())
        return replace(self.bound, release=replace(self.bound.release, carriers=carriers))


def overlay(release: Release, store: Store, serial: int) -> Overlay:
    """The copy of one recipient: a pure function of secret, coin, serial number and dataset.

    Triggers and questions are those of the release, and so are painted carriers. Directions of looks, and bits of
    painted pictures, are drawn by the recipient's slot keys.

    Args:
        release: made for recipients.
        store: holds its looks, its list of sites, and what copies have in common.
        serial: of the recipient, from 1.

    Raises:
        InputError: if the release was not made for recipients, or the store lacks something.
    """
    check_for_recipients(release)
    shared, recipient = stored_shared(store, release.shared), recipient_key(serial)
    bound = bind(release, store, recipient)
    triggers = [slot.trigger for slot in bound.slots]
    draws = _words(bound, shared, triggers) or shared.draws(triggers)
    return Overlay(bound, carriers_of(bound, draws, release.plan.leave_captions), shared)


def _words(bound: BoundRelease, shared: Shared, triggers: Sequence[str]) -> Sequence[Draw]:
    """Which captions change to which side of every site; nothing for families that paint."""
    release, (part,) = bound.release, bound.release.plan.parts
    family, alignment = bound.slots[0].family, bound.slots[0].alignment
    if not (isinstance(family, ChoosingFamily) and isinstance(alignment, Wording)):
        return ()
    request = Request(
        records=shared.records,
        count=shared.count,
        rate=part.rate,
        slots=part.slots,
        keys=release.keys,
        obstacles=without_obstacles,
        leave=release.plan.leave_captions,
        queries=part.queries,
        leanings=leanings_of(family, shared.glances, shared.records, lambda slot: bound.slots[slot].key),
    )
    return alignment.deal(triggers, shared.states, request).slots


def check_for_recipients(release: Release) -> None:
    """Refuse a release that has one copy for everybody.

    Raises:
        InputError: saying how one for recipients is made.
    """
    if not release.plan.recipients:
        raise InputError(
            f"release {release.id} ({release.name}) has one copy for everybody",
            "Make one for recipients beforehand: protect embed DATASET --for-recipients.",
        )
