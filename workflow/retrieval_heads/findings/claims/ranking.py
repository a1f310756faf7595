"""What the report says of rankings: what they share, and what tells them apart."""

import pandas as pd

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.overlap import grids, summarise, top_heads
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.statistics import holm
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.findings.claims.outcome import (
    MIN_UNITS,
    Claim,
    Outcome,
    Tables,
    decide,
    decide_all,
    in_words,
    of_tests,
)
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, decimal, listed, p_value, percent, plain
from retrieval_heads.tables.heads import Grid, by_grid, head_name, of_grid
from retrieval_heads.tables.tests import (
    AGREEMENT_BY_LENGTH,
    CONSENSUS,
    HEAD_OVERLAP,
    LAYER_OVERLAP,
    LENGTH_BREAK,
    MODEL_RANKS,
    NOISE,
    SCORE_GAP,
    SPECIALISTS,
)

BREAK = 0.2
"""A fall of the Jaccard between two neighbouring lengths, against the other neighbours, that is no gradual change."""


def top_heads_are_shared(tables: Tables, study: Study) -> list[Claim]:
    """Rankings that differ in one dimension have more top heads in common than chance gives; a claim per dimension."""
    return [claim for dimension in DIMENSIONS for claim in _shared(tables, study, dimension)]


def methods_agree(tables: Tables, study: Study) -> list[Claim]:
    """The methods have more top heads in common than chance gives."""
    return _shared(tables, study, "method")


def _pairs(tables: Tables, dimension: str) -> pd.DataFrame:
    """The pairs along a dimension of which both top sets have heads."""
    pairs = tables["overlap"][tables["overlap"]["dimension"] == dimension]
    return pairs.dropna(subset="jaccard")


