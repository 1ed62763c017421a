"""What is tested of each family: most as they are, those that need looks with looks measured on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from protect.check.result import FamilyCheck
from protect.embed.looks import take_glances
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.formats.record import Record
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import ChoosingFamily, FamilyOptions, MarkFamily
from protect.marks.looks import FEWEST_PICTURES, hold_looks, stored_looks
from protect.marks.shade import Shade
from protect.progress import Progress

LOOKED_AT = 2_000
"""Pictures of which looks are measured, at most."""
WORDS = 3
"""Words of `shade` that a test picture holds; most captions hold a few."""


def make_families(names: Iterable[str], options: Mapping[str, FamilyOptions], store: Store) -> dict[str, MarkFamily]:
    """Families by name, those that need looks without them unless the owner named some.

    Raises:
        InputError: if there is no such family, an option is out of range, or a stored array is missing.
    """
    made = {name: make_family(name, options.get(name, {}), store) for name in names}
    for name in made:
        if looks := options.get(name, {}).get("looks"):
            stored_looks(store, str(looks))
    return made


def lacks_looks(family: MarkFamily, options: FamilyOptions) -> bool:
    """Whether looks must be measured for a family."""
    return family.needs_looks and not options.get("looks") and not _paints_nothing(family)


def subjects(
    families: Mapping[str, MarkFamily],
    options: Mapping[str, FamilyOptions],
    records: Sequence[Record],
    store: Store,
    progress: Progress,
) -> list[MarkFamily | FamilyCheck]:
    """Each family as it is tested, or why it is not.

    Args:
        families: by name, as `make_families` makes them.
        options: of families, by name.
        records: samples on which looks are measured, all of them looked at if a family lacks looks.
        store: holds the looks for as long as the check lasts; they are not written.
        progress: told about the looking.
    """
    looks, obstacle = "", ""
    if any(lacks_looks(family, options.get(name, {})) for name, family in families.items()):
        looks, obstacle = _measured(records, store, progress)
    found: list[MarkFamily | FamilyCheck] = []
    for name, family in families.items():
        own = options.get(name, {})
        if _paints_nothing(family):
            reason = f"it changes no picture (to test a push: --option {name}.push=2)"
            found.append(FamilyCheck(name, 0, 0, "", unchecked=reason))
        elif lacks_looks(family, own) and obstacle:
            found.append(FamilyCheck(name, 0, 0, "", unfit=obstacle))
        else:
            whole = make_family(name, {**own, "looks": looks}, store) if lacks_looks(family, own) else family
            found.append(whole.of_words(tuple(range(WORDS))) if isinstance(whole, Shade) else whole)
    return found


def _paints_nothing(family: MarkFamily) -> bool:
    return isinstance(family, ChoosingFamily) and not family.changes_pictures


def _measured(records: Sequence[Record], store: Store, progress: Progress) -> tuple[str, str]:
    """Name of the looks of some pictures, and why there are none."""
    glances = take_glances(records, len(records), lambda record, data: None, MemoryBudget(), progress)
    usable = int(glances.usable.sum())
    if usable < FEWEST_PICTURES:
        return "", f"{usable} picture(s) can be looked at, {FEWEST_PICTURES} are needed"
    try:
        looks = glances.fitted()
    except InputError as error:
        return "", error.what
    return hold_looks(looks, store), ""
