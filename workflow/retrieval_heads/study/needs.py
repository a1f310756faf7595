"""What a study has to show: how many values of each dimension, and which results a study may have or lack."""

from collections.abc import Mapping

from retrieval_heads.study.dimensions import DIMENSION, described
from retrieval_heads.study.interventions import ablated_lengths


def available(config: Mapping) -> dict[str, list]:
    """All that a figure or table of the findings may need several of, with what a study has of it.

    Parameters
    ----------
    config : with all defaults filled in.

    Returns
    -------
    The values of each dimension, and ``category`` (of questions), ``import`` (lists of heads), ``ablated_length``
    (context lengths at which heads are ablated), ``documents`` (the splits of a study that asks models itself) and
    ``split_halves`` (halvings of the documents by which reliability is measured).
    """
    published = config["published"]
    return {
        **{name: described(name).values(config) for name in (*DIMENSION, "category", "import")},
        "ablated_length": config["prompts"]["context_lengths"] if published else ablated_lengths(config),
        "documents": [] if published else ["train", "test"],
        "split_halves": [] if published else list(range(config["analysis"]["split_halves"])),
    }
