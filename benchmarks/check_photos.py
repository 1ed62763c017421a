"""`protect check` of every family on real photographs: read-back, re-encoding, and a VAE round trip at full size.

    python -m benchmarks.check_photos --photos FOLDER [--vae FOLDER]

FOLDER holds photographs of 256 px or more with captions. The default VAE is the miniature's, which was trained on
64 px drawings: a harsher judge of photographs than the VAE of a large model.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import Clock, write_result
from protect.check.page import write_page
from protect.check.run import check
from protect.formats import open_dataset
from protect.keys.tree import secret_from_seed
from protect.marks import families
from protect.miniature import miniature_path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--vae", type=Path, default=None)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--page", type=Path, default=None)
    args = parser.parse_args()
    clock = Clock()
    secret = secret_from_seed(0, "check photos")
    # `scene` and `latent` need a pool and a basis of the owner's.
    names = [name for name in families() if name not in {"scene", "latent"}]
    records = open_dataset(args.photos).records()
    found = check(records, names, {}, args.vae or miniature_path(), secret, pictures=args.pictures)
    if args.page:
        write_page(args.page, found, args.photos.name)
    rows = {
        c.family: {
            "verdict": c.verdict,
            "pictures": c.tested,
            "psnr": c.psnr,
            "ssim": c.ssim,
            "near_duplicates": c.duplicates,
            "near_duplicates_before": c.duplicates_before,
            "untouched_auc": c.untouched_auc,
            "sham_auc": c.sham_auc,
            "survivals": [asdict(s) for s in c.survivals],
        }
        for c in found.families
    }
    vae = "given" if args.vae else "miniature"
    write_result("check_photos", {"vae": vae, "set_aside": len(found.set_aside), "families": rows}, clock())


if __name__ == "__main__":
    main()
