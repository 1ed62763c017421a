"""Several fine-tunings at once: small networks gain little from more threads, but two runs keep two cores busy."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect.training.options import FinetuneOptions
from protect.errors import InputError, TracemarkError
from protect.progress import Progress, no_progress

_POLL = 0.5
"""Seconds between looks at what the processes say."""


def train_side_by_side(
    base: Path, jobs: Mapping[Path, Path], options: FinetuneOptions, device: str, progress: Progress = no_progress
) -> None:
    """Fine-tune `base` on several datasets, each in a process of its own with its share of the cores.

    Args:
        base: a diffusers folder.
        jobs: dataset by the folder to create; those that exist are left alone.
        options: how to train, the same for all.
        device: where to train.
        progress: called with (stage, done, total).

    Raises:
        TracemarkError: what the first process that failed said; the others are stopped, and resume when repeated.
    """
    if all(output.exists() for output in jobs):
        return
    context = multiprocessing.get_context("spawn")
    said: Any = context.Queue()
    threads = max(1, (os.cpu_count() or 1) // len(jobs))
    processes = [
        context.Process(target=_train, args=(base, folder, output, options, device, threads, said), daemon=True)
        for output, folder in jobs.items()
    ]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes) or not said.empty():
            _listen(said, progress)
            if failed := [p for p in processes if p.exitcode not in (None, 0)]:
                raise InputError(f"fine-tuning stopped with code {failed[0].exitcode}", "Repeat: it resumes.")
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _listen(said: Any, progress: Progress) -> None:
    """Pass on one message, if there is one in time."""
    try:
        message = said.get(timeout=_POLL)
    except queue.Empty:
        return
    if isinstance(message, TracemarkError):
        raise message
    progress(*message)


def _train(
    base: Path, folder: Path, output: Path, options: FinetuneOptions, device: str, threads: int, said: Any
) -> None:
    """One process: train, and report progress or the error."""
    import torch

    from detect.training.rehearse import train_suspect

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer: it stops us
    torch.set_num_threads(threads)
    try:
        train_suspect(
            base,
            folder,
            output,
            options,
            device=device,
            progress=lambda stage, done, total: said.put((stage, done, total)),
        )
    except TracemarkError as error:
        said.put(error)
