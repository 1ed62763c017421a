"""Sites of the alignment `wording`: places in captions where the same can be said in two ways."""

from protect.alignments.sites.coverage import Coverage, SiteCoverage, cover
from protect.alignments.sites.english import PHOTOGRAPHIC, english_sites
from protect.alignments.sites.file import SitesFile, load_sites, stored_sites
from protect.alignments.sites.independence import Disturbances, compatible
from protect.alignments.sites.site import Site
from protect.alignments.sites.tags import tag_sites

__all__ = [
    "PHOTOGRAPHIC",
    "Coverage",
    "Disturbances",
    "Site",
    "SiteCoverage",
    "SitesFile",
    "compatible",
    "cover",
    "english_sites",
    "load_sites",
    "stored_sites",
    "tag_sites",
]
