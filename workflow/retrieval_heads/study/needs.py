"""What a study has to show: how many values of each dimension, and which results a study may have or lack."""

from collections.abc import Mapping, Sized

from retrieval_heads.errors import StudyError
from retrieval_heads.study.controls import CONTROLS, control
from retrieval_heads.study.dimensions import DIMENSION, PLAIN, described
from retrieval_heads.study.interventions import (
    ablated_lengths,
    ablated_variants,
    guarded_interventions,
    interventions,
)
from retrieval_heads.study.modes import twin_modes
from retrieval_heads.study.yardstick import yardstick_modes


def available(config: Mapping) -> dict[str, list]:
    """All that a figure or table of the findings may need several of, with what a study has of it.

    Parameters
    ----------
    config : with all defaults filled in.

    Returns
    -------
    The values of each dimension, and ``category`` (of questions), ``import`` (lists of heads), ``ablated_length``
    (context lengths at which heads are ablated), ``documents`` (the splits of a study that asks models itself),
    ``split_halves`` (halvings of the documents by which reliability is measured), ``guard`` (interventions under which
    prose is read), ``yardstick`` (what replaces a head's output where the effect of each is measured),
    ``twin_yardstick`` (what of that comes from the twin of a prompt), ``other_sets`` (the kinds of sets of heads made
    from top sets that are ablated), and each control by its name.
    """
    published = config["published"]
    return {
        **{name: described(name).values(config) for name in (*DIMENSION, "category", "import")},
        "ablated_length": config["prompts"]["context_lengths"] if published else ablated_lengths(config),
        "documents": [] if published else ["train", "test"],
        "split_halves": [] if published else list(range(config["analysis"]["split_halves"])),
        "guard": guarded_interventions(config),
        "yardstick": yardstick_modes(config),
        "other_sets": _other_sets(config),
        **{name: [name] * (control(config, name) is not None) for name in CONTROLS},
        "twin_yardstick": [mode for mode in yardstick_modes(config) if mode in twin_modes()],
    }


def _other_sets(config: Mapping) -> list[str]:
    every = interventions(config)
    of_plain = any(ablated_variants(config, name) != [PLAIN] for name in every)
    without = any(one["without_induction"] for one in every.values())
    return ["plain"] * of_plain + ["without_induction"] * without


def meets(needs: Mapping[str, int], values: Mapping[str, Sized], where: str) -> bool:
    """Whether a study has as many values of each dimension as something needs to show anything.

    Parameters
    ----------
    needs : the least number of values of each dimension.
    values : what the study has, from :func:`available`.
    where : what declares the needs, for the message.

    Raises
    ------
    StudyError
        when a name is none of those that studies have values of.
    """
    for name in needs:
        if name not in values:
            raise StudyError(f"{where}: {name} is nothing that studies have values of; known are {', '.join(values)}.")
    return all(len(values[name]) >= count for name, count in needs.items())
