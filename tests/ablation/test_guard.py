"""What the guard says of a set of heads is what a plain pass over the prose gives without them."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from test_planted_study import CONFIG

import oracle
from made_tables import make_study
from planted import CONSTANT_SIZE, GROUP, HEAD_DIM, Stream, planted_model
from retrieval_heads.ablation import guard
from retrieval_heads.ablation.guard import READ, SCORED, measure_guard, prose_ids
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.ablation.running import ablate_split, leave_open
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.findings.claims import Outcome, language
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.tables import write
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.heads import head_name, parse_head
from tiny_models import MODELS, Numbers, random_ids

PROSE = Path("resources/guard/prose.txt")
IDS = [1, *random_ids(READ + SCORED, seed=3)]
SETS = {0: [], 1: ["L1H2"], 2: ["L0H3", "L1H2"], 3: ["L2H0", "L2H1", "L2H2"]}
WHOLE = Budget(100_000, 100_000)


class Letters:
    """A tokenizer with a token for each letter."""

    def __init__(self, bos=None):
        self.bos_token_id = bos

    def __call__(self, text, add_special_tokens):
        assert not add_special_tokens
        return {"input_ids": list(map(ord, text))}


def head_sets(questions=("q0", "q1"), lengths=(60, 90)):
    rows = [
        {
            "model": "tiny",
            "question": question,
            "context_length": length,
            "variant": "plain",
            "k": k,
            "heads": heads,
            "draw": None,
        }
        | {"size": len(heads), "matched": None}
        | {"source": "method" if k else "baseline", "method": "m" if k else None, "matching": None}
        | {"size": len(heads), "matched": None}
        for length in lengths
        for question in questions
        for k, heads in SETS.items()
    ]
    return pd.DataFrame(rows)


def measure(model, ids=IDS, sets=None, budget=WHOLE, mode="zero", scope="all"):
    sets = head_sets() if sets is None else sets
    return measure_guard(Runner(model, Numbers(), budget), ids, sets, Intervention("one", mode, scope))


@pytest.mark.parametrize("mode", ["uniform", "zero"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2", "gpt_oss"])
def test_it_is_what_a_plain_pass_gives(architecture, scope, mode, tmp_path):
    model = MODELS[architecture]()
    found = measure(model, mode=mode, scope=scope)
    write(found, tmp_path / "guard.parquet", GUARD)
    assert len(found) == 4 * len(SETS) and (found["tokens"] == SCORED).all()
    start = 0 if scope == "all" else 1 + READ  # BOS stands before the 129th token of the prose
    whole = None
    for k, heads in SETS.items():
        logprobs = oracle.plain(model, IDS, [parse_head(head) for head in heads], start, mode).log_softmax(-1)
        wanted = sum(logprobs[at - 1, IDS[at]].item() for at in range(1 + READ, len(IDS))) / SCORED
        whole = wanted if whole is None else whole
        rows = found[found["k"] == k]
        assert rows["logprob"].tolist() == pytest.approx([wanted] * 4, abs=1e-4)
        assert rows["change"].tolist() == pytest.approx([wanted - whole] * 4, abs=1e-4)
    assert found["change"].abs().max() > 1e-3, "the sets make no difference, so the test shows nothing"


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_it_is_what_zeroed_output_projections_give(architecture):
    model = MODELS[architecture]()
    found = measure(model).drop_duplicates("k").set_index("k")["logprob"]
    for k, heads in SETS.items():
        without = oracle.without_heads(model, [parse_head(head) for head in heads])
        wanted = oracle.answer_logprob(without, IDS[: 1 + READ], IDS[1 + READ :]) / SCORED
        assert found[k] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("budget", [(1, 1), (600, 600)])
def test_batches_change_nothing(scope, budget, monkeypatch):
    model = MODELS["llama"]()
    whole, parts = measure(model, scope=scope), measure(model, scope=scope, budget=Budget(*budget))
    assert (whole["logprob"] - parts["logprob"]).abs().max() < 1e-5
    monkeypatch.setattr(guard, "_LOGITS", 1)
    one_by_one = measure(model, scope=scope)
    assert (whole["logprob"] - one_by_one["logprob"]).abs().max() < 1e-5


def test_equal_sets_are_asked_once_and_no_more_logits_held_than_allowed(monkeypatch):
    model, asked, answer = MODELS["llama"](), [], Runner.answer
    monkeypatch.setattr(Runner, "answer", lambda *args, **kw: asked.append(len(args[2])) or answer(*args, **kw))
    turned = head_sets().assign(heads=lambda sets: sets["heads"].map(lambda heads: heads[::-1]), method="other")
    measure(model, sets=pd.concat([head_sets(), turned], ignore_index=True))
    assert asked == [len(SETS)]
    monkeypatch.setattr(guard, "_LOGITS", 2 * (SCORED + 1) * model.config.vocab_size)
    asked.clear()
    measure(model)
    assert asked == [2, 2]


def test_the_prose_begins_as_a_prompt_does():
    text = "".join(chr(100 + i) for i in range(400))
    assert prose_ids(Letters(), text) == list(range(100, 100 + READ + SCORED))
    assert prose_ids(Letters(bos=7), text) == [7, *range(100, 100 + READ + SCORED)]


def test_too_short_a_prose_is_refused():
    with pytest.raises(StudyError, match=r"prose\.txt: this model's tokenizer makes 255 tokens .* needs 256; add"):
        prose_ids(Letters(), "a" * 255)
    assert len(prose_ids(Letters(), "a" * 256)) == 256


def test_the_prose_is_long_enough_for_any_tokenizer_and_none_of_the_haystack():
    text = PROSE.read_text(encoding="utf-8")
    # Even for one that makes a single token of every two words.
    assert len(text.split()) > 2 * (READ + SCORED)
    words, hay = text.lower().split(), " ".join(load_haystack("resources/haystack").lower().split())
    assert not [at for at in range(len(words) - 6) if " ".join(words[at : at + 6]) in hay]


# --- a model whose heads are known ---------------------------------------------------------------------------------

LANGUAGE_HEAD = (4, 0)


def hang_language_on_a_head(model):
    """Gives every word a random logit that only one head takes back: without it the model is broken.

    The logits hang on a part of the residual stream that is otherwise empty; the embedding writes 1 into it, and the
    head, whose values are the same everywhere, −1.
    """
    layer, head = LANGUAGE_HEAD
    attention, empty = model.model.layers[layer].self_attn, Stream.SINK.stop
    with torch.no_grad():
        model.model.embed_tokens.weight[:, empty] = 1
        words = torch.Generator().manual_seed(0)
        model.lm_head.weight[:, empty] = 20 * torch.randn(len(model.lm_head.weight), generator=words)
        values = attention.v_proj.weight.view(-1, HEAD_DIM, Stream.size)[head // GROUP]
        values.zero_()
        values[0, Stream.CONSTANT] = 1 / CONSTANT_SIZE
        out = attention.o_proj.weight.view(Stream.size, -1, HEAD_DIM)
        out[:, head // GROUP * GROUP : (head // GROUP + 1) * GROUP] = 0
        out[empty, head, 0] = -1


@pytest.mark.thorough
def test_lost_retrieval_and_a_broken_model_are_told_apart():
    config = CONFIG | {"documents": CONFIG["documents"] | {"train": 1, "test": 8}}
    questions = {key: config["questions"][key] for key in ("employee_count", "hq_state")}
    documents, text = make_documents(config, 3), PROSE.read_text(encoding="utf-8")
    hay = load_haystack("resources/haystack")
    asked = " ".join(f"{q['text']}{q['answer_prefix']}" for q in questions.values())
    planted = planted_model(" ".join([hay, text, *documents["text"], asked, "\n\nQuestion: N/A\nAnswer:"]))
    hang_language_on_a_head(planted.model)
    builder = Builder("planted", planted.tokenizer, hay, questions, CONFIG["prompts"], 500, 3)
    prompts = usable(builder.build(documents), "test", "here")
    sets = {"retrieval": planted.retrieval_heads, "language": [LANGUAGE_HEAD], None: []}
    rows = [
        {
            "model": "planted",
            "question": question,
            "context_length": 500,
            "variant": "plain",
            "matching": None,
            "draw": None,
            "k": 6,
        }
        | {"method": method, "source": "method" if heads else "baseline", "heads": [head_name(*head) for head in heads]}
        | ({} if heads else {"k": 0})
        | {"size": len(heads), "matched": None}
        for question in questions
        for method, heads in sets.items()
    ]
    sets, how = pd.DataFrame(rows), Intervention("one", "zero", "all")
    runner = Runner(planted.model, planted.tokenizer, Budget(4096, 16384), Decoding(8, ["\n", "."]))
    types = {key: q["type"] for key, q in questions.items()}
    shard = pd.concat([leave_open(prompts, sets, how), ablate_split(runner, prompts, sets, how, types)])
    answered = join_unablated(shard, answer_unablated(runner, prompts, types))
    read = measure_guard(runner, prose_ids(planted.tokenizer, text), sets, how)

    accuracy = answered.assign(what=answered["method"].fillna(answered["source"])).groupby("what")["correct"].mean()
    assert accuracy["baseline"] > 0.9
    # By accuracy alone, the two could not be told apart, nor from guessing.
    assert max(accuracy["retrieval"], accuracy["language"], accuracy["no_needle"]) < 0.2
    change = read.groupby("method")["change"].mean()
    # These heads copy wherever they can, in prose too, where it is seldom right: it loses nothing without them.
    assert change["retrieval"] > -0.01 and change["language"] < -2

    study = make_study(models=("planted",), methods=(), questions=tuple(questions), lengths=(500,), levels=(6,))
    made = {**estimate_effects(as_outcomes(answered.astype({"matched": float}), 1, 200))._asdict(), "guard": read}
    alone, broken = (
        next(
            claim for claim in language.ablation_takes_retrieval_alone(made, study) if f"of {name} in" in claim.sentence
        )
        for name in ("Retrieval", "Language")
    )
    assert alone.outcome is Outcome.SUPPORTED, alone.sentence
    assert broken.outcome is Outcome.CONTRADICTED and "The model is broken" in broken.sentence
    (sign,) = language.ablation_breaks_no_model(made, study)
    assert sign.outcome is Outcome.CONTRADICTED and "the top 1 head of Language" in sign.sentence
