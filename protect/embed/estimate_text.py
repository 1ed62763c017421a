"""What `protect embed --dry-run` says about a large dataset, in words and as JSON."""

from __future__ import annotations

from pathlib import Path

from protect.embed.estimate import Estimate
from protect.progress import duration


def estimate_text(found: Estimate, output: Path) -> str:
    """What a copy would cost."""
    sample = found.sample
    margin = f" (give or take {sample.margin:,})" if sample.margin else ""
    basis = "all" if sample.read == sample.shards else f"{sample.read} of {sample.shards}"
    aside = f"; {sample.set_aside:,} more could not be read as samples" if sample.set_aside else ""
    linked = f", {_megabytes(found.written)} of them written, the rest links" if found.written < found.bytes else ""
    lines = [
        f"would write {output}",
        f"  estimated from {basis} shards: {sample.samples:,} samples{margin}, {sample.changeable:.0%} of them may be "
        f"changed{aside}",
        f"  at most {found.carriers:,} carriers; "
        + (f"{found.painted:,} pictures change" if found.painted else "no picture changes, only their captions"),
        f"  {_megabytes(found.bytes)}{linked}"
        + ("" if found.free is None else f"; the disk has {_megabytes(found.free)} free")
        + ("" if found.fits else ": TOO LITTLE"),
        f"  about {duration(found.looks + found.rest)} with {found.workers} worker(s)"
        + (f", {duration(found.looks)} of it to look at all pictures" if found.looks else ""),
    ]
    if found.forecast is None:
        lines.append(f"  with a few samples alone it could not be drawn: {found.obstacle}")
    else:
        lines += [f"  {line}" for line in found.forecast.lines()]
    return "\n".join(lines)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def estimate_json(found: Estimate, output: Path) -> dict[str, object]:
    """The same for programs; sizes in bytes, times in seconds."""
    power = found.forecast.power if found.forecast else None
    return {
        "output": str(output),
        "dry_run": True,
        "estimated": True,
        "shards": found.sample.shards,
        "shards_read": found.sample.read,
        "samples": found.sample.samples,
        "samples_margin": found.sample.margin,
        "changeable": round(found.sample.samples * found.sample.changeable),
        "set_aside_count": found.sample.set_aside,
        "carriers": found.carriers,
        "pictures_changed": found.painted,
        "bytes": found.bytes,
        "bytes_written": found.written,
        "bytes_free": found.free,
        "seconds": round(found.looks + found.rest, 1),
        "seconds_looking": round(found.looks, 1),
        "workers": found.workers,
        "expected_power": power and {"mean": power.mean, "low": power.low, "high": power.high},
        "obstacle": found.obstacle or None,
    }
