"""`protect check`: what would become of each family's marks on the owner's own pictures, before release."""

from protect.check.result import Check, FamilyCheck
from protect.check.run import check

__all__ = ["Check", "FamilyCheck", "check"]
