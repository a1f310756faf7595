"""How random heads are drawn to stand beside a top set."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Matching:
    """One way of drawing random heads.

    Parameters
    ----------
    draws : the key of the config's ``random_draws`` that says how many sets are drawn so.
    label : how figures and findings write it, after “random heads”.
    where : where the heads are from, if all of them are.
    otherwise : where the rest is from, if some are not.
    """

    draws: str
    label: str
    where: str
    otherwise: str = ""


MATCHINGS = {
    "layer": Matching("matched", "matched by layer", "from the same layers", "the rest from the nearest"),
    "group": Matching(
        "grouped",
        "matched by key-value group",
        "from other key-value groups of the same layers",
        "the rest from the nearest layers",
    ),
    "none": Matching("unmatched", "of any layer", "from any layer"),
}
"""The column ``matching`` of tables → what it means. Where one control is shown or decides, it is the first of these
that there is: as many heads of the same layers are the usual one, of which the others are further checks."""
