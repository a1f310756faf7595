"""Running a model over prompts that share their context: one prefill, then everything else from its cache.

A prompt is a context (the haystack with its needle) and a suffix (the question). All questions about a document, the
null question and every set of ablated heads share what they can of the context:

- as long as nothing is ablated in it, the context is one row, and its keys and values are kept once for all;
- with ablation it is a tree of rows. Two head sets give the same hidden states up to the first layer in which they
  differ, so rows start as one and fork layer by layer, each at the last moment. So do those of a suffix, its answer and
  what is generated: as long as sets have said the same after the same question, they share all layers below.
"""

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import CacheLayerMixin

from retrieval_heads.data.encoding import decode
from retrieval_heads.engine.attention import AttentionCall, Hook, Shared, hooked
from retrieval_heads.engine.pace import CONTINUING
from retrieval_heads.errors import StudyError
from retrieval_heads.job import reached

Instead = Callable[[AttentionCall], Tensor]
"""What an ablated head puts out in a call, (B or 1, Q or 1, H, D)."""


@dataclass(frozen=True)
class Forks:
    """How the rows of a batch fork from layer to layer, for N sets of heads to keep.

    parents[l]: for each row of layer l, the row of layer l − 1 it comes from (for the first layer, of the input).
    keep[l]: (rows of layer l, H), the factors for this layer's heads.
    row_of[l]: for each of the N sets, the row of layer l in which it is computed.
    first[l]: for each row of layer l, the first of the sets that are computed in it.
    """

    parents: list[list[int]]
    keep: list[Tensor]
    row_of: list[list[int]]
    first: list[list[int]]

    @classmethod
    def of(cls, keep: Tensor, starts: Sequence[int] | None = None, apart: int | None = None) -> "Forks":
        """Forks for ``keep`` of shape (N, L, H).

        Parameters
        ----------
        starts : for each set, the row of the input that it begins with; the only one by default.
        apart : the layer from which on each set has a row of its own, whatever it shares with others.
        """
        sets, layers, _ = keep.shape
        row, values = list(starts or [0] * sets), keep.numpy(force=True)
        forks = cls([], [], [], [])
        for layer in range(layers):
            rows: dict[tuple, int] = {}
            parents, first, here = [], [], []
            for index in range(sets):
                own = index if apart is not None and layer >= apart else None
                key = (row[index], values[index, layer].tobytes(), own)
                if key not in rows:
                    rows[key] = len(rows)
                    parents.append(row[index])
                    first.append(index)
                here.append(rows[key])
            row = here
            forks.parents.append(parents)
            forks.keep.append(keep[first, layer])
            forks.row_of.append(here)
            forks.first.append(first)
        return forks


@dataclass(frozen=True)
class Prefix:
    """Keys and values of R contexts of one length C, or of one context under N sets of heads.

    keys[l], values[l]: (R, H_kv, C, D) up to the first layer in which rows fork; from there on (N, H_kv, C + room, D),
    with room for all tokens to come, so that what continues a row copies nothing of it.
    """

    keys: list[Tensor]
    values: list[Tensor]
    length: int
    contexts: int
    first_fork: int

    def shared(self, layer: int) -> Shared | None:
        """A layer's keys and values where they are not yet those of single sets."""
        return (self.keys[layer], self.values[layer]) if layer < self.first_fork else None

    @property
    def shared_throughout(self) -> int:
        """How many tokens are shared in every layer."""
        return self.length if self.first_fork == len(self.keys) else 0


class _Stored(Exception):  # noqa: N818 - a way out, and no error
    """The last keys and values are in place: nothing above them is wanted of a prefill."""


