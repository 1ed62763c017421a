"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass

from protect.check.survival import UNTREATED, Survival
from protect.formats.record import SetAside
from protect.marks.family import Pixels

LOST = 1e-2
"""A mark that ranks no better than this after a treatment is called lost in it."""
_SEEN_SSIM, _SEEN_PSNR = 0.8, 34.0
"""Below the first a mark is plainly visible, below the second visible."""
_MANY = 0.1
"""Share of carriers that became near-duplicates from which de-duplication finds them."""


@dataclass(frozen=True, slots=True)
class Look:
    """A picture before and after marking, scaled down for people; RGB."""

    original: Pixels
    marked: Pixels


@dataclass(frozen=True, slots=True)
class FamilyCheck:
    """What was measured for one family."""

    family: str
    tested: int
    refused: int
    """Pictures looked at that cannot carry its marks."""
    refusal: str
    """Why most of them cannot; empty if all can."""
    unfit: str = ""
    """Why too few pictures could be tested; empty if enough were."""
    unchecked: str = ""
    """Why there is nothing to test; empty if there is."""
    survivals: tuple[Survival, ...] = ()
    psnr: float = 0.0
    """Median over carriers, in decibels."""
    ssim: float = 0.0
    """Median structural similarity to the originals."""
    duplicates: float = 0.0
    """Share of carriers with a near-duplicate among them; `duplicates_before` that of their originals."""
    duplicates_before: float = 0.0
    untouched_auc: float = 0.5
    """Carriers against the rest as it is released: how well a residual classifier finds carriers."""
    sham_auc: float = 0.5
    """Carriers against shams that bear a mark of their own each: what the shared mark itself gives away."""
    looks: tuple[Look, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether it was tested at all."""
        return not (self.unfit or self.unchecked)

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if self.unchecked:
            return f"nothing to check: {self.unchecked}"
        if self.unfit:
            return f"cannot be used: {self.unfit}"
        lost = [s.treatment for s in self.survivals if s.rank_p > LOST]
        if UNTREATED in lost:
            return "does not read back even from its own carriers: choose another family"
        if any(treatment.startswith("VAE") for treatment in lost):
            return "lost in the VAE: a latent model cannot learn it; choose another family"
        seen = (
            "plainly visible" if self.ssim < _SEEN_SSIM else "visible" if self.psnr < _SEEN_PSNR else "hardly visible"
        )
        kept = f"survives all treatments but {', '.join(lost)}" if lost else "survives all treatments"
        return f"{kept}; {seen}" + (", carriers easily found by de-duplication" if self.found_by_dedup else "")

    @property
    def found_by_dedup(self) -> bool:
        """Whether marking made near-duplicates of a tenth of the carriers or more."""
        return self.duplicates - self.duplicates_before >= _MANY


@dataclass(frozen=True, slots=True)
class Check:
    """What was found on a dataset's own pictures."""

    families: tuple[FamilyCheck, ...]
    set_aside: tuple[SetAside, ...]
    """Pictures that no family could be tested on, with the reason."""
