"""The findings of eleven methods: as readable as those of three, and with nothing left out."""

import re
from itertools import combinations

import numpy as np
import pytest
from test_rendering import text_of

from browser import NEEDS_BROWSER, titled
from made_tables import (
    ELEVEN_METHODS,
    TEMPLATES,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_reliability,
    make_study,
)
from retrieval_heads.findings import claims, rendering
from retrieval_heads.findings.claims.outcome import Claim, Family, Outcome, together
from retrieval_heads.findings.sections import ClaimList, Items, Paragraph, TableBlock
from retrieval_heads.study.wording import MANY, decimal

pytestmark = pytest.mark.thorough

STUDY = make_study(methods=tuple(ELEVEN_METHODS), levels=(5, 20))
LABELS = [method["label"] for method in ELEVEN_METHODS.values()]

LONGEST, WIDEST, ROWS_OF_A_METHOD = 60, 12, 4


@pytest.fixture(scope="module")
def tables():
    drops = {method: 0.004 + 0.003 * place for place, method in enumerate(ELEVEN_METHODS)}
    ablation = make_ablation(STUDY, top=lambda method, k: 0.95 - drops[method] * k)
    made = analyse(STUDY, make_rankings(STUDY, 10, 8, shared=0.4), ablation, make_reliability(STUDY))
    return {**made, "dataset_counts": make_counts(STUDY)}


@pytest.fixture(scope="module")
def built(tables):
    return rendering.build(STUDY, tables, {}, TEMPLATES)


def texts(built):
    """What is read as it stands, with its section: not what a reader unfolds."""
    for section in built.sections:
        for block in section.blocks:
            match block:
                case Paragraph(text):
                    yield section.key, text
                case Items(found):
                    yield from ((section.key, text) for text in found)
                case ClaimList(found):
                    yield from ((section.key, claim.sentence) for claim in found)


def test_no_sentence_is_long_or_names_many_methods(built):
    for section, text in texts(built):
        for sentence in re.split(r"(?<=[.;])\s+", re.sub(r"\{\w+:\w+\}", "", text)):
            assert len(sentence.split()) <= LONGEST, f"{section}: {sentence}"
            named = [label for label in LABELS if re.search(rf"\b{label}\b", sentence)]
            assert len(named) <= MANY + 1, f"{section}: {sentence}"


def test_no_table_is_wide_or_has_a_row_for_every_two_methods(built):
    for section in built.sections:
        for block in section.blocks:
            if isinstance(block, TableBlock):
                assert len(block.header) <= WIDEST, block.name
                assert len(block.rows) <= ROWS_OF_A_METHOD * len(LABELS), block.name


def test_summed_up_claims_are_about_each_method_once(tables):
    every = [claim for claim in claims.every_claim(tables, STUDY) if claim.family]
    families = {(claim.rule, claim.family) for claim in every}
    assert len(families) >= 5
    for rule, family in families:
        if rule in ("some_heads_are_needed_and_carry_nothing", "one_method_is_best"):
            continue  # these are about all methods at once
        members = [claim for claim in every if (claim.rule, claim.family) == (rule, family)]
        pairs = list(combinations(LABELS, 2))
        assert len(members) == len(pairs if rule == "methods_differ_beyond_noise" else LABELS)
        found = together(members)
        assert sorted(part.about for claim in found for part in claim.parts) == sorted(one.about for one in members)
        assert [claim.outcome for claim in found] == [o for o in Outcome if any(one.outcome is o for one in members)]
        for claim in found:
            assert {part.outcome for part in claim.parts} == {claim.outcome}


def family_of(*outcomes):
    family = Family("A method works")
    return [
        Claim("works", f"{label} works", outcome, f"{label}: {outcome}.", family, label)
        for label, outcome in zip(LABELS, outcomes, strict=False)
    ]


YES, NO, OPEN = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("outcomes", "sentences"),
    [
        ([YES] * 6, ["A method works. This holds for each of 6 methods."]),
        (
            [YES] * 6 + [NO],
            [
                "A method works. This holds for 6 of 7 methods (all but Positional copy).",
                "A method works. This is contradicted for 1 of 7 methods (Positional copy).",
            ],
        ),
        (
            [OPEN, YES, OPEN, YES, NO, YES],
            [
                "A method works. This holds for 3 of 6 methods (Wu24, Direct logit and Attention contrast).",
                "A method works. This is contradicted for 1 of 6 methods (LOCOS).",
                "A method works. There is not enough data on this for 2 of 6 methods (Summed attention and QRHead).",
            ],
        ),
    ],
)
def test_many_claims_are_summed_up_by_outcome(outcomes, sentences):
    assert [claim.sentence for claim in together(family_of(*outcomes))] == sentences


def test_few_claims_stay_as_they_are_and_others_keep_their_places():
    few = family_of(YES, NO, OPEN, YES, NO)
    assert together(few) == few
    alone = Claim("alone", "It stands alone", YES, "It stands alone.")
    assert [claim.rule for claim in together([alone, *family_of(*[YES] * 11), alone])] == ["alone", "works", "alone"]


def test_both_forms_tell_every_claim(built, tables, tmp_path):
    text = rendering.markdown(built).replace("\\", "")
    page = text_of(rendering.html(built, tmp_path))
    for claim in claims.every_claim(tables, STUDY):
        assert claim.sentence in text and claim.sentence in page
    assert text.count("<details>") == text.count("</details>") == page.count("Each of them") > 5


def test_of_all_pairs_of_methods_the_nearest_and_the_farthest_are_told(built, tables):
    pairs = tables["overlap"]
    means = pairs[pairs["dimension"] == "method"].groupby(["a", "b"])["jaccard"].mean()
    assert len(means) == 55
    (text,) = (text for section, text in texts(built) if section == "agreement" and text.startswith("Of 55 pairs"))
    for names, value in ((means.idxmax(), means.max()), (means.idxmin(), means.min())):
        assert decimal(value) in text and all(ELEVEN_METHODS[name]["label"] in text for name in names)
    (table,) = (
        block for section in built.sections for block in section.blocks if getattr(block, "name", "") == "method_pairs"
    )
    for method, row in zip(ELEVEN_METHODS, table.rows, strict=True):
        others = {(a if b == method else b): value for (a, b), value in means.items() if method in (a, b)}
        nearest = max(others, key=others.get)
        cells = dict(zip(table.header, row, strict=True))
        assert cells["Nearest method"] == ELEVEN_METHODS[nearest]["label"]
        assert cells["Jaccard, nearest"] == decimal(others[nearest])
        assert float(cells["Jaccard, all others"]) == pytest.approx(np.mean(list(others.values())), abs=6e-4)


WATCH = """<script type="module">
await new Promise((done) => setTimeout(done, 1500));
const all = (selector) => [...document.querySelectorAll(selector)];
const visible = () => all(".panel").filter((panel) => panel.offsetParent).length;
const found = [visible(), all(".controls input").length];
all(".controls input")[3].click();
found.push(visible());
await new Promise((done) => setTimeout(done, 500));
const wide = all(".plot").filter((plot) => plot.offsetParent && plot.scrollWidth > plot.clientWidth + 1).length;
document.title = JSON.stringify([...found, wide]);
</script>"""


@NEEDS_BROWSER
def test_methods_can_be_left_out_of_the_map(built, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(rendering.map_page(built).replace("</body>", f"{WATCH}</body>"), encoding="utf-8")
    assert titled(page) == [11, 11, 10, 0]
