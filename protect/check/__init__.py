"""`protect check`: what would become of each family's marks on the owner's own pictures, before release."""

from protect.check.run import FamilyCheck, check

__all__ = ["FamilyCheck", "check"]