def _each_grid(pairs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Pairs by the grid of their models, with what to call it: of other grids, other overlaps are due to chance."""
    grids = list(by_grid(pairs))
    return [(f" in models of {grid} heads" if len(grids) > 1 else "", rows) for grid, rows in grids]


def imported_heads_are_top_heads(tables: Tables, study: Study) -> list[Claim]:
    """A method's rankings share top heads with a list from elsewhere; a claim per list and method."""
    if (found := tables.get("imports")) is None:
        return []
    return [
        _beyond_chance(
            "imported_heads_are_top_heads",
            f"Rankings by {study.label('method', method)} and {study.label('import', name)}",
            rows,
            study,
        )
        for name in study.in_config_order("import", found["import"])
        for method in study.in_config_order("method", found.loc[found["import"] == name, "method"])
        if len(rows := found[(found["import"] == name) & (found["method"] == method)].dropna(subset="jaccard"))
    ]


def _shared(tables: Tables, study: Study, dimension: str) -> list[Claim]:
    what = f"Rankings that differ only in their {dimension.replace('_', ' ')}"
    return [
        _beyond_chance("top_heads_are_shared", f"{what}{where}", rows, study)
        for where, rows in _each_grid(_pairs(tables, dimension))
    ]


def _beyond_chance(rule: str, what: str, pairs: pd.DataFrame, study: Study) -> Claim:
    """Do pairs of rankings agree more than chance? The pairs are a family of Holm's correction."""
    significant = int((holm(pairs["p"]) < study.alpha).sum())
    row = summarise(pairs.assign(all=0), ["all"]).iloc[0]
    numbers = (
        f"mean Jaccard {row['jaccard']:.3f} of the top heads (from {row['lowest']:.3f} to {row['highest']:.3f}), where "
        f"chance gives {row['chance']:.3f}; rank-biased overlap {row['rbo']:.3f}, where chance gives "
        f"{row['rbo_chance']:.3f}; {significant} of {count(len(pairs), 'pair')} beyond chance "
        "(hypergeometric test, Holm)"
    )
    if row["jaccard"] <= row["chance"]:
        outcome, verdict = Outcome.CONTRADICTED, "agree no more than chance"
    elif significant > len(pairs) / 2:
        outcome, verdict = Outcome.SUPPORTED, "agree more than chance"
    else:
        outcome, verdict = Outcome.UNDECIDED, "are not shown to agree more than chance in most pairs"
    return Claim(rule, f"{what} agree more than chance", outcome, f"{what} {verdict}: {numbers}.")


def methods_differ_beyond_noise(tables: Tables, study: Study) -> list[Claim]:
    """Two methods agree less than each agrees with itself on the other half of the documents."""
    found = []
    for names, pairs in _pairs(tables, "method").groupby(["a", "b"]):
        a, b = study.in_config_order("method", names)
        jaccard = listed([f"{rows['jaccard'].mean():.3f}{where}" for where, rows in _each_grid(pairs)])
        both = f"{study.label('method', a)} and {study.label('method', b)}"
        statement = f"{both} disagree beyond noise"
        rows = of_tests(tables, NOISE)
        rows = rows[rows["a"].isin([a, b]) & rows["b"].isin([a, b])]
        if rows.empty:
            sentence = (
                f"How much of the disagreement of {both} (mean Jaccard {jaccard}) is noise cannot be "
                "told: there are no rankings from halves of the documents."
            )
            found.append(Claim("methods_differ_beyond_noise", statement, Outcome.UNDECIDED, sentence))
            continue
        row = rows.iloc[0]
        # The other way round: how much less than its own reliability a method agrees with another.
        turned = row.to_dict() | {
            "difference": -row["difference"],
            "difference_low": -row["difference_high"],
            "difference_high": -row["difference_low"],
        }
        outcome = decide(turned, study)
        verdict = {
            Outcome.SUPPORTED: "they disagree beyond noise",
            Outcome.CONTRADICTED: "they disagree no more than noise makes them",
            Outcome.UNDECIDED: "this does not tell their disagreement from noise",
        }[outcome]
        sentence = (
            f"The top heads of {both} have a mean Jaccard of {jaccard}. Beyond chance it is "
            f"{decimal(turned['difference'])} ({plain(turned, 'difference')}) below that of two halves of the "
            f"documents under one method; {verdict} ({in_words(row)})."
        )
        found.append(Claim("methods_differ_beyond_noise", statement, outcome, sentence))
    return found


def methods_agree_differently_by_length(tables: Tables, study: Study) -> list[Claim]:
    """The methods agree more at some context lengths than at others, so that a mean over lengths says little."""
    tests = of_tests(tables, AGREEMENT_BY_LENGTH)
    if tests.empty:
        return []
    numbers = listed(
        [
            f"{rows['jaccard'].mean():.3f} at {study.label('context_length', length)}{where}"
            for where, pairs in _each_grid(_pairs(tables, "method"))
            for length, rows in pairs.groupby("context_length")
        ]
    )
    start = f"The mean Jaccard of the top heads of two methods is {numbers}"
    outcome, test = decide_all(tests, study)
    if test is None:
        end = "there are too few pairs of rankings for a test"
    else:
        end = {
            Outcome.SUPPORTED: f"it differs between lengths ({in_words(test)}): a mean over all of them describes none",
            Outcome.CONTRADICTED: f"it is the same at all lengths ({in_words(test)})",
            Outcome.UNDECIDED: f"no difference between lengths is found ({in_words(test)})",
        }[outcome]
    statement = "The methods agree more at some context lengths than at others"
    return [Claim("methods_agree_differently_by_length", statement, outcome, f"{start}; {end}.")]


def categories_share_heads(tables: Tables, study: Study) -> list[Claim]:
    """Q2: questions of one category share more heads than questions of two."""
    claims = _within_and_between(
        tables, study, HEAD_OVERLAP, "categories_share_heads", "share more top heads", "Jaccard of top heads"
    )
    unions = tables["unions"]
    category = study.categories
    pairs = unions[unions["dimension"] == "question"]
    same = pairs[pairs["a"].map(category) == pairs["b"].map(category)]
    between = unions[unions["dimension"] == "category"]
    if claims and len(same) and len(between):
        said = []
        for where, rows in _each_grid(pd.concat([same.sort_values("jaccard"), between])):
            chance = f"{percent(rows['chance'].min())} to {percent(rows['chance'].max())}"
            numbers = [
                f"within {category[row['a']]} {percent(row['jaccard'])}"
                if row["dimension"] == "question"
                else f"between {row['a']} and {row['b']} {percent(row['jaccard'])}"
                for _, row in rows.iterrows()
            ]
            said.append(f"{listed(numbers)}{where}, where chance gives {chance}")
        sentence = (
            f"{claims[0].sentence} Unions of the top heads over all configurations are larger, and share more by "
            f"chance alone: {'; '.join(said)}."
        )
        claims[0] = Claim(claims[0].rule, claims[0].statement, claims[0].outcome, sentence)
    return claims


def categories_share_layers(tables: Tables, study: Study) -> list[Claim]:
    """Q4: questions of one category find their heads in the same layers more than questions of two."""
    return _within_and_between(
        tables,
        study,
        LAYER_OVERLAP,
        "categories_share_layers",
        "have their top heads in the same layers more",
        "overlap of layers",
    )


def _within_and_between(tables: Tables, study: Study, subject: str, rule: str, does: str, measure: str) -> list[Claim]:
    found = []
    for _, row in of_tests(tables, subject, dimension="category").iterrows():
        who = "questions of one category" if row["a"] == "within" else f"{row['a']} questions"
        outcome = decide(row, study)
        verdict = {
            Outcome.SUPPORTED: f"{_start(who)} {does} than questions of different categories",
            Outcome.CONTRADICTED: f"{_start(who)} do not {does} than questions of different categories",
            Outcome.UNDECIDED: f"It is open whether {who} {does} than questions of different categories",
        }[outcome]
        way = "higher" if row["difference"] >= 0 else "lower"
        numbers = (
            f"the mean {measure} beyond chance is {decimal(abs(row['difference']))} {way} (95% interval of the "
            f"difference {plain(row, 'difference')}; {in_words(row)})"
        )
        sentence = f"{verdict}: {numbers}."
        statement = f"{_start(who)} {does} than questions of different categories"
        found.append(Claim(rule, statement, outcome, sentence))
    return found


def _start(words: str) -> str:
    return words[:1].upper() + words[1:]


def all_methods_agree_on_heads(tables: Tables, study: Study) -> list[Claim]:
    """All methods rank some heads high, and more than chance would have it."""
    found = []
    every = head_profiles.select(tables["profiles"])
    for where, rows in _each_grid(of_tests(tables, CONSENSUS)):
        (row,) = (row for _, row in rows.iterrows())
        grid = Grid.of(row)
        group = of_grid(every, grid)
        total = grid.total
        k = study.consensus_k(total)
        heads = head_profiles.consensus(group, k)
        first = told_apart(heads.max(axis=1).to_frame("worst"), ["worst"], [True], 8).index
        names = listed([head_name(*head) for head in first])
        more = f"{len(heads) - len(first)} more" if len(heads) > len(first) else ""
        named = f": {', and '.join(filter(None, (names, more)))}" if names else ""
        methods = count(group["method"].nunique(), "method")
        expected = row["statistic"] - row["effect_size"]
        chance = f"chance gives {expected:.2f} on average ({row['test']}, p {p_value(row['p'])})"
        statement = f"All methods agree on more heads than chance would have it (mean rank below {k}){where}"
        if not len(heads):
            outcome = Outcome.CONTRADICTED
            sentence = f"No head of {total:,}{where} has a mean rank below {k} under each of {methods}; {chance}."
        else:
            outcome = Outcome.SUPPORTED if row["p"] < study.alpha else Outcome.UNDECIDED
            sentence = (
                f"{count(len(heads), 'head')} of {total:,} ({percent(len(heads) / total)}){where} "
                f"{'has' if len(heads) == 1 else 'have'} a mean rank below {k} under each of {methods}{named}; "
                f"{chance}."
            )
        found.append(Claim("all_methods_agree_on_heads", statement, outcome, sentence))
    return found


def questions_have_specialists(tables: Tables, study: Study) -> list[Claim]:
    """There are heads that matter to one question alone, more than chance would have it; a claim per method."""
    found = []
    by_question = head_profiles.select(tables["profiles"], "question")
    for method in study.in_config_order("method", by_question["method"]):
        for where, group in _each_grid(by_question[by_question["method"] == method]):
            if group["value"].nunique() < 2:
                continue
            grid = Grid.of(group.iloc[0])
            total = grid.total
            within, beyond = study.top_k_of(total), study.specialist_k(total)
            name = f"{study.label('method', method)}{where}"
            number = len(head_profiles.specialists(group, within, beyond))
            what = f"a mean rank below {within} for one question and beyond {beyond} for the others"
            tests = of_tests(tables, SPECIALISTS, method=method, **grid._asdict())
            if number == 0:
                outcome, sentence = Outcome.CONTRADICTED, f"{name} gives no head {what}."
            elif tests.empty:
                outcome = Outcome.UNDECIDED
                sentence = f"{name} gives {count(number, 'head')} {what}; a single ranking per question allows no test."
            else:
                row = tests.iloc[0]
                expected = row["statistic"] - row["effect_size"]
                outcome = Outcome.SUPPORTED if row["p"] < study.alpha else Outcome.UNDECIDED
                sentence = (
                    f"{name} gives {count(number, 'head')} {what}; exchanging the questions at random gives "
                    f"{expected:.1f} (permutation test, p {p_value(row['p'])})."
                )
            statement = f"{name} finds heads that matter to one question alone"
            found.append(Claim("questions_have_specialists", statement, outcome, sentence))
    return found


def models_rank_heads_differently(tables: Tables, study: Study) -> list[Claim]:
    """Two models rank heads differently, beyond what exchanging their rankings at random would give."""
    found = []
    agreement = _pairs(tables, "model")
    tests = of_tests(tables, MODEL_RANKS)
    for method in study.in_config_order("method", tests["method"]):
        for _, row in tests[tests["method"] == method].iterrows():
            names = f"{study.label('model', row['a'])} and {study.label('model', row['b'])}"
            name = study.label("method", method)
            both = agreement[agreement["method"] == method]
            both = both[both["a"].isin([row["a"], row["b"]]) & both["b"].isin([row["a"], row["b"]])]
            if row["p_holm"] < study.alpha:
                outcome, verdict = Outcome.SUPPORTED, "rank heads differently"
            elif row["effect_size"] <= 0:
                outcome, verdict = Outcome.CONTRADICTED, "rank heads no more differently than chance"
            else:
                outcome, verdict = Outcome.UNDECIDED, "are not shown to rank heads differently"
            expected = row["statistic"] - row["effect_size"]
            mean = f"{both['jaccard'].mean():.3f}"
            shared = f"; of the top heads they share a mean Jaccard of {mean}" if len(both) else ""
            sentence = (
                f"Under {name}, {names} {verdict}: a head's mean rank differs by {row['statistic']:.1f} places on "
                f"average, where exchanging the models at random gives {expected:.1f} (permutation test, Holm p "
                f"{p_value(row['p_holm'])}){shared}."
            )
            statement = f"{names} rank heads differently under {name}"
            found.append(Claim("models_rank_heads_differently", statement, outcome, sentence))
    return found


def first_heads_stand_out_differently(tables: Tables, study: Study) -> list[Claim]:
    """The first head of some methods stands further above the second than that of others."""
    tests = of_tests(tables, SCORE_GAP)
    if tests.empty:
        return []
    gaps = score_gaps(tables["rankings"]).groupby("method")["gap"].mean()
    methods = study.in_config_order("method", gaps.index)
    numbers = listed([f"{study.label('method', method)} {percent(gaps[method])}" for method in methods])
    statement = "In some methods the first head stands further above the second than in others"
    start = f"The first head's score is above the second's by, on average, {numbers}"
    outcome, test = decide_all(tests, study)
    if test is None:
        end = "there are too few configurations for a test"
    else:
        end = {
            Outcome.SUPPORTED: f"the methods differ ({in_words(test)})",
            Outcome.CONTRADICTED: f"the methods do not differ ({in_words(test)})",
            Outcome.UNDECIDED: f"no difference is found ({in_words(test)})",
        }[outcome]
    return [Claim("first_heads_stand_out_differently", statement, outcome, f"{start}; {end}.")]


def rankings_break_between_lengths(tables: Tables, study: Study) -> list[Claim]:
    """The top heads change between two neighbouring lengths far more than between the others; a claim per method."""
    found = []
    tests = of_tests(tables, LENGTH_BREAK)
    pairs = _pairs(tables, "context_length")
    for method in study.in_config_order("method", tests["method"]):
        rows = tests[(tests["method"] == method) & tests["a"].notna()]
        every = tests[(tests["method"] == method) & tests["a"].isna()]
        differ = every.empty or every.iloc[0]["p_holm"] < study.alpha
        name = study.label("method", method)
        statement = f"The top heads of {name} break between two neighbouring lengths"
        worst = rows.sort_values("difference", kind="stable").iloc[0]
        at, steps = (worst["a"], worst["b"]), list(zip(rows["a"], rows["b"], strict=True))
        numbers = "; ".join(
            _steps(of_grid, at, steps, where) for where, of_grid in _each_grid(pairs[pairs["method"] == method])
        )
        if worst["units"] < MIN_UNITS:
            outcome, sentence = Outcome.UNDECIDED, f"Neighbouring lengths under {name}: {numbers}; too few for a test."
        elif differ and worst["p_holm"] < study.alpha and worst["difference"] <= -BREAK:
            outcome = Outcome.SUPPORTED
            sentence = (
                f"The top heads of {name} change between {_span(at, ' and ')} tokens more than between other "
                f"neighbouring lengths: {numbers} ({in_words(worst)}). Whatever changed there, other than the length, "
                "should be looked for before such rankings are compared across it."
            )
        elif (rows["difference_low"] > -BREAK).all():
            outcome = Outcome.CONTRADICTED
            sentence = f"The top heads of {name} do not break between lengths: {numbers}."
        else:
            outcome = Outcome.UNDECIDED
            sentence = f"No break is shown in the top heads of {name}, nor ruled out: {numbers} ({in_words(worst)})."
        found.append(Claim("rankings_break_between_lengths", statement, outcome, sentence))
    return found


def _steps(pairs: pd.DataFrame, worst: tuple[str, str], steps: list[tuple[str, str]], where: str) -> str:
    """The mean Jaccard of two neighbouring lengths, and those of the others."""
    ends = [frozenset(pair) for pair in zip(pairs["a"], pairs["b"], strict=True)]
    mean = pairs["jaccard"].groupby(ends).mean()
    known = [step for step in steps if frozenset(step) in mean]
    others = listed([f"{mean[frozenset(step)]:.2f} from {_span(step)}" for step in known if step != worst])
    first = f"mean Jaccard {mean[frozenset(worst)]:.2f} from {_span(worst)} tokens" if worst in known else ""
    return f"{first}{', but ' if first and others else ''}{others}{where}"


def _span(pair: tuple[str, str], between: str = " to ") -> str:
    return between.join(f"{int(length):,}" for length in pair)


def top_heads_rest_on_enough_prompts(tables: Tables, study: Study) -> list[Claim]:
    """The scores of all top heads are means over most of the prompts; a claim per method."""
    found = []
    rankings = tables["rankings"]
    most = rankings.groupby(list(DIMENSIONS))["n_samples"].transform("max")
    top = top_heads(rankings, study.top_k)
    few = top[top["n_samples"] < most[top.index] / 2]
    for method in study.in_config_order("method", rankings["method"]):
        name = study.label("method", method)
        ours, weak = top[top["method"] == method], few[few["method"] == method]
        if ours.empty:  # said by top_sets_are_told_apart
            continue
        statement = f"The top heads of {name} are scored on at least half of the prompts"
        samples = most[ours.index].max()
        if samples < MIN_UNITS:
            outcome = Outcome.UNDECIDED
            sentence = f"Under {name} no head was scored on more than {count(samples, 'prompt')}, too few for a mean."
        elif len(weak):
            outcome = Outcome.CONTRADICTED
            least = weak.sort_values(["n_samples", "rank"], kind="stable").iloc[0]
            sentence = (
                f"Under {name}, {percent(len(weak) / len(ours))} of the top heads are scored on fewer than half of the "
                f"prompts that the best-covered head has, for instance {head_name(least['layer'], least['head'])} at "
                f"rank {least['rank']:g} on {count(least['n_samples'], 'prompt')} "
                f"({study.label('question', least['question'])}, "
                f"{study.label('context_length', least['context_length'])}, {study.label('model', least['model'])}); "
                "such ranks are noise as much as signal."
            )
        else:
            outcome = Outcome.SUPPORTED
            sentence = f"Under {name} every top head is scored on at least half of up to {count(samples, 'prompt')}."
        found.append(Claim("top_heads_rest_on_enough_prompts", statement, outcome, sentence))
    return found


def top_sets_are_told_apart(tables: Tables, study: Study) -> list[Claim]:
    """Scores tell as many heads apart as every top set of the study should have; a claim per method and model."""
    found = []
    rankings, effects = tables["rankings"], tables["effects"]
    for model, grid in grids(rankings).items():
        levels = sorted({study.top_k_of(grid.total), *study.levels, *effects.loc[effects["model"] == model, "k"]})
        for method in study.in_config_order("method", rankings.loc[rankings["model"] == model, "method"]):
            rows = rankings[(rankings["model"] == model) & (rankings["method"] == method)]
            last = rows.groupby(["question", "context_length"])["last"]
            sizes = pd.DataFrame({k: last.apply(lambda places, k=k: int((places <= k).sum())) for k in levels})
            where = f"{study.label('method', method)} in {study.label('model', model)}"
            statement = f"{where} tells the heads of every top set apart from the rest"
            short = [k for k in levels if (sizes[k] < k).any()]
            if not short:
                outcome = Outcome.SUPPORTED
                sentence = f"{where} tells the heads of each top set apart from the rest, at {_levels(levels)}."
            else:
                outcome = Outcome.CONTRADICTED
                # Heads that a ranking leaves out tie behind those that it lists.
                none_given = "" if (last.size() == grid.total).all() else ", or none,"
                cases = int((sizes < pd.Series(levels, index=levels)).sum().sum())
                empty = int((sizes == 0).sum().sum())
                none = f"; in {count(empty, 'case')} none are" if empty else ""
                examples = listed([_short(k, sizes[k]) for k in short[:4]])
                sentence = (
                    f"{where} gives equal scores{none_given} to heads that a top set would have to choose between, in "
                    f"{cases} of {count(sizes.size, 'case')} (ranking and level): {examples}{none}. Heads beyond are "
                    f"not told apart from the rest, and {_fate(study)}."
                )
            found.append(Claim("top_sets_are_told_apart", statement, outcome, sentence))
    return found


def _levels(levels: list[int]) -> str:
    return f"{listed([str(k) for k in levels])} heads"


def _short(k: int, sizes: pd.Series) -> str:
    least, most = sizes.min(), sizes.max()
    return f"of the top {k}, {least if least == most else f'{least} to {most}'} are told apart"


def _fate(study: Study) -> str:
    if study.published:
        return "were ablated all the same in the published results, by an order that the scores do not give"
    return "are in no top set"
