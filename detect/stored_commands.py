"""Commands that make what some families need, and keep it in the keyring; and the cache of outputs."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from detect.shared_options import Device, Json, set_aside_lines, use_all_cores
from protect import console
from protect.files import default_cache
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.marks.latent import FEWEST_PICTURES
from protect.release.plan import check_range


def pool_command(
    dataset: Annotated[Path, typer.Argument(help="Folder of pictures with captions; its captions say what to draw.")],
    base: Annotated[Path | None, typer.Option(help="Diffusers folder that draws. [the miniature]")] = None,
    count: Annotated[int, typer.Option(help="Templates: one slot cannot say more than 1 in so many.")] = 1_000,
    prompts: Annotated[Path | None, typer.Option(help="Text file, one prompt a line, instead of captions.")] = None,
    zoom: Annotated[float, typer.Option(help="Keep a window of 1/ZOOM of each picture's side.")] = 1.0,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="Guidance scale.")] = 3.0,
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would draw.")] = False,
    as_json: Json = False,
) -> int:
    """Draw the templates of family `scene` with a base model and keep them in the keyring."""
    captions = (record.caption for record in open_dataset(dataset).records())
    if prompts is not None:
        captions = (line.strip() for line in console.read_text(prompts).splitlines() if line.strip())
    from detect.pool import MOST_DRAWS, check_pool, make_pool

    asked = list(islice(captions, MOST_DRAWS * max(count, 0)))
    check_pool(asked, count, zoom, steps, guidance)
    if dry_run:
        text = f"would draw {count:,} templates or more from {len(asked):,} prompts, {steps} steps each"
        console.answer(text, {"count": count, "prompts": len(asked), "steps": steps}, as_json)
        return console.DONE
    use_all_cores()
    from protect.miniature import miniature_path

    with console.progress() as progress:
        name = make_pool(
            base or miniature_path(),
            asked,
            count,
            Keyring.default().store,
            default_cache(),
            zoom=zoom,
            steps=steps,
            guidance=guidance,
            device=device,
            progress=progress,
        )
    following = f"protect embed {dataset} --family scene --alignment twa-conjunction --slots 2 --option pool={name}"
    text = f"pool {name} is in the keyring: back it up\nnext: {following}"
    console.answer(text, {"pool": name}, as_json)
    return console.DONE


def basis_command(
    dataset: Annotated[Path, typer.Argument(help="Folder of pictures with captions; its pictures say what is usual.")],
    vae: Annotated[Path | None, typer.Option(help="Diffusers pipeline or VAE folder. [the miniature]")] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to look at.")] = 400,
    side: Annotated[int | None, typer.Option(help="Their side, in pixels. [the VAE's own, 256 at most]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would compute.")] = False,
    as_json: Json = False,
) -> int:
    """Compute the directions of family `latent` from a VAE and keep them in the keyring. No key takes part."""
    check_range("--pictures", pictures, FEWEST_PICTURES, 100_000)
    opened = open_dataset(dataset)
    step = max(1, sum(1 for _ in opened.records()) // pictures)
    chosen = list(islice(opened.records(), 0, step * pictures, step))
    use_all_cores()
    from protect.basis import load_pictures, make_basis, own_side
    from protect.miniature import miniature_path

    place = vae or miniature_path()
    at = side or own_side(place)
    if dry_run:
        row = {"pictures": len(chosen), "side": at}
        console.answer(f"would look at {len(chosen)} pictures of {at} px", row, as_json)
        return console.DONE
    seen, set_aside = load_pictures(chosen, at)  # filled as they are read
    with console.progress() as progress:
        name = make_basis(place, seen, Keyring.default().store, side=at, progress=progress)
    following = f"protect embed {dataset} --family latent --option basis={name}"
    lines = [f"basis {name} is in the keyring: back it up", f"next: {following}", *set_aside_lines(set_aside)]
    answer = {"basis": name, "set_aside": [asdict(one) for one in set_aside]}
    console.answer("\n".join(lines), answer, as_json)
    return console.SET_ASIDE if set_aside else console.DONE


def cache_command(
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is oldest until the rest fits --limit.")] = False,
    limit: Annotated[float, typer.Option(help="Gigabytes that may stay.")] = 20.0,
    as_json: Json = False,
) -> int:
    """Say what the cache of outputs holds, and keep it small. No verdict rests on it."""
    from detect import cache as caching

    check_range("--limit", limit, 0.0, 1e6)
    folder = default_cache()
    removed = caching.prune(folder, round(limit * 1e9)) if prune else []
    held = caching.kept(folder)
    size, freed = (sum(one.bytes for one in some) for some in (held, removed))
    lines = [f"cache {folder}: outputs of {len(held)} models, {size / 1e9:,.2f} GB"]
    if prune:
        lines.append(f"removed: {len(removed)}, {freed / 1e9:,.2f} GB")
    if size > limit * 1e9:
        more = "the rest was written within the last hour" if prune else "use --prune"
        lines.append(f"more than {limit:g} GB: {more}")
    row = {"cache": str(folder), "models": len(held), "bytes": size, "removed": len(removed), "bytes_removed": freed}
    console.answer("\n".join(lines), row, as_json)
    return console.DONE
