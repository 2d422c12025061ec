"""Guided Integrated Gradients in plain NumPy, feature by feature, as its authors describe it.

Written from the published algorithm (Kapishnikov et al., 2021, arXiv:2106.09788, section 4, and
the authors' bound on the distance to the straight line); it shares no code and no idea with the
implementation under test: points instead of positions, quantiles by sorting, one row at a time.
"""

import numpy as np

_CLOSE = 1e-9


def guided_ig(inputs, start, gradient, steps, fraction, max_distance):
    """The attributions (left rule) and the points of the path; `gradient(point)` per point."""
    inputs, start = np.asarray(inputs, np.float64), np.asarray(start, np.float64)
    way = inputs - start
    total = np.abs(way).sum()
    point, attributions, points = start.copy(), np.zeros_like(start), [start.copy()]
    for step in range(1, steps + 1):
        alpha = step / steps
        lowest, highest = max(alpha - max_distance, 0.0), min(alpha + max_distance, 1.0)
        behind, ahead = start + lowest * way, start + highest * way
        steepness = np.abs(gradient(point))
        previous = point
        point = _one_step(previous, inputs, behind, ahead, total * (1 - alpha), steepness, fraction)
        attributions += (point - previous) * np.where(point == previous, 0, gradient(previous))
        points.append(point)
    return attributions, points


def _one_step(point, inputs, behind, ahead, goal, steepness, fraction):
    direction = np.sign(inputs - point)
    point = np.where((behind - point) * direction > 0, behind, point)
    for _ in range(10 * point.size):
        distance = np.abs(inputs - point).sum()
        if np.isclose(distance, goal, rtol=_CLOSE, atol=_CLOSE):
            return point
        key = np.where((ahead - point) * direction <= 0, np.inf, steepness)
        threshold = np.sort(key)[int(np.floor(fraction * (key.size - 1)))]
        selected = (key <= threshold) & np.isfinite(key)
        reach = np.abs(ahead - point)[selected].sum()
        share = (distance - goal) / reach if reach > 0 else np.inf
        if share <= 1:
            point = point.copy()
            point[selected] += share * (ahead - point)[selected]
            return point
        point = np.where(selected, ahead, point)
    raise AssertionError("the step does not end")