class _Filling(CacheLayerMixin):
    """Takes the keys and values of rows that pass through a layer, and lays them out for a prefix.

    row_of: for each place of the prefix, the row of the layer whose keys and values it gets.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, row_of: Sequence[int], room: int):
        super().__init__()
        self._row_of, self._room = row_of, room
        self._length = self._start = 0
        self._leave = False

    def take(self, start: int, leave: bool) -> None:
        """Expect the rows from ``start`` on, and perhaps leave the layer as soon as theirs are stored."""
        self._start, self._leave = start, leave

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for all rows."""
        _, heads, self._length, dim = key_states.shape
        places = len(self._row_of)
        self.keys = key_states.new_empty(places, heads, self._length + self._room, dim)
        self.values = value_states.new_empty(places, heads, self._length + self._room, value_states.shape[-1])
        # What a row does not fill is hidden, but a hidden value still meets a weight of zero, and so must be a number.
        self.keys[:, :, self._length :] = self.values[:, :, self._length :] = 0
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Keep what some rows have, each (rows, H_kv, C, D), and give it back."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows = range(self._start, self._start + len(key_states))
        places = [place for place, row in enumerate(self._row_of) if row in rows]
        source = [self._row_of[place] - self._start for place in places]
        self.keys[places, :, : self._length] = key_states[source]
        self.values[places, :, : self._length] = value_states[source]
        if self._leave:
            raise _Stored
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of keys that a mask covers, and the position of the first."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """Tokens held before those that come: none."""
        return 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1


@torch.inference_mode()
def prefill(
    model: PreTrainedModel,
    contexts: Sequence[Sequence[int]],
    keep: Tensor | None = None,
    *,
    instead: Instead | None = None,
    room: int = 0,
    batch_tokens: int | None = None,
) -> Prefix:
    """Run contexts once for all that continues them.

    Parameters
    ----------
    contexts : R lists of C token ids.
    keep : (N, L, H) factors of the heads' outputs, one matrix for each set, with R = 1; None for the model as it is.
        Sets that agree in their first layers should lie side by side.
    instead : what an ablated head puts out; None for zero.
    room : how many tokens may continue each set; only where ``keep`` is given (see :func:`room_for`).
    batch_tokens : how many tokens go through a layer at a time; None for all.
    """
    layers, _ = head_grid(model)
    length, forks = len(contexts[0]), None if keep is None else Forks.of(keep)
    size = sys.maxsize if batch_tokens is None else max(1, batch_tokens // length)
    forked = [] if forks is None else [layer for layer, rows in enumerate(forks.row_of) if max(rows) > 0]
    first_fork = forked[0] if forked else layers
    filling = [
        _Filling(range(len(contexts)), 0)
        if forks is None or layer < first_fork
        else _Filling(forks.row_of[layer], room)
        for layer in range(layers)
    ]
    rows, passed = slice(None), 0
    to_pass = layers * len(contexts) if forks is None else sum(map(len, forks.parents))

    def run(layer: int, decoder_layer: Callable, hidden_states: Tensor, *args, **kwargs) -> Tensor | tuple[Tensor]:
        """One layer over all rows, some at a time: more would only push each other out of a processor's cache."""
        nonlocal rows, passed
        hidden, in_tuple = hidden_states, False
        if forks is not None and len(forks.parents[layer]) > len(hidden):
            hidden = hidden[forks.parents[layer]]
        last = layer == layers - 1
        for start in range(0, len(hidden), size):
            filling[layer].take(start, leave=last)
            rows = slice(start, start + size)
            with suppress(_Stored):
                # The rows of before are not wanted again, so these take their place.
                output = decoder_layer(hidden[rows], *args, **kwargs)
                in_tuple = isinstance(output, tuple)
                hidden[rows] = output[0] if in_tuple else output
            passed += len(hidden[rows])
            reached(passed / to_pass * length / (length + CONTINUING))
        if last:
            raise _Stored
        return (hidden,) if in_tuple else hidden

    hook = {} if forks is None else {"keep": lambda layer: forks.keep[layer][rows, None], "instead": instead}
    with hooked(model, **hook), _each_layer(model, run), suppress(_Stored):
        model.get_decoder()(
            input_ids=torch.tensor([list(ids) for ids in contexts], device=model.device),
            past_key_values=Cache(layers=[*filling]),
            use_cache=True,
        )
    keys, values = [layer.keys for layer in filling], [layer.values for layer in filling]
    return Prefix(keys, values, length, len(contexts), first_fork)


