"""A LoRA whose alphas differ by module, and the same change merged into its base: one verdict, one E.

    python -m benchmarks.suspect_alphas --models W --work X

W is the folder of `benchmarks.wording train`; of it one key's copy and the LoRA that learned it are taken. That LoRA
is saved once more as sd-scripts names it, with a quarter of its rank as alpha in attention and twice its rank
elsewhere, the upper halves divided by what alpha over rank multiplies; and merged by a formula that is not the
loader's, in float32 and, as the miniature's own weights are, in float16. Merged at the strength of attention everywhere
it shows what a loader would test that takes one alpha for all. Beside it, on a small SDXL: the fused change of a LoRA
that was resized layer by layer, module by module.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.common import Clock, measured_once, write_result
from benchmarks.suspect_kinds.adapters import layer_weights, xl_family
from benchmarks.suspect_kinds.models import Models, folder_weights, largest_error, suspect_weights
from benchmarks.wording import HALF, copy_of, tested
from detect.suspects.images import load_suspect
from protect.miniature import miniature_path
from tests.support.adapters import ATTENTION, FILES, Weights, kohya_stem, merge, product, save

KEY, TRAINING = 806, "lora-4"


def strength(layer: str) -> float:
    """Alpha over rank of a module: powers of two, so that dividing by them loses nothing."""
    return 0.25 if layer.endswith(ATTENTION) else 2.0


def pairs(lora: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Lower and upper halves by layer, of a LoRA as diffusers saves it."""
    held = load_file(lora)
    layers = [name.removesuffix(".lora_A.weight") for name in held if name.endswith(".lora_A.weight")]
    return {layer: (held[f"{layer}.lora_A.weight"], held[f"{layer}.lora_B.weight"]) for layer in layers}


def with_alphas(held: dict[str, tuple[Tensor, Tensor]]) -> Weights:
    """The same LoRA as sd-scripts saves it, with an alpha for each module."""
    found: Weights = {}
    for layer, (down, up) in held.items():
        stem, share = kohya_stem(layer), strength(layer)
        found |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up / share}
        found[f"{stem}.alpha"] = torch.tensor(share * len(down))
    return found


def forms(lora: Path, work: Path) -> dict[str, Path]:
    """The LoRA as trained, with alphas, merged, and merged at one strength for all."""
    held = pairs(lora)
    changes = {layer: product(*halves) for layer, halves in held.items()}
    wrong = {layer: change * strength("to_q") / strength(layer) for layer, change in changes.items()}
    single = in_single_precision(miniature_path(), work / "single")
    return {
        "as trained": lora,
        "alphas by module": save(work / "alphas.safetensors", with_alphas(held)),
        "merged": merge(single, work / "merged", changes),
        "merged, in half precision": merge(miniature_path(), work / "half", changes),
        "merged at one strength": merge(single, work / "one-strength", wrong),
    }


def in_single_precision(model: Path, target: Path) -> Path:
    """A copy whose weights are float32; the miniature's are float16."""
    shutil.copytree(model, target)
    for file in FILES.values():
        save_file({k: v.float() for k, v in load_file(target / file).items()}, target / file, {"format": "pt"})
    return target


def verdicts(models: Path, work: Path) -> list[dict[str, Any]]:
    """Every form under a ledger and a cache of its own, and how far its weights are from the merged ones."""
    bound, keyring = copy_of(models, HALF, KEY)
    lora = models / f"model-{HALF.name}-{TRAINING}-{KEY}" / "pytorch_lora_weights.safetensors"
    rows = []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        paths = forms(lora, Path(folder))
        merged = folder_weights(paths["merged"])
        for number, (form, path) in enumerate(paths.items()):
            base = miniature_path() if path.is_file() else None

            def measure(
                path: Path = path, base: Path | None = base, own: Path = work / f"form-{number}"
            ) -> dict[str, Any]:
                off = largest_error(suspect_weights(path, base=base), merged)
                return tested(bound, keyring, load_suspect(path, base=base), own) | {"largest_error": off}

            rows.append({"form": form, **measured_once(work / f"row-{number}.json", measure)})
            print(rows[-1], flush=True)
    return rows


def resized(work: Path) -> dict[str, Any]:
    """Of an SDXL LoRA with ranks and alphas of each module its own: what was fused beside alpha/rank x up x down."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        models = Models(Path(folder))
        before = folder_weights(models.xl)
        every = xl_family(layer_weights(before))
        family = replace(every, chosen=tuple(every.stems))
        tensors = family.file(layer_weights(before))
        after = suspect_weights(family.write(models.place(), tensors), base=models.xl)
    errors, equal, ranks, alphas = [], 0, set(), set()
    for stem in family.chosen:
        down, up = (tensors[f"{stem}.lora_{half}.weight"] for half in ("down", "up"))
        change = float(tensors[f"{stem}.alpha"]) / len(down) * product(down, up)
        name = f"{family.stems[stem][0]}.weight"
        fused = after[name].double() - before[name].double()
        errors.append(float((fused - change).abs().max() / change.abs().max()))
        equal += torch.equal(after[name], (before[name].double() + change).float())
        ranks.add(len(down))
        alphas.add(float(tensors[f"{stem}.alpha"]))
    untouched = after.keys() - {f"{family.stems[stem][0]}.weight" for stem in family.chosen}
    return {
        "modules": len(errors),
        "ranks": sorted(ranks),
        "alphas": sorted(alphas),
        "largest_relative_error_of_a_change": max(errors),
        "weights_equal_to_the_last_bit": equal,
        "other_weights_that_changed": sum(not torch.equal(after[name], before[name]) for name in untouched),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of benchmarks.wording train")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    data = {
        "what": f"{HALF.name}, {TRAINING}, key {KEY} of benchmarks.wording; alpha 1e-3",
        "strengths": {"attention": strength("to_q"), "elsewhere": strength("conv")},
        "sdxl_resized": resized(args.work),
        "forms": verdicts(args.models, args.work),
    }
    write_result("suspect_alphas", data, clock())


if __name__ == "__main__":
    main()
