"""Groups of inputs: checked, found as connected parts, written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import TypeAlias

from torch import Tensor

from edgewise._errors import ConfigError

Group: TypeAlias = tuple[int, ...]
Groups: TypeAlias = tuple[Group, ...]


def check_groups(groups: Sequence[Sequence[int]], count: int) -> Groups:
    """Check groups that the user names."""
    try:
        parts = tuple(tuple(index(i) for i in group) for group in groups)
    except TypeError as error:
        raise ConfigError(
            f"A group is a sequence of numbers of inputs, such as [0, 2], got {list(groups)}."
        ) from error
    flat = [i for part in parts for i in part]
    if not all(parts) or len(set(flat)) < len(flat) or any(not 0 <= i < count for i in flat):
        raise ConfigError(
            f"Groups are inputs from 0 to {count - 1}, each in one group at most, none empty. "
            f"Got {[list(part) for part in parts]}."
        )
    return parts


def components(inputs: Iterable[int], tied: Tensor) -> Groups:
    """The connected parts of a graph, by their least inputs."""
    left, groups = sorted(inputs), []
    while left:
        part = [left.pop(0)]
        for i in part:
            part += [k for k in left if bool(tied[i, k])]
            left = [k for k in left if k not in part]
        groups.append(tuple(sorted(part)))
    return tuple(groups)


def without(scores: Tensor, idle: Group) -> Tensor:
    """Scores of pairs, zero on the diagonal and for inputs that do not matter."""
    scores = scores.clone().fill_diagonal_(0)
    scores[list(idle)] = 0
    scores[:, list(idle)] = 0
    return scores


def show(groups: Groups) -> str:
    """Write groups down: {0} {1, 2}."""
    return " ".join("{" + ", ".join(map(str, group)) + "}" for group in groups)