@contextmanager
def _each_layer(model: PreTrainedModel, run: Callable[..., Tensor | tuple[Tensor]]) -> Iterator[None]:
    """Let ``run`` take the place of each decoder layer; it is told the layer's number and what it does itself."""
    modules = list(decoder_layers(model))
    # A module may have a forward of its own already, beside that of its class: accelerate places one.
    before = [vars(module).get("forward") for module in modules]
    for layer, module in enumerate(modules):
        own = module.forward
        module.forward = lambda *args, _layer=layer, _own=own, **kwargs: run(_layer, _own, *args, **kwargs)
    try:
        yield
    finally:
        for module, forward in zip(modules, before, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward


_SPARSE = 0.75
"""A batch drops the rows that are done when at most this share goes on: dropping copies the keys of all the others."""


class _Continuing(CacheLayerMixin):
    """One layer's keys and values of the rows of a batch, each token's at its own position in its row.

    Rows that share a layer in a pass hold the same there, each for itself: they may part in the next.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, context: int, layer: int, batch: "Batch"):
        super().__init__()
        self.keys, self.values, self._context, self._layer, self._batch = keys, values, context, layer, batch
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to initialise."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Put T more tokens in their places, (F, H_kv, T, D); all that are held, (F, H_kv, context + own, D).

        F counts the rows that run in this layer, which are all B where none are shared.
        """
        rows, columns = self._batch.places, self._batch.columns + self._context
        held, forks = self._context + self._batch.held, self._batch.forks
        shared = forks is not None and len(key_states) < len(self.keys)
        row_of = forks.row_of[self._layer] if forks is not None and shared else slice(None)
        self.keys[rows, :, columns] = key_states[row_of].transpose(1, 2)
        self.values[rows, :, columns] = value_states[row_of].transpose(1, 2)
        first = forks.first[self._layer] if forks is not None and shared else slice(None)
        return self.keys[first, :, :held], self.values[first, :, :held]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of keys that a mask covers, and the position of the first."""
        return self._batch.context + self._batch.held, 0

    def get_seq_length(self) -> int:
        """Tokens held before those that come, by the longest row."""
        return self._batch.start

    def get_max_length(self) -> int:
        """Tokens there is room for."""
        return self._batch.context + self._batch.room - 1

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the rows."""
        self.keys, self.values = self.keys[indices], self.values[indices]


class Batch:
    """Rows that continue a prefix, and where each of them stands.

    In a pass, rows are aligned at the end of their suffix, so that one batch serves suffixes of any length; what pads a
    row is run for nothing, and nothing sees its keys. ``tokens`` counts what each row holds behind its context, where
    it has ``room`` as :func:`room_for` gives it; ``spans`` tells which of them the pass that runs has brought, and
    ``forks`` how its rows fork, or None where each runs for itself.
    """

    forks: Forks | None = None

    def __init__(self, model: PreTrainedModel, prefix: Prefix, rows: int, room: int):
        require_one_side(model, prefix.length, prefix.length + room - 1)
        self.context, self.room, self.held, self.start = prefix.length, room, 0, prefix.length
        self.rows, self.tokens, self.spans = list(range(rows)), [0] * rows, [range(0)] * rows
        self.places = self.columns = torch.zeros(rows, 0, dtype=torch.long)
        self._model, self._padding = model, [0] * rows
        layers = []
        for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
            before = prefix.length
            if prefix.shared(layer) is not None:
                keys, values = (old.new_zeros(rows, old.shape[1], room, old.shape[3]) for old in (keys, values))
                before = 0
            layers.append(_Continuing(keys, values, before, layer, self))
        self._cache = Cache(layers=[*layers])

    def forward(self, hook: Hook, ids: Tensor, real: Tensor, last: int, forks: Forks | None = None) -> Tensor:
        """Run ids (B, T), of which some are ``real``, in a hooked model; the last logits, (B, last, V) in float32.

        Rows that ``forks`` puts into one must have the same tokens behind the same context.
        """
        self.start, self.forks = self.context + self.held, forks
        hook.start, hook.positions = self.start, self._place(real)
        with nullcontext() if forks is None else self._forked(hook, forks):
            out = self._model(
                input_ids=ids,
                position_ids=hook.positions,
                past_key_values=self._cache,
                logits_to_keep=last,
                use_cache=True,
            )
        return out.logits.float()

    def _forked(self, hook: Hook, forks: Forks) -> AbstractContextManager[None]:
        """Let each layer run once for all rows that are alike up to there."""
        rows, positions = len(self.rows), hook.positions
        assert positions is not None  # of the rows that continue a prefix

        def run(layer: int, decoder_layer: Callable, hidden_states: Tensor, *args, **kwargs) -> Tensor | tuple[Tensor]:
            first = forks.first[layer]

            def narrow(value: Any) -> Any:
                # Masks, positions and what is made of them come for all rows of the batch.
                if isinstance(value, Tensor):
                    return value[first] if value.dim() > 1 and len(value) == rows else value
                if isinstance(value, tuple):
                    return tuple(map(narrow, value))
                return value

            hook.positions = positions[first]
            hidden = hidden_states[forks.parents[layer]]
            output = decoder_layer(hidden, *map(narrow, args), **{key: narrow(value) for key, value in kwargs.items()})
            if layer < len(forks.first) - 1:
                return output
            every = forks.row_of[layer]
            return (output[0][every], *output[1:]) if isinstance(output, tuple) else output[every]

        return _each_layer(self._model, run)

    def _place(self, real: Tensor) -> Tensor:
        """Take up tokens (B, T), of which some are ``real``: their positions in their prompts, (B, T)."""
        columns = torch.tensor(self.tokens)[:, None] + real.cumsum(-1) - 1
        self.spans = [range(held, held + new) for held, new in zip(self.tokens, real.sum(-1).tolist(), strict=True)]
        self.tokens, self._padding = [span.stop for span in self.spans], real.int().argmax(-1).tolist()
        self.held = max(self.held, *self.tokens)
        # The last place takes the keys that nothing sees.
        self.columns = columns.where(real, self.room - 1).to(self._model.device)
        self.places = torch.arange(len(real), device=self._model.device)[:, None]
        return (columns.where(real, 0) + self.context).to(self._model.device)

    def take_back(self, tokens: Sequence[int]) -> None:
        """Forget the last tokens of each row; the next ones take their places."""
        self.tokens = [held - gone for held, gone in zip(self.tokens, tokens, strict=True)]
        self.held = max(self.tokens)

    def select(self, places: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._cache.batch_select_indices(torch.tensor(places, device=self._model.device))
        self.rows = [self.rows[place] for place in places]
        self.tokens = [self.tokens[place] for place in places]

    def attention(self, call: AttentionCall, place: int, tokens: range) -> Tensor:
        """The attention rows of some tokens in a place's span: (H, tokens, their prompt up to the last of them)."""
        before = self._padding[place] - self.spans[place].start
        return call.row(place)[:, before + tokens.start : before + tokens.stop, : self.context + tokens.stop]


Observer = Callable[[AttentionCall, Batch], None]


@dataclass(frozen=True)
class Continued:
    """What comes of reading suffixes and answering them, one entry for each row of the batch.

    tokens: the generated token ids, without what ended them; text: the same decoded, cut at the stop string;
    answer_logprob: Σ ln p over the given answer's tokens, or None where no answers were given.
    """

    tokens: list[list[int]]
    text: list[str]
    answer_logprob: list[float] | None


def room_for(suffixes: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], max_new_tokens: int) -> int:
    """How many tokens a row needs behind its context, one of them for what nothing sees."""
    return max(map(len, suffixes)) + max(max_new_tokens, *map(len, answers)) + 1


@torch.inference_mode()
def continue_prefix(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix: Prefix,
    suffixes: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop: Sequence[str],
    enough: Callable[[int, str], bool] | None = None,
    keep: Tensor | None = None,
    keep_from: Sequence[int] | None = None,
    instead: Instead | None = None,
    answers: Sequence[Sequence[int]] | None = None,
    generate: Sequence[bool] | None = None,
    observe: Observer | None = None,
) -> Continued:
    """Read B suffixes after their contexts, then decode greedily.

    Where answers are given they are read together with the suffixes, and serve as drafts: as far as a row's most likely
    tokens are those of its answer, they have been decoded in that one pass, and only where it says something else does
    it go on token by token. Verified so, a draft changes no token (Stern et al. 2018, "Blockwise Parallel Decoding for
    Deep Autoregressive Models", arXiv 1811.03115, section 3).

    Parameters
    ----------
    prefix : of R contexts, which B / R rows each continue, in order; or of one context and B sets of heads.
    suffixes : B lists of token ids.
    max_new_tokens, stop : a generation ends at the model's end token, at one of these strings, or at this length.
    enough : told a row and its text so far, whether its generation may end there.
    keep : (B, L, H) factors of the heads' outputs while suffix and answer are read and decoded.
    keep_from : the first token of each suffix in which ``keep`` holds; default the first of all.
    instead : what an ablated head puts out; None for zero.
    answers : token ids that are expected after the suffix, one list for each row; their log-probability is returned.
    generate : which rows to decode; default all. The others end with their suffix.
    observe : called with every attention call over suffixes and answers, then with those over each decoded token. What
        it is told of a place of a row holds unless it is told of that place again.
    """
    count, width = len(suffixes), max(map(len, suffixes))
    given = answers or [[]] * count
    after = max(map(len, given))
    batch = Batch(model, prefix, count, room_for(suffixes, given, max_new_tokens))
    begin = None if keep_from is None else torch.tensor(keep_from, device=model.device)[:, None]

    def forked(said: Sequence[Hashable]) -> Forks | None:
        """How the rows fork that go on from what each has said: equal ones start as one."""
        if keep is None:
            return None
        seen: dict[Hashable, int] = {}
        starts = [seen.setdefault(tokens, place) for place, tokens in enumerate(said)]
        # Where keys of the context are those of single sets, gathering them costs more than it spares.
        return Forks.of(keep, starts, apart=prefix.first_fork)

    def kept(layer: int) -> Tensor:
        assert batch.forks is not None  # else this is no part of the hook
        factors, first = batch.forks.keep[layer][:, None], batch.forks.first[layer]
        return factors if begin is None else factors.where((batch.columns[first] >= begin[first])[..., None], 1)

    # The answer rides behind the suffix; what the model itself would not say of it is taken back.
    ids, real = torch.zeros(count, width + after, dtype=torch.long), torch.zeros(count, width + after, dtype=torch.bool)
    for row, (suffix, answer) in enumerate(zip(suffixes, given, strict=True)):
        span = slice(width - len(suffix), width + len(answer))
        ids[row, span], real[row, span] = torch.tensor([*suffix, *answer]), True
    ids = ids.to(model.device)
    with hooked(
        model,
        observe=None if observe is None else lambda call: observe(call, batch),
        keep=None if keep is None else kept,
        instead=instead,
        shared=prefix.shared,
        before=prefix.shared_throughout,
    ) as hook:
        asked = [(*suffix, None, *answer) for suffix, answer in zip(suffixes, given, strict=True)]
        logits = batch.forward(hook, ids, real, after + 1, forked(asked))
        logprobs = None
        if answers is not None:
            each = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, width:, None]).squeeze(-1)
            # In float64 on the host, since not every device has it.
            logprobs = (each * real[:, width:].to(each.device)).numpy(force=True).sum(-1, dtype=np.float64).tolist()

        said = _Generations(tokenizer, _end_tokens(model), stop, max_new_tokens, enough, generate or [True] * count)
        right = [
            said.take_draft(row, tokens, draft) if row in said.alive else 0
            for row, (tokens, draft) in enumerate(zip(logits.argmax(-1).tolist(), given, strict=True))
        ]
        batch.take_back([len(draft) - good for draft, good in zip(given, right, strict=True)])
        while said.alive:
            places = _going_on(batch.rows, said.alive, prefix.contexts)
            if len(places) <= _SPARSE * len(batch.rows):
                batch.select(places)
                keep = None if keep is None else keep[places]
                begin = None if begin is None else begin[places]
            last = torch.tensor([said.tokens[row][-1:] or [0] for row in batch.rows], device=model.device)
            real = torch.tensor([[row in said.alive] for row in batch.rows])
            # Rows with the same suffix that have said the same; one that is done holds what it was not stopped by, too.
            alike = [(asked[row], *said.tokens[row]) if row in said.alive else row for row in batch.rows]
            logits = batch.forward(hook, last, real, 1, forked(alike))
            for row, token in zip(batch.rows, logits[:, 0].argmax(-1).tolist(), strict=True):
                if row in said.alive:
                    said.take(row, token)
    return Continued(said.tokens, said.text, logprobs)


