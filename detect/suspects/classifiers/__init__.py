"""Suspects that tell classes: transformers folders, frozen modules, HTTP services, tables of answers."""

from __future__ import annotations

from pathlib import Path

from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.classifiers.preprocessing import Preprocessing
from protect.errors import InputError, SuspectError
from protect.names import known_as

__all__ = ["Answers", "Classifier", "load_classifier"]


def load_classifier(
    where: str,
    classes: tuple[str, ...],
    *,
    mapping: dict[str, str] | None = None,
    preprocessing: Preprocessing | None = None,
    device: str = "cpu",
    name: str = "",
) -> Classifier:
    """A suspect whose answers are in the order of `classes`.

    Args:
        where: transformers folder; .pt, .pt2 or .onnx file; .csv of answers; or http(s) address.
        classes: the owner's.
        mapping: the owner's class by the suspect's label, where names differ.
        preprocessing: for files that do not tell their own; 224 px and ImageNet's normalisation if not given.
        device: where to run, as torch names it.
        name: whose answers a table holds.

    Raises:
        SuspectError: if it cannot be loaded.
        InputError: if its classes do not match.
    """
    own, positions = (tuple(mapping), False) if mapping else (classes, True)
    if where.startswith(("http://", "https://")):
        from detect.suspects.classifiers.endpoint import EndpointClassifier

        return Aligned(EndpointClassifier(where, own, positions=positions), classes, mapping)
    path = Path(where)
    if not path.exists():
        raise SuspectError(f"no such file or folder: {path}", "Give a local path or an http address.")
    if path.suffix == ".csv":
        from detect.suspects.classifiers.answers import AnswersClassifier

        if not known_as(name):
            raise InputError(
                f"{path} does not say whose answers these are", "Give --suspect NAME, the same for the same black box."
            )
        return Aligned(AnswersClassifier(path, own, name, positions=positions), classes, mapping)
    if path.is_dir():
        from detect.suspects.classifiers.folder import FolderClassifier

        return Aligned(FolderClassifier(path, device), classes, mapping)
    from detect.suspects.classifiers.module import SUFFIXES, ModuleClassifier

    if path.suffix not in SUFFIXES:
        raise SuspectError(
            f"{path} is no classifier file", f"Allowed: a folder, {', '.join(sorted(SUFFIXES))}, .csv or http address."
        )
    return Aligned(ModuleClassifier(path, preprocessing or Preprocessing(), device), classes, mapping)
