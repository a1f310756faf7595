"""Methods that ask where a row's strongest key is: what they keep of a row, and how close it was."""

import math

import torch
from torch import Tensor


def two_strongest(rows: Tensor) -> Tensor:
    """The two strongest keys of attention rows (…, K): their positions, then their attention; (…, 4) in float32.

    All in one tensor, which holds positions up to 2^24 exactly. Of equal keys it may have any two.
    """
    two = rows.topk(2)
    return torch.cat([two.indices, two.values], -1)


def positions(strongest: Tensor) -> Tensor:
    """The positions, (…, 2), of what :func:`two_strongest` gives."""
    return strongest[..., :2].long()


def hits(strongest: Tensor, hit: Tensor) -> Tensor:
    """Whether the strongest key of each row is a hit, (…) boolean.

    Of two equally strong keys both must be hits: which of them comes first is their place, and no look of the head's.

    Parameters
    ----------
    strongest : from :func:`two_strongest`, shape (…, 4).
    hit : whether each of the two keys is a hit, shape (…, 2).
    """
    return hit[..., 0] & (hit[..., 1] | (lead(strongest) > 0))


def margin(strongest: Tensor, hit: Tensor) -> float:
    """By how much the closest hit or miss is decided: the smallest lead where one of the two keys alone is a hit.

    Parameters
    ----------
    strongest, hit : as of :func:`hits`.

    Returns
    -------
    In ln of attention. Infinite if no row has such keys.
    """
    contested = lead(strongest)[hit[..., 0] != hit[..., 1]]
    return contested.min().item() if contested.numel() else math.inf


def lead(strongest: Tensor) -> Tensor:
    """How far the strongest key leads the next, in ln of attention, (…): infinite if that has no attention at all."""
    first, second = strongest[..., 2:].unbind(-1)
    return (first.log() - second.log()).where(first > second, 0)
