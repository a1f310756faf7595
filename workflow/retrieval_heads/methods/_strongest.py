"""Methods that ask where a row's strongest key is: what they keep of a row, and by how much it is decided."""

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


def hits(strongest: Tensor, hit: Tensor) -> tuple[Tensor, float]:
    """Whether the strongest key of each row is a hit, and by how much the closest of these choices is decided.

    Of two equally strong keys both must be hits: which of them comes first is their place, and no look of the head's.

    Parameters
    ----------
    strongest : from :func:`two_strongest`, shape (…, 4).
    hit : whether each of the two keys is a hit, shape (…, 2).

    Returns
    -------
    Booleans (…). And the smallest lead, in ln of attention, of a strongest key over the next where one of the two alone
    is a hit; infinite if there is no such row.
    """
    first, second = strongest[..., 2:].unbind(-1)
    one, other = hit.unbind(-1)
    found = one & (other | (first > second))
    contested = one != other
    if not contested.any():
        return found, math.inf
    nearest = (second[contested] / first[contested]).nan_to_num(1.0).max().item()
    return found, -math.log(nearest) if nearest > 0 else math.inf
