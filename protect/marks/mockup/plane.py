"""Planes in perspective: homographies between places on a picture and places on a wall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protect.marks.mockup.draws import Draws

Plane = NDArray[np.float64]
"""From places on the picture to places on the plane of what holds it, homogeneous, shape (m, 3, 3)."""


def half_sides(height: int, width: int) -> tuple[float, float]:
    """Half width and half height of a picture whose shorter side is 2."""
    return width / min(height, width), height / min(height, width)


def drawn_planes(draws: Draws, half: tuple[float, float]) -> Plane:
    """The planes of marks: turned a little, seen from a little aside."""
    yaw, pitch = _number(draws, "turn, aside", -0.20, 0.20), _number(draws, "turn, up", -0.05, 0.05)
    far = _number(draws, "distance", 3.5, 6.0) * max(half)
    to_picture = np.tile(np.eye(3), (len(far), 1, 1))
    to_picture[:, 0, 0] = np.cos(yaw)
    to_picture[:, 1, 0], to_picture[:, 1, 1] = np.sin(pitch) * np.sin(yaw), np.cos(pitch)
    to_picture[:, 2, 0], to_picture[:, 2, 1] = -np.cos(pitch) * np.sin(yaw) / far, np.sin(pitch) / far
    moved = np.tile(np.eye(3), (len(far), 1, 1))
    moved[:, 0, 2] = _number(draws, "place, x", -0.03, 0.03) * half[0]
    moved[:, 1, 2] = _number(draws, "place, y", -0.05, 0.0) * half[1]
    return np.asarray(np.linalg.inv(moved @ to_picture), dtype=np.float64)


def _number(draws: Draws, name: str, low: float, high: float) -> NDArray[np.float64]:
    return draws.uniform(name, low, high)[:, 0, 0].astype(np.float64)


def through(places: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The homography that takes four places to four others, each of shape (4, 2); shape (3, 3)."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(places, others, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(wanted)), 1).reshape(3, 3)
