"""Batches keep to the budget, get smaller when memory runs out, and lose nothing by it."""

from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrieval_heads.engine import budget
from retrieval_heads.engine.budget import Budget, shard_slice
from tiny_models import llama

ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 12 bytes"),
]


@given(
    items=st.lists(st.integers(), max_size=30),
    tokens=st.integers(1, 50),
    limit=st.integers(1, 400),
    fits=st.integers(1, 30),
)
def test_every_item_is_worked_on_once_in_order_and_in_batches_that_fit(items, tokens, limit, fits):
    done = []

    def work(batch):
        if len(batch) > fits:
            raise MemoryError
        done.append(list(batch))
        return sum(batch)

    sums = list(Budget(limit, 1).batches(items, tokens, "batch_tokens", work))
    assert [item for batch in done for item in batch] == items
    assert sums == [sum(batch) for batch in done]
    assert all(len(batch) == 1 or len(batch) * tokens <= limit for batch in done)


@pytest.mark.parametrize("error", ERRORS, ids=["python", "cuda", "cpu"])
def test_the_budget_stays_halved(error, caplog):
    kept, tried = Budget(100, 800), []

    def work(batch):
        tried.append(len(batch))
        if len(batch) > 3:
            raise error
        return batch

    assert list(kept.batches(range(7), 100, "cache_tokens", work)) == [range(3), range(3, 6), range(6, 7)]
    assert list(kept.batches(range(4), 100, "cache_tokens", work)) == [range(3), range(3, 4)]
    assert tried == [7, 3, 3, 1, 3, 1]
    assert (kept.batch_tokens, kept.cache_tokens) == (100, 350)
    assert "going on with compute.cache_tokens at 350" in caplog.text


def test_what_does_not_fit_alone_is_an_error():
    def work(batch):
        raise MemoryError

    with pytest.raises(MemoryError):
        list(Budget(10, 10).batches([1, 2, 3], 5, "batch_tokens", work))


def test_another_error_is_no_sign_of_memory():
    kept = Budget(10, 10)
    with pytest.raises(ZeroDivisionError):
        list(kept.batches([1, 2], 5, "batch_tokens", lambda batch: 1 / 0))
    assert kept.batch_tokens == 10


def test_it_is_found_from_what_the_weights_leave_of_the_memory(monkeypatch):
    model = llama().to(torch.bfloat16)
    monkeypatch.setattr(budget, "_left", lambda device, weights: 96_000)
    found = Budget.for_model(model, "auto", "auto")
    # Keys and values: 2 bytes × 2 × 3 layers × 2 key heads × 8; activations: 2 bytes × (8 × 32 + 3 × 48).
    assert (found.cache_tokens, found.batch_tokens) == (48_000 // 192, 12_000 // 800)
    monkeypatch.setattr(budget, "_left", lambda device, weights: 10**15)
    assert Budget.for_model(model, "auto", 70).cache_tokens == 70
    assert Budget.for_model(model, "auto", 70).batch_tokens == 4096
    monkeypatch.setattr(budget, "_left", lambda device, weights: 0)
    assert Budget.for_model(model, "auto", "auto").cache_tokens == 1


@pytest.mark.parametrize(
    ("device", "left"),
    [("cpu", 2_000 - 300), ("cuda", 8_000 - 300), ("mps", 5_000 - 300)],
    ids=lambda value: str(value),
)
def test_each_kind_of_device_is_asked(monkeypatch, device, left):
    monkeypatch.setattr(budget, "memory_left", lambda used: 2_000 - used)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 8_000))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 5_000)
    assert budget._left(torch.device(device), 300) == left
    assert budget._left(torch.device(device), 10_000) in (0, 2_000 - 10_000)


@given(items=st.integers(0, 40), parts=st.integers(1, 12), together=st.integers(1, 6))
def test_parts_are_whole_batches_and_hold_everything_in_order(items, parts, together):
    everything = list(range(items))
    found = [shard_slice(everything, part, parts, together) for part in range(parts)]
    assert list(chain.from_iterable(found)) == everything
    starts = [part[0] for part in found if part]
    assert all(start % together == 0 for start in starts)
