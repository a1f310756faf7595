"""What stands first and last: the executive summary, and the conclusions."""

from retrieval_heads.findings.claims import RULES, Claim, of_section, together, warnings
from retrieval_heads.findings.sections.answer import answer
from retrieval_heads.findings.sections.blocks import (
    PARTS,
    Block,
    ClaimRow,
    ClaimTable,
    Items,
    MapBlock,
    Paragraph,
    Section,
    Signs,
    Tables,
)
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count
from retrieval_heads.tables.select import of_intervention

TABLES: dict[str, dict[str, int]] = {
    "against_random": {},
    "effects": {},
    "guard": {"guard": 1},
    "reliability": {"split_halves": 1},
}

SHOWN = {"conclusions": {"title": "Every claim and what the data say", "needs": {}}}


def summary(study: Study, tables: Tables) -> Section:
    """The answer, where the top heads are, signs of trouble, and every claim with its outcome and effect."""
    by_section = {section: of_section(section, tables, study) for section in RULES}
    every = [claim for claims in by_section.values() for claim in claims]
    section_of = {claim.rule: section for section, claims in by_section.items() for claim in claims}
    signs = [(claim, section_of[claim.rule]) for claim in warnings(tables, study)]
    matters = f"{100 * study.smallest_effect:g} points ({study.smallest_effect:g} for overlaps)"
    blocks: list[Block] = [
        answer(study, tables, every, len(signs)),
        MapBlock("head_map", "Map of all heads", small=True),
        Signs(signs),
        Paragraph(
            "Each claim is written by a rule from the results. It is supported if the result is significant after "
            f"Holm's correction (at {study.alpha:g}). It is contradicted if its interval rules out a difference of "
            f"{matters}, or if the result is significant the other way. Otherwise there is not enough data."
        ),
    ]
    return Section("summary", [*blocks, *_claim_table(by_section)])


def _claim_table(by_section: dict[str, list[Claim]]) -> list[ClaimTable]:
    parts = {
        part: [ClaimRow(claim, key) for key in titles for claim in together(by_section.get(key, []))]
        for part, titles in PARTS.items()
    }
    parts = {part: rows for part, rows in parts.items() if rows}
    return [ClaimTable("conclusions", "Every claim and what the data say", parts)] if parts else []


def conclusions(study: Study, tables: Tables) -> Section:
    """What limits every claim."""
    return Section(
        "conclusions",
        [
            Paragraph("What the data say about every claim stands at the top of the findings ({table:conclusions})."),
            Paragraph("What limits all of this:"),
            Items(_limits(study, tables)),
        ],
    )


def _limits(study: Study, tables: Tables) -> list[str]:
    tables = of_intervention(tables, study.headline)
    effects, controls, found = tables["effects"], tables["against_random"], []
    if len(effects) and effects["documents"].isna().all():
        found.append(
            "Outcomes of single prompts are not known, so intervals come from counts and take prompts as independent. "
            "Prompts of one document, or one prompt at several lengths, are not: intervals are too narrow rather than "
            "too wide. The units of the tests are configurations, which share documents as well."
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
                f"Some random heads that were {MATCHINGS[matching].label} are from the nearest layers instead: those "
                f"of the top heads have too few {lacking}."
            )
    if len(controls) and (controls["matching"] == "none").all():
        found.append(
            "Random heads were drawn from any layer, so what is due to the top heads is not told from what is due to "
            "their layers."
        )
    if "reliability" not in tables:
        found.append("There are no rankings from halves of the documents, so noise in the rankings is not measured.")
    return found
