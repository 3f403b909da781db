"""What do vectors group by? Shape, color, background: measured on pictures whose properties are known."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sharing:
    """How often a picture and the one nearest to it share a property.

    Parameters
    ----------
    share : float
        How often they do.
    chance : float
        How often a picture and a random one that might have been the nearest do.
    matched : float
        The same with a random one of the group that the nearest is of. Nearest to a lemon may be a banana for its
        surface, and then it is yellow anyway: only a share above `matched` is the property's own doing.
    """

    share: float
    chance: float
    matched: float


def shared_with_nearest(
    vectors: np.ndarray, values: Sequence[Hashable], groups: Sequence[Hashable] | None = None
) -> Sharing:
    """Measure how often the nearest image of another group has the same value.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (n, dim)
        Of unit length.
    values : sequence, length n
        The images' values of one factor, such as their colors.
    groups : sequence, length n, optional
        The images' groups, such as their categories, at least two different; by default each image is one of its own.
    """
    of = np.arange(len(vectors)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    value = np.asarray(values)
    same, other = value[:, None] == value, of[:, None] != of
    nearest = np.where(other, vectors @ vectors.T, -np.inf).argmax(1)
    peers = of[nearest][:, None] == of
    return Sharing(
        share=float(same[np.arange(len(value)), nearest].mean()),
        chance=float(((same & other).sum(1) / other.sum(1)).mean()),
        matched=float(((same & peers).sum(1) / peers.sum(1)).mean()),
    )
