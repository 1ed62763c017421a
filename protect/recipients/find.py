"""Whose copy is this? Told by what a copy says, never by a folder's name, and only beyond chance.

Somebody is named only by the exact rule of `protect.recipients.chance`, at the release's alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.alignments.wording import Wording
from protect.embed.find import release_of
from protect.embed.shared import Shared, stored_shared
from protect.errors import ReleaseError
from protect.formats.dataset_format import Dataset
from protect.formats.record import normalised
from protect.keys.keyring import Keyring, is_retired
from protect.keys.tree import recipients_draws, slot_seed
from protect.marks.directions import direction_scores
from protect.marks.family import ChoosingFamily
from protect.progress import Progress, no_progress
from protect.recipients.chance import chance_of_bits, chance_of_cosines
from protect.recipients.coded import agreeing, code_of, nearest_bits, votes, with_pictures
from protect.recipients.ledger import Ledger, open_ledger
from protect.recipients.overlay import overlay
from protect.release.bound import BoundRelease, bind, committed_family, is_coded
from protect.release.record import Release

BLOCK = 1 << 16
"""Recipients that are compared with a copy at a time."""
LISTED = 20
"""Recipients who cannot be told apart that are listed."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Whose marks a copy follows best."""

    serials: tuple[int, ...]
    """All of them, where they cannot be told apart."""
    chance: float
    """Upper bound of the chance that a copy follows so well a recipient's marks on which it does not depend."""


@dataclass(frozen=True)
class Found:
    """The release that a copy belongs to, with its carriers."""

    bound: BoundRelease
    """Where it is one of several recipients' copy: with the carriers of the first."""
    people: tuple[tuple[int, str], ...] = ()
    """Serial number and name of the recipient, or of all who cannot be told apart; empty where one copy is for
    everybody."""

    @property
    def serial(self) -> int | None:
        """Of the recipient; None if it is everybody's copy, or one of several recipients'."""
        return self.people[0][0] if len(self.people) == 1 else None

    @property
    def recipient(self) -> str:
        """What the recipient is called; empty likewise."""
        return self.people[0][1] if len(self.people) == 1 else ""

    @property
    def number(self) -> tuple[str, ...]:
        """The serial number, if there is one."""
        return () if self.serial is None else (str(self.serial),)

    def in_words(self) -> str:
        """Whose copy it is; empty where it is everybody's."""
        if not self.people:
            return ""
        if len(self.people) == 1:
            return f"recipient {self.serial} ({self.recipient})"
        listed = ", ".join(f"{serial} ({name})" for serial, name in self.people[:LISTED])
        more = f" and {len(self.people) - LISTED} more" if len(self.people) > LISTED else ""
        return f"one of these {len(self.people)} recipients, whose bits are equal in it: {listed}{more}"


def release_and_recipient(
    copy: Dataset,
    keyring: Keyring,
    release: str | None = None,
    recipient: str | None = None,
    progress: Progress = no_progress,
) -> Found:
    """The release of a copy, and whose copy it is.

    Args:
        copy: a protected copy, under any name.
        keyring: holds the releases and the ledger.
        release: id or name; None to look for it.
        recipient: number or name (see `Ledger.one`), where the release is named too; None to look for it.
        progress: told (stage, done, total).

    Raises:
        ReleaseError: if no release or recipient, or more than one, belongs to the copy; if it belongs to a release that
            is retired.
        InputError: if that recipient does not exist.
    """
    if release and (named := keyring.load(release)).plan.recipients:
        if recipient:
            return _named(named, keyring, recipient)
        if found := _following(copy, keyring, [named], progress):
            return found
        raise ReleaseError(
            f"no recipient's copy of {named.id} ({named.name}) fits {copy.root}",
            f"Name one: --release {named.id} --recipient NUMBER.",
        )
    if recipient:
        raise ReleaseError("--recipient needs --release of one for recipients", "Name both, or neither.")
    try:
        return Found(bind(release_of(copy, keyring, release), keyring.store))
    except ReleaseError:
        if not release and (found := _following(copy, keyring, keyring.survey()[0], progress)):
            return found
        if not release and (found := _following(copy, keyring, keyring.retired(), progress)):
            raise is_retired(keyring, found.bound.release) from None
        raise


def _named(release: Release, keyring: Keyring, recipient: str) -> Found:
    with open_ledger(keyring) as ledger:
        found = ledger.one(release.id, recipient)
        return Found(_bound(release, keyring, ledger, found.serial), ((found.serial, found.name),))


def _bound(release: Release, keyring: Keyring, ledger: Ledger, serial: int) -> BoundRelease:
    """The release as if a recipient's copy were the only one."""
    made = overlay(release, keyring.store, serial)
    bound = made.with_carriers()
    return with_pictures(bound, serial, ledger) if made.coded else bound


