"""The yardstick: what each prompt's answer loses without each head by itself, in a table."""

import pandas as pd
import pytest
import torch
from test_ablation import CONTEXT, MODES, prompts, runner_of

import oracle
from retrieval_heads import job, tables
from retrieval_heads.ablation.single_heads import measure_effects
from retrieval_heads.data.selection import shard_of_documents
from retrieval_heads.engine.budget import Budget
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from tiny_models import MODELS, llama


def effects_of(row):
    return torch.tensor(row.effects).view(row.layers, row.heads)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_effects_are_those_of_plain_passes_with_one_head_ablated(architecture, mode, tmp_path):
    model, table = MODELS[architecture](), prompts()
    tables.write(measure_effects(runner_of(model), table, mode, {}), tmp_path / "found.parquet", HEAD_EFFECTS)
    found = tables.read(tmp_path / "found.parquet", HEAD_EFFECTS)
    assert found["prompt_id"].tolist() == table["prompt_id"].tolist()
    assert set(found["mode"]) == {mode}
    for row, prompt in zip(found.itertuples(), table.itertuples(), strict=True):
        ids, answer = prompt.input_ids, prompt.input_ids[prompt.answer_start : prompt.answer_end]
        whole = oracle.answer_logprob(model, ids, answer)
        assert row.answer_logprob == pytest.approx(whole, abs=1e-4)
        assert (row.doc_id, row.question) == (prompt.doc_id, prompt.question)
        for layer, head in [(0, 0), (1, 2), (2, 3)]:
            logits = oracle.plain(model, [*ids, *answer], [(layer, head)], CONTEXT, mode)
            without = oracle.logprob_in(logits, ids, answer)
            assert effects_of(row)[layer, head].item() == pytest.approx(whole - without, abs=1e-4)


def test_neither_shards_nor_batches_change_an_effect():
    model, table = llama(), prompts(documents=3)
    whole = measure_effects(runner_of(model), table, "zero", {})
    # More shards than documents: some have none.
    parts = [
        measure_effects(runner_of(model, Budget(30, 30)), shard_of_documents(table, shard, 4), "zero", {})
        for shard in range(4)
    ]
    assert sorted(map(len, parts)) == [0, 2, 2, 2]
    together = pd.concat(parts, ignore_index=True)
    assert together["prompt_id"].tolist() == whole["prompt_id"].tolist()
    for one, other in zip(whole.itertuples(), together.itertuples(), strict=True):
        assert effects_of(one).sub(effects_of(other)).abs().max() < 1e-5


def test_the_log_says_how_many_prompts_are_left(monkeypatch, caplog):
    monkeypatch.setattr(job, "_REPORT_EVERY_S", 0)
    caplog.set_level("INFO", "retrieval_heads")
    measure_effects(runner_of(llama()), prompts(documents=1), "zero", {})
    assert caplog.messages[0] == "2 prompts to answer without each head"
    assert caplog.messages[-1].startswith("2 of 2 prompts to answer without each head")
