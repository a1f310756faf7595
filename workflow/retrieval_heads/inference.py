"""Running a model over prompts that share their context: one prefill, then everything else from its cache.

A prompt is a context (the haystack with its needle) and a suffix (the question). All questions about a document, the
null question and every set of ablated heads share what they can of the context:

- without ablation the context is one row;
- with ablation it is a tree of rows. Two head sets give the same hidden states up to the first layer in which they
  differ, so rows start as one and fork layer by layer, each at the last moment.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import CacheLayerMixin

from retrieval_heads.attention import AttentionCall, hooked
from retrieval_heads.errors import StudyError


@dataclass(frozen=True)
class Forks:
    """How the rows of a batch fork from layer to layer, for N sets of heads to keep.

    parents[l]: for each row of layer l, the row of layer l − 1 it comes from (the input has one row).
    keep[l]: (rows of layer l, H), the factors for this layer's heads.
    row_of[l]: (N,), the row of layer l in which each set is computed.
    """

    parents: list[Tensor]
    keep: list[Tensor]
    row_of: list[Tensor]

    @classmethod
    def of(cls, keep: Tensor) -> "Forks":
        """Forks for ``keep`` of shape (N, L, H)."""
        sets, layers, _ = keep.shape
        row, values = [0] * sets, keep.cpu().numpy()
        forks = cls([], [], [])
        for layer in range(layers):
            rows: dict[tuple[int, bytes], int] = {}
            parents, first, here = [], [], []
            for index in range(sets):
                key = (row[index], values[index, layer].tobytes())
                if key not in rows:
                    rows[key] = len(rows)
                    parents.append(row[index])
                    first.append(index)
                here.append(rows[key])
            row = here
            forks.parents.append(torch.tensor(parents, device=keep.device))
            forks.keep.append(keep[first, layer])
            forks.row_of.append(torch.tensor(here, device=keep.device))
        return forks


@dataclass(frozen=True)
class Prefix:
    """A context's keys and values, and in which row of each layer's each of N sets finds its own.

    keys[l], values[l]: (rows of layer l, H_kv, C, D); row_of[l]: (N,).
    """

    keys: list[Tensor]
    values: list[Tensor]
    row_of: list[Tensor]

    @property
    def length(self) -> int:
        """C, the tokens of the context."""
        return self.keys[0].shape[-2]

    @property
    def sets(self) -> int:
        """N."""
        return len(self.row_of[0])

    def repeated(self, times: int) -> "Prefix":
        """The same keys and values, for N × times rows."""
        return Prefix(self.keys, self.values, [rows.repeat(times) for rows in self.row_of])


class _RoomyLayer(CacheLayerMixin):
    """One layer's keys and values with room for all tokens to come, so that a new token copies no old one."""

    is_croppable = True

    def __init__(self, prefixes: Sequence[Prefix], layer: int, room: int):
        super().__init__()
        sample = prefixes[0].keys[layer]
        rows, (_, heads, context, dim) = sum(prefix.sets for prefix in prefixes), sample.shape
        self._keys = sample.new_empty(rows, heads, context + room, dim)
        self._values = torch.empty_like(self._keys)
        start = 0
        for prefix in prefixes:
            here = slice(start, start + prefix.sets)
            self._keys[here, :, :context] = prefix.keys[layer][prefix.row_of[layer]]
            self._values[here, :, :context] = prefix.values[layer][prefix.row_of[layer]]
            start = here.stop
        self._length = context
        self.is_initialized, self.dtype, self.device = True, sample.dtype, sample.device

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to initialise."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Put T more tokens behind those held, (B, H_kv, T, D); all of them, (B, H_kv, K, D)."""
        here = slice(self._length, self._length + key_states.shape[-2])
        self._keys[:, :, here], self._values[:, :, here] = key_states, value_states
        self._length = here.stop
        return self._keys[:, :, : self._length], self._values[:, :, : self._length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of keys that a mask covers, and the position of the first."""
        return self._length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self._length

    def get_max_length(self) -> int:
        """Tokens there is room for."""
        return self._keys.shape[-2]

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; the number is negative."""
        self._length += tokens_to_remove

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the rows."""
        self._keys, self._values = self._keys[indices], self._values[indices]


@torch.inference_mode()
def prefill(model: PreTrainedModel, context: Sequence[int], keep: Tensor | None = None) -> Prefix:
    """Run the context once for all sets of heads.

    Parameters
    ----------
    context : C token ids.
    keep : (N, L, H) factors of the heads' outputs, one matrix for each set; None for the model as it is (N = 1).
    """
    layers, heads = head_grid(model)
    device = model.device
    if keep is None:
        keep = torch.ones(1, layers, heads, device=device)
    forks = Forks.of(keep)
    cache = DynamicCache()
    ids = torch.tensor([list(context)], device=device)
    with hooked(model, keep=lambda layer: forks.keep[layer]), _forking(model, forks):
        model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return Prefix([layer.keys for layer in cache.layers], [layer.values for layer in cache.layers], forks.row_of)


@contextmanager
def _forking(model: PreTrainedModel, forks: Forks):
    """Let the batch grow on its way up: a hook before each decoder layer repeats the rows that fork there."""

    def fork(layer: int):
        def hook(_module, args, kwargs):
            (hidden, *rest) = args
            return (hidden.index_select(0, forks.parents[layer]), *rest), kwargs

        return hook

    handles = [
        module.register_forward_pre_hook(fork(layer), with_kwargs=True)
        for layer, module in enumerate(decoder_layers(model))
        if not torch.equal(forks.parents[layer].cpu(), torch.arange(len(forks.parents[layer - 1]) if layer else 1))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_SPARSE = 0.75
"""A batch drops the rows that are done when at most this share goes on: dropping copies the keys of all the others."""


class Batch:
    """Rows that continue a prefix: where each stands, and how its keys lie in the cache.

    Rows are aligned at the end of their suffix, so that one batch serves suffixes of any length. Shorter ones are
    padded between context and suffix, where the mask hides the padding; positions count real tokens only.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prefixes: Sequence[Prefix],
        suffix_lengths: Sequence[int],
        room: int,
        keep: Tensor | None,
    ):
        width, device = max(suffix_lengths), model.device
        self.model, self.keep = model, keep
        self.context = prefixes[0].length
        self.rows = list(range(len(suffix_lengths)))
        self.padding = [width - length for length in suffix_lengths]
        self.cache = Cache(layers=[_RoomyLayer(prefixes, layer, room) for layer in range(len(prefixes[0].keys))])
        self.next_position = torch.full((len(self.rows),), self.context, device=device)
        self.mask = torch.ones(len(self.rows), self.context, dtype=torch.long, device=device)

    def forward(self, ids: Tensor, real: Tensor, logits: slice, observe: "Observer | None" = None) -> Tensor:
        """Feed ids (B, T), of which ``real`` (B, T) are no padding; logits (B, T of ``logits``, V) in float32."""
        device = ids.device
        positions = (self.next_position[:, None] + real.cumsum(-1) - 1).clamp(min=self.context)
        self.mask = torch.cat([self.mask, real.long()], dim=1)
        rows = torch.tensor(self.rows, device=device)
        keep = self.keep
        with hooked(
            self.model,
            observe=None if observe is None else lambda call: observe(call, self),
            keep=None if keep is None else lambda layer: keep[rows, layer],
        ):
            out = self.model(
                input_ids=ids,
                position_ids=positions,
                attention_mask=self.mask,
                past_key_values=self.cache,
                logits_to_keep=torch.arange(ids.shape[1], device=device)[logits],
                use_cache=True,
            )
        self.next_position = self.next_position + real.sum(-1)
        return out.logits.float()

    def crop(self, tokens: int) -> None:
        """Forget the last tokens, which must be the last that were fed."""
        if tokens:
            self.cache.crop(-tokens)
            self.next_position = self.next_position - self.mask[:, -tokens:].sum(-1)
            self.mask = self.mask[:, :-tokens]

    def select(self, places: Sequence[int]) -> None:
        """Go on with some of the rows."""
        index = torch.tensor(list(places), device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask, self.next_position = self.mask[index], self.next_position[index]
        self.rows = [self.rows[place] for place in places]
        self.padding = [self.padding[place] for place in places]

    def real_rows(self, rows: Tensor, place: int) -> Tensor:
        """Attention rows (B, H, Q, K) of one place without padding: (H, real Q, tokens of that prompt so far)."""
        pad = self.padding[place]
        queries = rows[place, :, pad:] if rows.shape[2] > pad else rows[place]
        return torch.cat([queries[..., : self.context], queries[..., self.context + pad :]], dim=-1)


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


@torch.inference_mode()
def continue_prefix(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefixes: Sequence[Prefix],
    suffixes: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop: Sequence[str],
    enough: Callable[[int, str], bool] | None = None,
    keep: Tensor | None = None,
    answers: Sequence[Sequence[int]] | None = None,
    generate: Sequence[bool] | None = None,
    observe: Observer | None = None,
) -> Continued:
    """Read B suffixes after a shared context, then decode greedily.

    Parameters
    ----------
    prefixes : of the same context, whose sets are the B rows, one prefix after the other.
    suffixes : B lists of token ids.
    max_new_tokens, stop : a generation ends at the model's end token, at one of these strings, or at this length.
    enough : told a row and its text so far, whether its generation may end there.
    keep : (B, L, H) factors of the heads' outputs while suffix and answer are read and decoded.
    answers : token ids whose log-probability after the suffix is wanted, one list for each row.
    generate : which rows to decode; default all. The others end with their suffix.
    observe : called with every attention call over the suffixes, then with those over each decoded token.
    """
    count, width = len(suffixes), max(len(suffix) for suffix in suffixes)
    answers = answers or [[]] * count
    after = max(len(answer) for answer in answers)
    room = width + max(after, max_new_tokens)
    batch = Batch(model, prefixes, [len(suffix) for suffix in suffixes], room, keep)

    # The answer rides behind the suffix: it is read for its probability, then taken back.
    ids = torch.zeros(count, width + after, dtype=torch.long)
    real = torch.zeros_like(ids)
    for row, (suffix, answer) in enumerate(zip(suffixes, answers, strict=True)):
        span = slice(width - len(suffix), width + len(answer))
        ids[row, span] = torch.tensor([*suffix, *answer])
        real[row, span] = 1
    ids, real = ids.to(model.device), real.to(model.device)
    logits = batch.forward(ids, real, slice(width - 1, None), observe)
    logprobs = None
    if after:
        each = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, width:, None]).squeeze(-1)
        logprobs = (each * real[:, width:]).double().sum(-1).tolist()
        batch.crop(after)

    tokens: list[list[int]] = [[] for _ in range(count)]
    text = [""] * count
    ends = _end_tokens(model)
    following = logits[:, 0].argmax(-1)
    alive = {row for row in range(count) if generate is None or generate[row]}
    for step in range(1, max_new_tokens + 1):
        for row, token in zip(batch.rows, following.tolist(), strict=True):
            if row not in alive:
                continue
            if token in ends:
                alive.remove(row)
                continue
            decoded = tokenizer.decode([*tokens[row], token], skip_special_tokens=True)
            cut = min((at for end in stop if (at := decoded.find(end)) >= 0), default=None)
            text[row] = decoded[:cut]
            if cut is None:
                tokens[row].append(token)
            if cut is not None or (enough is not None and enough(row, decoded)):
                alive.remove(row)
        if not alive or step == max_new_tokens:
            break
        if len(alive) <= _SPARSE * len(batch.rows):
            places = [place for place, row in enumerate(batch.rows) if row in alive]
            batch.select(places)
            following = following[places]
        logits = batch.forward(following[:, None], torch.ones_like(following[:, None]), slice(None), observe)
        following = logits[:, 0].argmax(-1)
    return Continued(tokens, text, logprobs)


def suffix_groups(model: PreTrainedModel, lengths: Sequence[int]) -> list[list[int]]:
    """Which suffixes may share a batch: all of them, or those of one length where a layer has a sliding window.

    The padding between a context and a shorter suffix would count as part of the window.
    """
    if getattr(model.config.get_text_config(), "sliding_window", None) is None:
        return [list(range(len(lengths)))]
    return [[i for i, length in enumerate(lengths) if length == each] for each in sorted(set(lengths))]


def head_grid(model: PreTrainedModel) -> tuple[int, int]:
    """The model's number of layers and of attention heads in each."""
    config = model.config.get_text_config()
    return config.num_hidden_layers, config.num_attention_heads


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The list of the model's decoder layers, first layer first."""
    layers, _ = head_grid(model)
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return module
    raise StudyError(f"{type(model).__name__}: no list of {layers} decoder layers found; choose another model.")


def _end_tokens(model: PreTrainedModel) -> set[int]:
    ends = model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