class _Generations:
    """What each row of a batch has said, and which rows go on."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        ends: set[int],
        stop: Sequence[str],
        max_new_tokens: int,
        enough: Callable[[int, str], bool] | None,
        generate: Sequence[bool],
    ):
        self._tokenizer, self._ends, self._stop = tokenizer, ends, stop
        self._max_new_tokens, self._enough = max_new_tokens, enough
        self.tokens: list[list[int]] = [[] for _ in generate]
        self.text = [""] * len(generate)
        self.alive = {row for row, wanted in enumerate(generate) if wanted}

    def take(self, row: int, token: int) -> None:
        """Take up the next token of a row, which may be its end."""
        if token in self._ends:
            self.alive.remove(row)
            return
        tokens = self.tokens[row]
        decoded = decode(self._tokenizer, [*tokens, token], skip_special_tokens=True)
        cut = min((at for end in self._stop if (at := decoded.find(end)) >= 0), default=None)
        self.text[row] = decoded[:cut]
        if cut is None:
            tokens.append(token)
        settled = self._enough is not None and self._enough(row, decoded)
        if cut is not None or settled or len(tokens) == self._max_new_tokens:
            self.alive.remove(row)

    def take_draft(self, row: int, likely: Sequence[int], draft: Sequence[int]) -> int:
        """Take up what a row said while it read a draft; how many tokens of the draft that is.

        likely: the most likely token before each one of the draft, and behind them all.
        """
        right = 0
        for token, drafted in zip(likely, [*draft, None], strict=False):
            self.take(row, token)
            if row not in self.alive or token != drafted:
                break
            right += 1
        return right


def _going_on(rows: Sequence[int], alive: set[int], contexts: int) -> list[int]:
    """The places of a batch that are still wanted: the rows that go on, and others until each context has as many."""
    each = len(rows) // contexts
    parts = [range(start, start + each) for start in range(0, len(rows), each)]
    most = max(sum(rows[place] in alive for place in part) for part in parts)
    first = (sorted(part, key=lambda place: rows[place] not in alive)[:most] for part in parts)
    return [place for part in first for place in sorted(part)]


def length_switches(model: PreTrainedModel) -> dict[int, str]:
    """The lengths beyond which a model's rotary embedding turns all tokens otherwise: length → kind of the embedding.

    Of the kinds that transformers has (``modeling_rope_utils``), two look at the largest position of a pass. *longrope*
    (Phi-3; Ding et al. 2024, arXiv 2402.13753) goes from one set of factors to another; *dynamic* (NTK) takes other
    frequencies for each length.
    """
    found = {}
    for module in model.modules():
        kinds, config = getattr(module, "rope_type", None), getattr(module, "config", None)
        for layer_type, kind in (kinds if isinstance(kinds, dict) else {None: kinds}).items():
            if kind == "longrope":
                parameters: Any = getattr(config, "rope_parameters", None)
                parameters = parameters if layer_type is None else parameters[layer_type]
                found[int(parameters["original_max_position_embeddings"])] = kind
            elif isinstance(kind, str) and "dynamic" in kind:
                found[int(getattr(config, "max_position_embeddings", 0))] = kind
    return found


def require_one_side(model: PreTrainedModel, shortest: int, longest: int) -> None:
    """Refuse lengths between which a model's rotary embedding changes.

    A whole prompt is what counts, as it is run at once and as ``generate`` reads it: its length decides for the context
    too. The context is run once here, for prompts of different length and for all that they are continued by, so it can
    be turned one way only.

    Parameters
    ----------
    shortest : tokens of the context alone.
    longest : tokens of the longest prompt with its answer.

    Raises
    ------
    StudyError
        which names the architecture, the kind of embedding and the length.
    """
    for switch, kind in length_switches(model).items():
        beyond = kind != "longrope"  # where each length has its own, there is no other side
        if longest > switch and (beyond or shortest <= switch):
            other = "" if beyond else f", or so long that their contexts have more than {switch} tokens"
            raise StudyError(
                f"{type(model).__name__}: its rotary embedding ({kind}) changes beyond {switch} tokens, and here "
                f"prompts go on from {shortest} to {longest} tokens; give prompts.context_lengths so short that "
                f"prompts and answers (generation.max_new_tokens) have at most {switch} tokens together{other}."
            )


def head_grid(model: PreTrainedModel) -> tuple[int, int]:
    """The model's number of layers and of attention heads in each."""
    config = model.config.get_text_config()
    return config.num_hidden_layers, config.num_attention_heads


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The list of the model's decoder layers, first layer first."""
    layers, _ = head_grid(model)
    for module in model.get_decoder().modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return module
    raise StudyError(f"{type(model).__name__}: no list of {layers} decoder layers found; choose another model.")


def _end_tokens(model: PreTrainedModel) -> set[int]:
    ends = model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
