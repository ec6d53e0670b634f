"""The Pareto front: what no other beats on one count without losing on the other."""

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]], lower_x_is_better: bool) -> list[bool]:
    """Returns for each point (x, y) whether it is on the front; a higher y is always better.

    A point is on the front if no other is at least as good in both and better in one. Equal points
    are on it together.
    """
    sign = 1 if lower_x_is_better else -1
    # From the best x on; among equal x from the highest y: each need only beat the best y so far.
    order = sorted(range(len(points)), key=lambda i: (sign * points[i][0], -points[i][1]))
    on_front = [False] * len(points)
    best = None
    for i in order:
        if best is None or points[i][1] > best[1] or points[i] == best:
            best = points[i]
            on_front[i] = True
    return on_front
