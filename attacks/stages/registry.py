"""All attacks by name."""

from __future__ import annotations

import difflib

from attacks.hunts import carriers
from attacks.stages import answers, captioner, captions, dataset, diffusion, images, model, training
from attacks.stages.attack import Attack
from protect.errors import InputError

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for part in (images, diffusion, captions, captioner, dataset, carriers, training, model, answers)
    for attack in part.ATTACKS
}


def find_attack(name: str) -> Attack:
    """The attack of that name.

    Raises:
        InputError: if there is none; names the nearest.
    """
    if name not in ATTACKS:
        close = difflib.get_close_matches(name, ATTACKS, 3, 0.0)
        raise InputError(f"unknown attack {name!r}", f"Nearest: {', '.join(close)}. All: attacks ls")
    return ATTACKS[name]