def _following(copy: Dataset, keyring: Keyring, releases: Sequence[Release], progress: Progress) -> Found | None:
    """The recipient's copy that a copy is, of those releases that are for recipients; None if no copy of theirs fits.

    Raises:
        ReleaseError: if copies of several releases fit.
    """
    masters = [held for held in releases if held.plan.recipients and held.complete]
    looked = (_follows(copy, keyring, master, master.plan.alpha / len(masters), progress) for master in masters)
    found = [one for one in looked if one]
    if len(found) > 1:
        names = ", ".join(f"{one.bound.release.id} ({one.bound.release.name})" for one in found)
        raise ReleaseError(
            f"copies of {len(found)} releases fit {copy.root}",
            f"They are: {names}. Name one: --release ID --recipient NUMBER.",
        )
    return found[0] if found else None


def _follows(copy: Dataset, keyring: Keyring, release: Release, alpha: float, progress: Progress) -> Found | None:
    """The recipient whose marks a copy follows best, if chance seldom makes it follow anybody's so well.

    "Seldom" is alpha for all recipients together. Alpha is shared among the releases that are looked through.
    """
    with open_ledger(keyring) as ledger:
        count = ledger.issued(release.id)
        if is_coded(committed_family(release.plan.parts[0], keyring.store, release.id)):
            nearest = _by_bits(copy, release, ledger, count)
        else:
            nearest = nearest_recipient(copy, release, keyring, count, progress)
        if nearest is None or nearest.chance * count > alpha:
            return None
        people = tuple((serial, ledger.name(release.id, serial)) for serial in nearest.serials)
        return Found(_bound(release, keyring, ledger, nearest.serials[0]), people)


def _by_bits(copy: Dataset, release: Release, ledger: Ledger, count: int) -> Nearest | None:
    """The recipients, of so many, with whose bits most of a copy's pictures agree; None if it shows no bit."""
    shown = votes(copy, release, ledger)
    serials = nearest_bits(shown, release, count)
    if not serials:
        return None
    return Nearest(serials, chance_of_bits(shown, code_of(release).bias, agreeing(shown, release, serials[0])))


def nearest_recipient(
    copy: Dataset, release: Release, keyring: Keyring, count: int, progress: Progress = no_progress
) -> Nearest | None:
    """The recipient, of so many, along whose marks a copy's words go furthest; None if it holds none of the samples.

    What a site's words do to the looks beside them is one direction for each slot; a recipient's marks are as many
    directions, and their cosines are added up.
    """
    pulls = [pull / np.linalg.norm(pull) if pull.any() else pull for pull in _pulls(copy, release, keyring)]
    shown = sum(bool(pull.any()) for pull in pulls)
    if not count or not shown:
        return None
    best, serial = -np.inf, 0
    for start in range(1, count + 1, BLOCK):
        serials = range(start, min(start + BLOCK, count + 1))
        total = np.zeros(len(serials))
        for slot, pull in enumerate(pulls):
            marks = recipients_draws(slot_seed(release.secret, slot), release.coin, serials, "mark")
            total += direction_scores(pull[None], np.eye(len(pull)), marks)
        if total.max() > best:
            best, serial = float(total.max()), serials[int(total.argmax())]
        progress("comparing recipients", serials[-1], count)
    return Nearest((serial,), chance_of_cosines(best, shown, len(pulls[0])))


def _pulls(copy: Dataset, release: Release, keyring: Keyring) -> list[Array]:
    """For each slot, where samples in its site's second wording lie from those in the first, in looks; shape (d,)."""
    bound, shared = bind(release, keyring.store), stored_shared(keyring.store, release.shared)
    family, alignment = bound.slots[0].family, bound.slots[0].alignment
    assert isinstance(family, ChoosingFamily) and isinstance(alignment, Wording)  # no other is for recipients
    sides = _sides(copy, shared, alignment, [slot.trigger for slot in bound.slots])
    seen = (sides != -1).any(axis=1) & shared.glances.usable
    looks = family.fitted_looks.of_glances(shared.glances.levels[seen].astype(np.float64))
    pulls = []
    for column in sides[seen].T:
        first, second = looks[column == 0], looks[column == 1]
        both = len(first) and len(second)
        pulls.append(second.mean(axis=0) - first.mean(axis=0) if both else np.zeros(looks.shape[1]))
    return pulls


def _sides(copy: Dataset, shared: Shared, alignment: Wording, triggers: list[str]) -> NDArray[np.int8]:
    """Side of the samples' captions in a copy at each site, in the order of the dataset; -1 where it says neither."""
    places = {normalised(record.key): place for place, record in enumerate(shared.records())}
    found = np.full(shared.states.shape, -1, dtype=np.int8)
    held = [(place, r) for r in copy.records() if (place := places.get(normalised(r.key))) is not None]
    sites = [alignment.sites[trigger] for trigger in triggers]
    if held:
        found[[place for place, _ in held]] = alignment.states((record for _, record in held), sites)
    return found
