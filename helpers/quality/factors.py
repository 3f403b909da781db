"""What do vectors group by: shape, color or background? Measured on pictures whose properties are known."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sharing:
    """How often a picture and the picture nearest to it share a property.

    Parameters
    ----------
    share : float
        How often they do, 0 to 1.
    chance : float
        Share expected by chance: a random picture of another group has the same value.
    matched : float
        Share expected if only the nearest picture's group mattered: a random picture of that group has the same value.
        A banana may be nearest to a lemon for its surface, and it is yellow anyway: only a share above `matched` comes
        from the property itself.
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
        The images' values of one property, such as their colors.
    groups : sequence, length n, optional
        The images' groups, such as their categories, at least two different; by default each image is its own group.
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
