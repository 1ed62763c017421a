"""Examples that stand at the end of each command's help; a test reads every one of them as its command would."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "run": (
        "detect run --model ./suspect",
        "detect run --model lora.safetensors --base ./stable-diffusion -o case.zip",
        "detect run --answers ./pictures --name service-x --release photographs-protected --exit-code",
    ),
    "survey": ("detect survey ./downloaded-models --base ./stable-diffusion",),
    "ask": ("detect ask photographs-protected -o ./questions",),
    "verify": ("detect verify case.zip --signer owner.pem",),
    "rehearse": (
        "detect rehearse ./photographs --dry-run",
        "detect rehearse ./photographs --rate 2% --family template --steps 600",
        "detect rehearse ./photographs --prepare",
    ),
    "trace": ("detect trace photographs --model lora.safetensors --base ./stable-diffusion",),
    "certify": ("detect certify photographs --recipient 'Gallery Ltd.' --model ./their-model",),
    "cache": ("detect cache", "detect cache --prune --limit 5"),
    "provenance tags": (
        "detect provenance tags --model ./classifier --dataset ./pictures-by-class",
        "detect provenance tags --dataset ./pictures-by-class --queries ./questions",
    ),
    "provenance run": (
        "detect provenance run --model ./classifier --generator ./my-model --classes classes.txt "
        "--control ./other-model --control ./camera",
    ),
    "provenance plan": (
        "detect provenance plan --generator ./my-model --classes classes.txt --control ./other-model "
        "--control ./camera -o ./query",
    ),
}
WITH_FAMILIES = ("rehearse",)
"""Commands that take options of families."""
