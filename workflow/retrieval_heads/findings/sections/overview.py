"""What stands first and last: the executive summary, and the conclusions."""

from retrieval_heads.findings.claims import HEADLINES, RULES, Outcome, about, claims, warnings, written
from retrieval_heads.findings.sections.blocks import TITLES, Findings, Items, Paragraph, Section, Tables
from retrieval_heads.findings.sections.parts import table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count
from retrieval_heads.tables.select import of_intervention

TABLES = {"conclusions": {"title": "Every claim and what the data say", "needs": {}}}


def summary(study: Study, tables: Tables) -> Section:
    """The claims that matter most, what each outcome means, and what to know before believing them."""
    every = claims(tables, study)
    tally = ", ".join(f"{sum(claim.outcome is outcome for claim in every)} {outcome}" for outcome in Outcome)
    how = (
        "Each sentence is written by a rule from the results below. Supported takes a result that is significant after "
        f"correction (Holm, {study.alpha:g}); contradicted takes an interval that rules out a difference of "
        f"{100 * study.smallest_effect:g} points "
        f"({study.smallest_effect:g} for overlaps), or a significant result the other way; anything else is called not "
        f"enough data. Of {count(len(every), 'claim')} in this report: {tally}."
    )
    signs = warnings(tables, study)
    before = (
        "What to know before believing the rest:"
        if signs
        else "None of the rules that look for signs of trouble in the data found one."
    )
    return Section(
        "summary",
        [
            Paragraph(how),
            Findings(written(HEADLINES, tables, study)),
            Paragraph(before),
            *([Items([claim.sentence for claim in signs])] if signs else []),
        ],
    )


def conclusions(study: Study, tables: Tables) -> Section:
    """Every claim with its outcome, and what limits them all."""
    rows = [
        [claim.statement, str(claim.outcome).capitalize(), TITLES[section]]
        for section in RULES
        for claim in about(section, tables, study)
    ]
    return Section(
        "conclusions",
        [
            Paragraph("What was claimed, and what the data say; the numbers stand in the section named."),
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
            "though prompts of one document, and the same prompt at several lengths, are not: they are too narrow "
            "rather than too wide. The units of the tests are configurations, which share documents as well."
        )
    elif len(effects):
        found.append(f"Accuracy is measured on {count(effects['documents'].max(), 'test document')}.")
    if len(effects) and effects["guess"].isna().all():
        found.append("What the model answers without the document is not known, so neither is what guessing gives.")
    if len(effects) and "guard" not in tables:
        found.append(
            "With heads ablated nothing but questions was asked, so lost retrieval is not told from a broken model."
        )
    draws, single = (controls["draws"].max(), (controls["draws"] == 1).all()) if len(controls) else (0, False)
    found.append(
        f"Random heads were drawn {'once' if single else f'{draws} times at most'} for each top set."
        if draws
        else "No random heads were cut, so nothing tells what cutting any heads would cost."
    )
    if (controls["matched"] < 1).any():
        found.append(
            "Not all random heads that were matched by layer are from the layers of the top heads, which have too few "
            "others; the rest are from the nearest layers."
        )
    if len(controls) and not (controls["matching"] == "layer").any():
        found.append(
            "Random heads were drawn from any layer: what is due to the layers of the top heads is not told apart."
        )
    if "reliability" not in tables:
        found.append("There are no rankings from halves of the documents, so noise in the rankings is not measured.")
    return found
