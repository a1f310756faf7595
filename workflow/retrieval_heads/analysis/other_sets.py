"""What it costs to ablate sets of heads that are made from a top set: the plain variant's, or those of it that are no
induction heads."""

from collections.abc import Iterator
from itertools import chain

import pandas as pd

from retrieval_heads.analysis.effects import cells, columns, corrected_rows
from retrieval_heads.analysis.outcomes import BASELINE, HeadSet, Outcomes
from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables.other_sets import OTHER_SETS, SOURCES


def compare_other_sets(outcomes: Outcomes) -> pd.DataFrame:
    """Each such set beside the top set at its level, and beside the random heads that were drawn for that.

    A set without induction heads is smaller than the random ones it is held against, and the random heads of another
    variant may be among the plain one's top heads: both make it harder for a set to cost more than random heads, and
    neither easier.

    Parameters
    ----------
    outcomes : of the ablation table.

    Returns
    -------
    The other_sets table, poolings as in effects. P values are corrected over the rows of the same source, pooling and
    matching (:func:`~retrieval_heads.analysis.statistics.corrected`). A set without random heads beside it has no row.
    """
    return corrected_rows(chain.from_iterable(map(_rows, cells(outcomes))), OTHER_SETS, "difference")


def _rows(cell: Outcomes) -> Iterator[dict]:
    for one in cell.sets.of_source(*SOURCES):
        top = HeadSet("method", one.method, k=one.k)
        if top not in cell.sets:
            continue
        for matching, draws in cell.sets.controls(top).items():
            shared = cell.shared(baseline=BASELINE, ablated=one, own=top, random=draws)
            yield {
                **dict.fromkeys(PROMPT),
                **cell.values,
                "source": one.source,
                "method": one.method,
                "k": one.k,
                "size": cell.sets.sizes[one],
                "matching": matching,
                "matched": sum(cell.sets.matched[draw] for draw in draws) / len(draws),
                **columns("baseline", shared.accuracy("baseline")),
                **columns("drop", shared.difference("baseline", "ablated").estimate),
                **columns("own_drop", shared.difference("baseline", "own").estimate),
                **columns("random_drop", shared.difference("baseline", "random").estimate),
                **columns("difference", shared.difference("random", "ablated").estimate),
                "p": shared.paired_p("ablated", "random"),
                "prompts": shared.prompts,
                "documents": shared.documents,
            }
