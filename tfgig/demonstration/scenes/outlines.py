"""Outlines: the shapes that are classes, and the irregular ones that are not."""

import math

import numpy as np


def outline(shape: str) -> list[np.ndarray]:
    """Returns the contours of a class: its outline and, for a ring, that of its hole."""
    if shape == "disc":
        return [_arc(1)]
    if shape == "square":
        return [_arc(1, corners=4)]
    if shape == "triangle":
        return [_arc(1, corners=3)]
    if shape == "star":
        return [_arc(1, corners=10) * np.tile((1, 0.45), 5)[:, np.newaxis]]
    if shape == "ring":
        return [_arc(1), _arc(0.52)]
    if shape == "heart":
        angle = np.linspace(0, 2 * math.pi, 72, endpoint=False)
        across = 16 * np.sin(angle) ** 3
        down = sum(w * np.cos(k * angle) for k, w in ((1, -13), (2, 5), (3, 2), (4, 1)))
        return [np.stack((across, down), axis=-1)]
    if shape == "crescent":  # A disc less one of radius 0.75 whose centre is at (0.5, 0).
        tip = (0.6875, math.sqrt(1 - 0.6875**2))  # Where the two circles meet.
        outer, inner = math.atan2(tip[1], tip[0]), math.atan2(tip[1], tip[0] - 0.5)
        bite = np.add(_arc(0.75, start=2 * math.pi - inner, end=inner), (0.5, 0))
        return [np.concatenate((_arc(1, start=outer, end=2 * math.pi - outer), bite))]
    arm = np.array(((1, -0.34), (1, 0.34), (0.34, 0.34)))  # Of a cross, and one inner corner.
    quarter = np.array(((0, 1), (-1, 0)))
    return [np.concatenate([arm @ np.linalg.matrix_power(quarter, k) for k in range(4)])]


def _arc(
    radius: float, *, corners: int = 72, start: float = 0.0, end: float = 2 * math.pi
) -> np.ndarray:
    """Returns points on a circle, [corners, 2], from one angle to, but without, another."""
    angle = np.linspace(start, end, corners, endpoint=False)
    return radius * np.stack((np.cos(angle), np.sin(angle)), axis=-1)


def blob(random: np.random.Generator) -> np.ndarray:
    """Returns a smooth, irregular closed contour, [72, 2]."""
    angle = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    # Mostly three lobes, since no class has them: two make hearts, four crosses and five stars;
    # and never so flat that a blob becomes a disc.
    weights = random.uniform((0.15, 0.7, 0.1), (0.45, 1, 0.35))
    weights *= random.uniform(0.5, 0.65) / weights.sum()
    phases = random.uniform(0, 2 * math.pi, size=3)
    waves = zip((2, 3, 4), weights, phases, strict=True)
    radius = 1 + sum(weight * np.cos(k * angle + phase) for k, weight, phase in waves)
    return radius[:, np.newaxis] * np.stack((np.cos(angle), np.sin(angle)), axis=-1)


def stroke(random: np.random.Generator) -> np.ndarray:
    """Returns the contour of a wavy brush stroke, [64, 2], which bends to both sides."""
    along = np.linspace(-1, 1, 32)
    # More than a whole wave, so that no stroke has the single bend of a crescent.
    phase = math.pi * random.uniform(1.0, 1.5) * along + random.uniform(-0.4, 0.4)
    centre = np.stack((along, random.uniform(0.25, 0.4) * np.sin(phase)), axis=-1)
    tangent = np.gradient(centre, axis=0)
    normal = tangent[:, ::-1] * (-1, 1) / np.linalg.norm(tangent, axis=-1, keepdims=True)
    half = random.uniform(0.14, 0.2) * normal
    return np.concatenate((centre + half, (centre - half)[::-1]))
