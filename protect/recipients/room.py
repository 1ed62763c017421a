"""How many recipients a release tells apart."""

from __future__ import annotations

from protect.errors import InputError
from protect.keys.code import most_recipients
from protect.keys.store import Store
from protect.marks import make_family
from protect.release.bound import is_coded
from protect.release.record import Release


def check_room(release: Release, count: int, store: Store) -> None:
    """Refuse more recipients than the slots of a painted release tell apart (`most_recipients`).

    Args:
        release: made for recipients.
        count: all that would be issued, those before included.
        store: of the keyring.

    Raises:
        InputError: if some would likely share all bits of the tracing code; says how many it can have.
    """
    part, slots = release.plan.parts[0], release.plan.slots
    if not is_coded(make_family(part.family, part.family_options, store)):
        return  # every recipient has directions of its own
    most = most_recipients(slots)
    if count > most:
        raise InputError(
            f"release {release.id} would have {count} recipients, and a tracing code of {slots} slots tells {most} "
            "apart: more would likely share all bits",
            "Issue fewer, or make a release with more --slots (protect plan --recipients N says how many).",
        )
