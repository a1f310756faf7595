"""Suffixes are read behind their contexts, and answered by greedy decoding, many rows at a time."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.data.encoding import decode
from retrieval_heads.engine.ablation import Ablation
from retrieval_heads.engine.architecture import end_tokens, head_grid
from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.engine.batch import Batch
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.forks import Forks

_COMPACT_BELOW = 0.75
"""A batch is compacted once at most this share of its rows goes on: compaction copies the keys of all that do."""


@dataclass(frozen=True)
class Decoding:
    """Where a generation ends: at the model's end token, and where this says.

    max_new_tokens : the most tokens of a generation; 0 for none.
    stop : strings, each of which ends it; they are cut off.
    stop_when : told the number of a row and its text so far, whether the generation may end there.
    """

    max_new_tokens: int
    stop: Sequence[str]
    stop_when: Callable[[int, str], bool] | None = None


@dataclass(frozen=True)
class Answered:
    """What comes of reading and answering B suffixes, one entry for each.

    tokens: the generated token ids, without the one or the string that ended them; text: the same decoded, cut at the
    stop string; answer_logprob: Σ ln p over the tokens of the expected answer, or None where none was given; margin:
    by how much the closest choice of a token was decided, what ended a generation among them, in log-probability over
    the next; infinite where none was chosen.
    """

    tokens: list[list[int]]
    text: list[str]
    answer_logprob: list[float] | None
    margin: list[float]


@dataclass(frozen=True)
class RowsRead:
    """One layer's attention rows in a pass over suffixes, answers or generated tokens.

    tokens: for each row of the batch that runs, which of its tokens the pass reads, counted from the suffix's first.
    """

    layer: int
    tokens: Mapping[int, range]
    _call: AttentionCall
    _batch: Batch

    def attention(self, batch_row: int, tokens: range) -> Tensor:
        """Attention rows (H, Q, K) of Q of these tokens, in float32, over all keys up to the last of them."""
        return self._batch.attention_rows(self._call, self._batch.rows.index(batch_row), tokens)


Observer = Callable[[RowsRead], None]


def reserved_tokens(suffixes: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], max_new_tokens: int) -> int:
    """How many columns a row needs behind its context: its tokens, and one for the keys of padding."""
    return max(map(len, suffixes)) + max(max_new_tokens, *map(len, answers)) + 1


@torch.inference_mode()
def answer_suffixes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix: Prefix,
    suffixes: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    answers: Sequence[Sequence[int]] | None = None,
    generate: Sequence[bool] | None = None,
    ablation: Ablation | None = None,
    observe: Observer | None = None,
) -> Answered:
    """See :meth:`retrieval_heads.engine.runner.Runner.answer`."""
    count, width = len(suffixes), max(map(len, suffixes))
    drafts = answers or [[]] * count
    longest_draft = max(map(len, drafts))
    reserved = reserved_tokens(suffixes, drafts, decoding.max_new_tokens)
    batch = Batch(model, prefix, count, reserved, list(map(len, suffixes)))
    masked = None if ablation is None else _Masked(ablation, batch, prefix.first_fork)
    twin = None
    if ablation is not None and ablation.twin is not None:
        twin = _Twin(model, ablation.twin, batch, reserved)

    # The draft rides behind the suffix; what the model itself would not say of it is taken back.
    ids = torch.zeros(count, width + longest_draft, dtype=torch.long)
    real = torch.zeros(count, width + longest_draft, dtype=torch.bool)
    for row, (suffix, draft) in enumerate(zip(suffixes, drafts, strict=True)):
        span = slice(width - len(suffix), width + len(draft))
        ids[row, span], real[row, span] = torch.tensor([*suffix, *draft]), True
    ids = ids.to(model.device)

    def tell(call: AttentionCall, _outputs: Tensor) -> None:
        assert observe is not None  # else this is no part of the hook
        observe(RowsRead(call.layer, dict(zip(batch.rows, batch.spans, strict=True)), call, batch))

    with hooked(
        model,
        observe=None if observe is None else tell,
        head_mask=None if masked is None else masked.factors,
        replacement=None if ablation is None else ablation.replacement,
        twin=None if twin is None else twin.outputs,
        shared=prefix.shared,
        shared_tokens=prefix.tokens_shared_in_all_layers,
    ) as hook:
        read = [(*suffix, None, *draft) for suffix, draft in zip(suffixes, drafts, strict=True)]
        forks = None if masked is None else masked.forks(read)
        if twin is not None:
            twin.read(ids, real, read)
        logits = batch.forward(hook, ids, real, longest_draft + 1, forks)
        logprobs = None
        if answers is not None:
            logprob = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, width:, None]).squeeze(-1)
            # In float64 on the host, since not every device has it.
            real_draft = real[:, width:].to(logprob.device)
            logprobs = (logprob * real_draft).numpy(force=True).sum(-1, dtype=np.float64).tolist()

        generations = _Generations(tokenizer, end_tokens(model), decoding, generate or [True] * count)
        likely, leads = (chosen.tolist() for chosen in _first_and_lead(logits))
        accepted = [
            generations.take_draft(row, likely[row], leads[row], draft) if row in generations.active else 0
            for row, draft in enumerate(drafts)
        ]
        not_taken = [len(draft) - taken for draft, taken in zip(drafts, accepted, strict=True)]
        batch.take_back(not_taken)
        if twin is not None:
            twin.take_back(not_taken)
        while generations.active:
            kept = _rows_to_keep(batch.rows, generations.active, prefix.contexts)
            if len(kept) <= _COMPACT_BELOW * len(batch.rows):
                batch.select(kept)
                for beside in (masked, twin):
                    if beside is not None:
                        beside.select(kept)
            last = [generations.tokens[row][-1:] or [0] for row in batch.rows]
            last_ids = torch.tensor(last, device=model.device)
            active = torch.tensor([[row in generations.active] for row in batch.rows])
            forks = None
            if masked is not None:
                # Rows start as one that have read the same suffix and generated the same. A row that has ended may hold
                # the token that ended it, which no other knows.
                same = [
                    (read[row], *generations.tokens[row]) if row in generations.active else row for row in batch.rows
                ]
                forks = masked.forks(same)
                if twin is not None:
                    twin.read(last_ids, active, same)
            logits = batch.forward(hook, last_ids, active, 1, forks)
            likely, leads = (chosen.tolist() for chosen in _first_and_lead(logits[:, 0]))
            for row, token, lead in zip(batch.rows, likely, leads, strict=True):
                if row in generations.active:
                    generations.take(row, token, lead)
    return Answered(generations.tokens, generations.text, logprobs, generations.margin)


class _Masked:
    """The head masks of the rows of a batch, and how these fork by them.

    Parameters
    ----------
    first_fork : the layer from which on the context's keys are those of single sets. From there on rows share nothing:
        gathering their keys would cost more than it spares.
    """

    def __init__(self, ablation: Ablation, batch: Batch, first_fork: int):
        self._head_mask, self._batch, self._first_fork = ablation.head_mask, batch, first_fork
        device, start = ablation.head_mask.device, ablation.mask_start
        self._mask_start = None if start is None else torch.tensor(start, device=device)[:, None]

    def forks(self, read: Sequence[Hashable]) -> Forks:
        """How rows fork in a pass; those that have read the same start as one."""
        return Forks.plan(self._head_mask, _first_alike(read), self._first_fork)

    def factors(self, layer: int) -> Tensor:
        """A layer's factors, (rows, T or 1, H), in the pass that runs."""
        forks, columns = self._batch.layout.forks, self._batch.layout.columns
        assert forks is not None  # with a mask every pass has forks
        factors, first_set = forks.head_mask[layer][:, None], forks.first_set[layer]
        if self._mask_start is None:
            return factors
        return factors.where((columns[first_set] >= self._mask_start[first_set])[..., None], 1)

    def select(self, indices: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._head_mask = self._head_mask[indices]
        self._mask_start = None if self._mask_start is None else self._mask_start[indices]


class _Twin:
    """The unablated run beside the rows of a batch: behind the twin's context, it reads what they read.

    Each of its passes comes right before one of the batch's, and rows that have read the same are one in it.

    Parameters
    ----------
    prefix : of the twin's context.
    beside : the batch of ablated rows, before its first pass.
    """

    def __init__(self, model: PreTrainedModel, prefix: Prefix, beside: Batch, reserved: int):
        self._model, self._prefix, self._beside = model, prefix, beside
        self._batch = Batch(model, prefix, len(beside.rows), reserved)
        self._outputs: list[Tensor] = []
        self._row_of: list[int] = []

    def read(self, ids: Tensor, real: Tensor, read: Sequence[Hashable]) -> None:
        """Run ids (B, T), and keep what heads put out until the next ones are run."""
        whole = torch.ones(len(ids), *head_grid(self._model))
        forks = Forks.plan(whole, _first_alike(read))
        self._row_of, outputs = forks.row_of[0], []
        with hooked(
            self._model,
            observe=lambda _call, z: outputs.append(z),
            shared=self._prefix.shared,
            shared_tokens=self._prefix.tokens_shared_in_all_layers,
        ) as hook:
            self._batch.read(hook, ids, real, forks)
        self._outputs = outputs

    def outputs(self, layer: int) -> Tensor:
        """A layer's outputs z in the latest pass, (rows, T, H, D), for the rows that run in the pass of the batch."""
        forks = self._beside.layout.forks
        assert forks is not None  # ablated rows have forks in every pass
        return self._outputs[layer][[self._row_of[row] for row in forks.first_set[layer]]]

    def take_back(self, counts: Sequence[int]) -> None:
        """See :meth:`retrieval_heads.engine.batch.Batch.take_back`."""
        self._batch.take_back(counts)

    def select(self, indices: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._batch.select(indices)


def _first_alike(read: Sequence[Hashable]) -> list[int]:
    """For each row, the first one that has read the same."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(tokens, row) for row, tokens in enumerate(read)]


class _Generations:
    """What each row of a batch has generated, and which rows are active, that is: go on."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, ends: set[int], decoding: Decoding, generate: Sequence[bool]
    ):
        self._tokenizer, self._ends, self._decoding = tokenizer, ends, decoding
        self.tokens: list[list[int]] = [[] for _ in generate]
        self.text = [""] * len(generate)
        self.margin = [math.inf] * len(generate)
        self.active = {row for row, wanted in enumerate(generate) if wanted and decoding.max_new_tokens > 0}

    def take(self, row: int, token: int, lead: float) -> None:
        """Take up the next token of a row, which may be its end, and leads all others by so much."""
        self.margin[row] = min(self.margin[row], lead)
        if token in self._ends:
            self.active.remove(row)
            return
        tokens, decoding = self.tokens[row], self._decoding
        decoded = decode(self._tokenizer, [*tokens, token], skip_special_tokens=True)
        end = min((at for stop in decoding.stop if (at := decoded.find(stop)) >= 0), default=None)
        self.text[row] = decoded[:end]
        if end is None:
            tokens.append(token)
        settled = decoding.stop_when is not None and decoding.stop_when(row, decoded)
        if end is not None or settled or len(tokens) == decoding.max_new_tokens:
            self.active.remove(row)

    def take_draft(self, row: int, likely: Sequence[int], leads: Sequence[float], draft: Sequence[int]) -> int:
        """Take up what a row has generated while it read a draft; returns how many tokens of the draft that is.

        Parameters
        ----------
        likely, leads : the most likely token in the place of each one of the draft, and behind them all, and by how
            much it leads.
        """
        accepted = 0
        for token, lead, drafted in zip(likely, leads, [*draft, None], strict=False):
            self.take(row, token, lead)
            if row not in self.active or token != drafted:
                break
            accepted += 1
        return accepted


def _first_and_lead(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely token, the first of equal ones, and its lead over the next, from logits (…, V); each (…).

    Logits differ as log-probabilities do.
    """
    two = logits.topk(2).values
    return logits.max(-1).indices, two[..., 0] - two[..., 1]


def _rows_to_keep(rows: Sequence[int], active: set[int], contexts: int) -> list[int]:
    """Indices of a batch's rows to keep: the active ones, and fillers so that each context keeps equally many."""
    rows_per_context = len(rows) // contexts
    parts = [range(start, start + rows_per_context) for start in range(0, len(rows), rows_per_context)]
    most = max(sum(rows[index] in active for index in part) for part in parts)
    kept = (sorted(part, key=lambda index: rows[index] not in active)[:most] for part in parts)
    return [index for part in kept for index in sorted(part)]
