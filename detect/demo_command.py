"""`protect demo`: the whole story on the sample dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detect.shared_options import Device, Json, use_all_cores
from protect import console


def demo_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Working folder.")] = Path("tracemark-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the throw-away key and of training.")] = 0,
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")] = False,
    as_json: Json = False,
) -> int:
    """Mark the sample dataset, fine-tune a small diffusion model on it and on the original, detect both."""
    if dry_run:
        text = (
            f"would unpack 2,400 pictures, fine-tune two models, write {output / 'demo.html'}: about 7 min on 2 cores"
        )
        console.answer(text, {"output": str(output)}, as_json)
        return console.DONE
    use_all_cores()
    from detect.demo import demo
    from detect.reports.words import summary

    with console.progress() as progress:
        done = demo(output, seed=seed, device=device, progress=progress)
    text = "\n".join(
        [
            f"tuned on the protected copy: {summary(done.guilty)}",
            f"tuned on the original: {summary(done.innocent)}",
            f"page: {done.page}",
        ]
    )
    console.answer(text, {"guilty": done.guilty.as_json(), "innocent": done.innocent.as_json()}, as_json)
    return console.DONE
