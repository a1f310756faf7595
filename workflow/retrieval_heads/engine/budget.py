"""How much goes through a model at a time: as much as its device holds, and less after memory ran out."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Literal, TypeVar

import torch
from transformers import PreTrainedModel

from retrieval_heads.engine.memory import memory_left
from retrieval_heads.errors import is_out_of_memory
from retrieval_heads.job import finished_units, log

T = TypeVar("T")
R = TypeVar("R")

Limit = Literal["batch_tokens", "cache_tokens"]
"""What bounds a batch: how many tokens run at a time, or how many keys and values are held."""

_CPU_BATCH_TOKENS, _CPU_CACHE_TOKENS = 4096, 65536
"""On a CPU more tokens at a time are slower, since a layer's activations then leave the processor's cache."""


class Budget:
    """How many tokens a model may run, and how many it may hold, at a time.

    Halved whenever memory runs out, for good: what did not fit once will not fit the next time.
    """

    def __init__(self, batch_tokens: int, cache_tokens: int):
        self.batch_tokens, self.cache_tokens = batch_tokens, cache_tokens

    @classmethod
    def for_model(
        cls, model: PreTrainedModel, batch_tokens: int | Literal["auto"], cache_tokens: int | Literal["auto"]
    ):
        """The budget for a model, from its config's ``compute``.

        ``auto`` divides what the weights leave of the device's memory: an eighth for the activations of the tokens that
        run, half for the keys and values of those that are held. Whatever else the device is doing does not count, so
        that the budget is the same from run to run; except on a CPU whose memory is limited for this process or its
        control group, where what is in use counts (:func:`memory_left`).
        """
        config, device = model.config.get_text_config(), model.device
        size = model.dtype.itemsize
        left = _left(device, model.get_memory_footprint())
        # Hidden states, queries, keys and values; gate, up and their product.
        activations = size * (
            8 * config.hidden_size + 3 * (getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
        )
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        key_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        held = size * 2 * config.num_hidden_layers * key_heads * head_dim
        found = [left // 8 // activations, left // 2 // held]
        if device.type == "cpu":
            found = [min(found[0], _CPU_BATCH_TOKENS), min(found[1], _CPU_CACHE_TOKENS)]
        budget = cls(
            *(
                max(1, auto if value == "auto" else value)
                for auto, value in zip(found, (batch_tokens, cache_tokens), strict=True)
            )
        )
        log.info("%d tokens at a time, keys and values of %d held", budget.batch_tokens, budget.cache_tokens)
        return budget

    def batches(
        self, items: Sequence[T], tokens: int, limit: Limit, work: Callable[..., R], *, units: bool = True
    ) -> Iterator[R]:
        """What ``work`` makes of the items, batch by batch.

        Parameters
        ----------
        items : what to work on; a batch has one at least.
        tokens : of each item.
        limit : which of the two bounds a batch.
        work : takes a batch. Where it runs out of memory with several items, the budget is halved and they are taken
            again in smaller batches; with a single one, the error stays.
        units : whether each item is a unit of progress; else they are parts of one that is counted elsewhere.
        """
        start = 0
        while start < len(items):
            batch = items[start : start + max(1, getattr(self, limit) // tokens)]
            try:
                with finished_units(len(batch)) if units else nullcontext():
                    done = work(batch)
            except Exception as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
                done = None
            if done is None:
                # Outside of the handler, where the error no longer keeps what it was raised over.
                self._halve(len(batch) * tokens, limit)
                continue
            yield done
            start += len(batch)

    def _halve(self, tokens: int, limit: Limit) -> None:
        setattr(self, limit, max(1, min(getattr(self, limit), tokens) // 2))
        log.warning("out of memory: going on with compute.%s at %d", limit, getattr(self, limit))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def shard_slice(items: Sequence[T], shard: int, shards: int, batch_size: int = 1) -> Sequence[T]:
    """The items of one of several shards, counted from 0. Each shard has whole batches of ``batch_size`` neighbours.

    So an item is in the same batch whatever the number of shards, and its results are the same to the last bit.
    """
    batches = math.ceil(len(items) / batch_size)
    start, stop = (batches * edge // shards * batch_size for edge in (shard, shard + 1))
    return items[start:stop]


def _left(device: torch.device, weights: int) -> int:
    """What a model's weights leave of a device's memory, in bytes."""
    if device.type == "cuda":
        return max(0, torch.cuda.mem_get_info(device)[1] - weights)
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - weights)
    return memory_left(weights)
