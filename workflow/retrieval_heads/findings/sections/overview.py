"""What stands first and last: the executive summary, and the conclusions."""

from retrieval_heads.findings.claims import (
    HEADLINES,
    RULES,
    Outcome,
    every_claim,
    of_rules,
    of_section,
    together,
    warnings,
)
from retrieval_heads.findings.sections.blocks import TITLES, ClaimList, Items, Paragraph, Section, Tables
from retrieval_heads.findings.sections.parts import table
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, listed
from retrieval_heads.tables.select import of_intervention

TABLES: dict[str, dict[str, int]] = {
    "against_random": {},
    "effects": {},
    "guard": {"guard": 1},
    "reliability": {"split_halves": 1},
}

SHOWN = {"conclusions": {"title": "Every claim and what the data say", "needs": {}}}


def summary(study: Study, tables: Tables) -> Section:
    """The claims that matter most, what each outcome means, and what to know before believing them."""
    every = every_claim(tables, study)
    tally = [f"{sum(claim.outcome is outcome for claim in every)} {outcome}" for outcome in Outcome]
    outcomes = (
        "Each claim below is written by a rule from the results. It is supported if the result is significant after "
        f"Holm's correction (at {study.alpha:g}), and contradicted if its interval rules out a difference of "
        f"{100 * study.smallest_effect:g} points ({study.smallest_effect:g} for overlaps) or if the result is "
        "significant the other way. Otherwise there is not enough data. The outcomes of all "
        f"{count(len(every), 'claim')} of these findings are: {listed(tally)}."
    )
    signs = warnings(tables, study)
    before = (
        "What to know before believing the rest:"
        if signs
        else "The rules that look for signs of trouble in the data found none."
    )
    return Section(
        "summary",
        [
            Paragraph(outcomes),
            ClaimList(together(of_rules(HEADLINES, tables, study))),
            Paragraph(before),
            *([Items([claim.sentence for claim in signs])] if signs else []),
        ],
    )


def conclusions(study: Study, tables: Tables) -> Section:
    """Every claim with its outcome, and what limits them all."""
    rows = [
        [claim.statement, str(claim.outcome).capitalize(), TITLES[section]]
        for section in RULES
        for claim in together(of_section(section, tables, study))
    ]
    return Section(
        "conclusions",
        [
            Paragraph("Every claim, and what the data say about it. The numbers are in the section named."),
            *table("conclusions", "Every claim and what the data say", ["Claim", "Outcome", "Section"], rows),
            Paragraph("What limits all of this:"),
            Items(_limits(study, tables)),
        ],
    )


def _limits(study: Study, tables: Tables) -> list[str]:
    tables = of_intervention(tables, study.headline)
    effects, controls, found = tables["effects"], tables["against_random"], []
    if len(effects) and effects["documents"].isna().all():
        found.append(
            "Outcomes of single prompts are not known. Intervals come from counts and take prompts as independent, "
            "though prompts of one document, and the same prompt at several lengths, are not: intervals are too narrow "
            "rather than too wide. The units of the tests are configurations, which share documents as well."
        )
    elif len(effects):
        found.append(f"Accuracy is measured on {count(effects['documents'].max(), 'test document')}.")
    if len(effects) and effects["guess"].isna().all():
        found.append(
            "What the model answers without the document is not known, so guessing is not told from retrieval."
        )
    if len(effects) and ("guard" not in tables or tables["guard"].empty):
        found.append(
            "What ablation does to language was not measured, so lost retrieval is not told from a broken model."
        )
    draws, single = (controls["draws"].max(), (controls["draws"] == 1).all()) if len(controls) else (0, False)
    found.append(
        f"Random heads were drawn {'once' if single else f'{draws} times at most'} for each top set."
        if draws
        else "No random heads were ablated, so it is not known what ablating any heads would cost."
    )
    for matching, lacking in (("layer", "others"), ("group", "groups without any")):
        if (controls.loc[controls["matching"] == matching, "matched"] < 1).any():
            found.append(
                f"Some random heads that were {MATCHINGS[matching].label} are from the nearest layers instead, as the "
                f"layers of the top heads have too few {lacking}."
            )
    if len(controls) and (controls["matching"] == "none").all():
        found.append(
            "Random heads were drawn from any layer, so what is due to the top heads is not told from what is due to "
            "their layers."
        )
    if "reliability" not in tables:
        found.append("There are no rankings from halves of the documents, so noise in the rankings is not measured.")
    return found
