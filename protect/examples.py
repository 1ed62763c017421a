"""Examples that stand at the end of each command's help; a test reads every one of them as its command would."""

from __future__ import annotations

from collections.abc import Mapping

from protect import marks

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "embed": (
        "protect embed ./photographs",
        "protect embed ./photographs --rate 2% --family template --dry-run",
        "protect embed ./photographs --wordings my-words.csv",
    ),
    "plan": (
        "protect plan ./photographs",
        "protect plan ./photographs --rate 5% --family template --passes 20",
        "protect plan ./photographs --rehearsal ./photographs-rehearsal",
    ),
    "check": (
        "protect check ./photographs",
        "protect check ./photographs --family shade --option shade.depth=0.5 --choices which.html",
    ),
    "commit": ("protect commit ./photographs --coin-from drand",),
    "timestamp": ("protect timestamp photographs-protected.commitment.json --authority https://tsa.example.org/tsr",),
    "sign": ("protect sign photographs-protected.commitment.json",),
    "signing-key": ("protect signing-key",),
    "publish": ("protect publish photographs-protected.commitment.json",),
    "verify-commitment": (
        "protect verify-commitment photographs-protected.commitment.json --authority-certificate root.pem",
    ),
    "issue": (
        "protect issue photographs --to 'Gallery Ltd.' --terms 'no training'",
        "protect issue photographs --materialise 'Gallery Ltd.' -o ./for-the-gallery",
    ),
    "show": (
        "protect show ./photographs-protected",
        "protect show ./photographs-protected --original ./photographs --count 20",
    ),
    "frame": ("protect frame hoarding.jpg --corners '120,80 560,95 555,400 118,410'",),
    "verify": ("protect verify ./photographs-protected",),
    "diff": ("protect diff ./photographs ./photographs-protected",),
    "ls": ("protect ls", "protect ls --json"),
    "retire": ("protect retire photographs-protected",),
    "demo": ("protect demo", "protect demo -o ./demo --dry-run"),
    "pool": ("protect pool ./photographs --base ./stable-diffusion --count 1000",),
    "basis": ("protect basis ./photographs --vae ./stable-diffusion",),
    "recipients ls": ("protect recipients ls",),
    "recipients export": ("protect recipients export -o recipients.csv",),
    "recipients import": ("protect recipients import recipients.csv",),
    "recipients revoke": ("protect recipients revoke photographs 'Gallery Ltd.' --why 'licence ended'",),
}
WITH_FAMILIES = ("embed", "plan", "check", "commit")
"""Commands that take options of families."""


def family_options() -> str:
    """The options of every family that has some, with their defaults, as a paragraph for help."""
    found = []
    for name, family in marks.BUILT_IN.items():
        if options := marks.options_of(family.name):
            own = ", ".join(option if value == "" else f"{option}={value}" for option, value in options.items())
            found.append(f"{name}: {own}")
    return "Family options: " + "; ".join(found) + "."
