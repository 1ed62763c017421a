"""Whether drawn photographs show what was asked: the thing, by a small classifier, and the colours, by the captioner.

python examples/measure_photographs.py --work W --measures W/measures

``W`` is the folder of train_photographs.py, ``W/measures`` that of measure_drawings.py. The classifier learns the base
pictures in a few minutes and is measured on the held-out ones, so that its own mistakes are known.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
from caption_photographs import look
from small_training import load_state, save_state, to_tensor
from torch import nn
from torch.nn.functional import cross_entropy, interpolate
from train_photographs import read_split

CLASSES = (
    ("airplane", "plane"),
    ("automobile", "car"),
    ("bird",),
    ("cat",),
    ("deer",),
    ("dog",),
    ("frog",),
    ("horse",),
    ("ship", "boat"),
    ("truck",),
)
NUMBERS = {noun: number for number, nouns in enumerate(CLASSES) for noun in nouns}


def class_of(caption: str) -> int:
    """The CIFAR-10 class that a caption names; -1 if none."""
    found = [NUMBERS[word] for word in re.findall(r"[a-z]+", caption) if word in NUMBERS]
    return found[0] if found else -1


def make_classifier() -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, len(CLASSES)))


def small(pictures: np.ndarray) -> torch.Tensor:
    return interpolate(to_tensor(pictures), size=32, mode="area")


def train(work: Path, passes: int) -> nn.Module:
    """Adam with one cycle; pictures turned round half of the time."""
    pictures, captions = read_split(work, "base")
    labels = np.array([class_of(caption) for caption in captions])
    known = np.nonzero(labels >= 0)[0]
    network = make_classifier().to(memory_format=torch.channels_last)
    steps = passes * len(known) // 128
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        chosen = rng.choice(known, 128)
        x = small(np.stack([pictures[i][:, ::-1] if rng.random() < 0.5 else pictures[i] for i in chosen]))
        loss = cross_entropy(network(x), torch.from_numpy(labels[chosen]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def share_right(network: nn.Module, pictures: np.ndarray, captions: list[str]) -> dict[str, float]:
    labels = np.array([class_of(caption) for caption in captions])
    known = labels >= 0
    parts = np.array_split(pictures[known], max(1, known.sum() // 100))
    answers = torch.cat([network(small(part)).argmax(1) for part in parts]).numpy()
    return {"n": int(known.sum()), "right": float((answers == labels[known]).mean())}


def colours(pictures: np.ndarray) -> np.ndarray:
    """Plain names of the colours above and below, shape (n, 2)."""
    seen = [look(picture) for picture in pictures]
    return np.array([[one.top.split()[-1], one.bottom.split()[-1]] for one in seen])


def colours_right(drawn: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """Share of the drawings whose colours above and below are those of the asked picture, and of another one."""
    found, wanted = colours(drawn), colours(asked)
    return {
        "asked": float((found == wanted).mean()),
        "another": float(np.mean([(found == np.roll(wanted, by, axis=0)).mean() for by in range(1, len(wanted))])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--measures", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = args.work / "classifier.pt"
    if state := load_state(path):
        network = make_classifier()
        network.load_state_dict(state["model"])
        network.eval()
    else:
        network = train(args.work, args.passes)
        save_state(path, model=network.state_dict())
    drawn, asked = (np.load(args.measures / f"{name}.npy") for name in ("drawn", "asked"))
    prompts = json.loads((args.measures / "prompts.json").read_text())
    held_out, captions = read_split(args.work, "heldout")
    found = {
        "class_of_held_out_photographs": share_right(network, np.asarray(held_out), captions),
        "class_of_asked_photographs": share_right(network, asked, prompts),
        "class_of_drawings": share_right(network, drawn, prompts),
        "colours_above_and_below": colours_right(drawn, asked),
    }
    (args.measures / "shown.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
