"""A language model whose retrieval heads are known, because they were put there by hand.

:func:`planted_model` writes the weights of a small, ordinary ``LlamaForCausalLM`` (grouped-query heads, rotary
embedding, RMSNorm). Nothing is trained. It continues a text by induction: it looks for an earlier place that was
preceded by the same words as the end of the text, and says what came there. So after a context that holds "The company
is headquartered in Texas.", the prompt "… Answer: The company is headquartered in" goes on with " Texas.".

The residual stream is cut into named parts (:class:`Stream`), each written by one kind of module and read by another::

    embedding        writes  NOW        a fixed random code of the token; and CONSTANT, and on BOS the flag SINK
    support heads    write   BACK[k]    the code of the token k places back, k = 1 … 8   (layers 0 and 1)
    retrieval heads  compare NOW, BACK[1 … 7] of the query  with  BACK[1 … 8] of the keys,
                     and copy the NOW of the place that fits into COPY                    (layers 2 and 3)
    unembedding      reads   COPY       with the same codes, plus a faint preference for frequent tokens

Every head is built from the same three ingredients, which add up in its attention scores:

- *offset*: a preference for one relative position, made on the rotary pairs that turn fast;
- *content*: a product of query and key contents, made on the pairs that hardly turn within the model's window;
- *sink*: a constant for the first token (BOS). It catches the attention of a head that has found nothing better, and
  as BOS has no code, nothing is copied from there.

A retrieval head is content against sink, a support head is a sharp offset, and all other heads are noise: a sink,
random content, and in some a blunt offset that makes them look at their neighbours.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from retrieval_heads.data.answers.state import STATES

LAYERS, HEADS, KV_HEADS, HEAD_DIM = 5, 8, 4, 192
GROUP = HEADS // KV_HEADS
CODE = 64  # dimensions of a token's code; two random codes have a cosine of about 0 ± 1/8

RETRIEVAL_HEADS = [(2, 1), (2, 2), (2, 7), (3, 0), (3, 3), (3, 4)]  # in each layer three different kv groups
# (layer, head) → places back. The near tokens weigh most in the comparison, so two heads share each of them, and the
# loss of a single support head does not blind the retrieval heads.
SUPPORT_HEADS = {(0, head): 1 + head // GROUP for head in range(HEADS)} | {(1, 0): 5, (1, 3): 6, (1, 4): 7, (1, 7): 8}

# What agreement in each token counts, from the last one backwards: the longest match wins.
MATCH = (1.0, 0.8, 0.6, 0.4, 0.3, 0.25, 0.2, 0.2)
SINK_MATCH = 1.9  # the sink counts as much as agreement in a little more than two tokens
SHARPNESS = (10.0, 13.0)  # least and most; attention logits of a retrieval head per unit of agreement
COPY_LOGIT = 5.0  # what one retrieval head adds to the logit of the token it copies
PRIOR_LOGIT = 0.2  # per unit of ln(1 + count): what the model says when nothing was copied

CONSTANT_SIZE = 10.0  # outweighs all else in the residual, so that RMSNorm is nearly one fixed factor
TURN_RATIO = 0.45  # each rotary pair turns this much slower than the one before
FAST_PAIRS = 8  # used for offsets: 1 to 0.004 radians per token
SLOW_TURN = 0.1  # radians over the whole window that a pair may turn and still serve for content
OFFSET_SHARPNESS = 25.0  # logits per fast pair, for support heads
NOISE_SHARPNESS = 5.0  # makes the random attention logits vary by about 1
NOISE_SIZE = 0.1  # norm of what a noise head writes, where a code has norm 1

BOS, EOS, UNKNOWN, PADDING = "<s>", "</s>", "[UNK]", "<pad>"
SPECIAL = (BOS, EOS, UNKNOWN, PADDING)
PIECE = r" ?[^\W\d_]+| ?\d| ?[^\w\s]| ?_|\n+|[^\S\n]+"  # a word, digit or sign with the space before it; white space


class PlantedModel(NamedTuple):
    """The model, its tokenizer, and the truth about its heads as (layer, head), counted from 0."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    retrieval_heads: list[tuple[int, int]]
    support_heads: list[tuple[int, int]]


def planted_model(corpus: str, *, seed: int = 0, max_position_embeddings: int = 4096) -> PlantedModel:
    """Build the model.

    Parameters
    ----------
    corpus : text whose words become tokens, questions included. Words outside it are spelt in smaller pieces.
    seed : of the tokens' codes and of all noise.
    max_position_embeddings : the longest prompt.
    """
    tokenizer = planted_tokenizer(corpus)
    tokenizer.model_max_length = max_position_embeddings
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=Stream.size,
        intermediate_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": TURN_RATIO ** -(HEAD_DIM / 2)},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        dtype="float32",
    )
    with torch.random.fork_rng():  # the initial weights, all overwritten, must not advance the caller's generator
        model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        _Planter(model, tokenizer, corpus, seed).plant()
    return PlantedModel(model, tokenizer, list(RETRIEVAL_HEADS), list(SUPPORT_HEADS))


def save(folder: Path | str, corpus: str, *, seed: int = 0, max_position_embeddings: int = 4096) -> None:
    """Write model and tokenizer into a folder that ``from_pretrained`` reads."""
    planted = planted_model(corpus, seed=seed, max_position_embeddings=max_position_embeddings)
    planted.model.save_pretrained(folder)
    planted.tokenizer.save_pretrained(folder)


def planted_tokenizer(corpus: str) -> PreTrainedTokenizerFast:
    """One token per word of the corpus, per digit and per sign, each with the space before it.

    Decoding is plain concatenation. All printable ASCII characters are tokens too, and a piece that is no token is cut
    greedily into the longest ones, so that any ASCII text decodes to itself. No special token is added by itself.
    """
    signs = [chr(code) for code in range(33, 127)]
    words = {word for state in STATES for word in state.split()}
    pieces = {*signs, *words, *(" " + piece for piece in (*signs, *words)), " ", "\t", "\n", "\n\n", "\n\n\n"}
    pieces |= {*re.findall(PIECE, corpus), *corpus}
    vocabulary = {piece: index for index, piece in enumerate((*SPECIAL, *sorted(pieces)))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=""))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
    )


class Stream:
    """The parts of the residual stream, as slices of its dimensions."""

    CONSTANT = slice(0, 1)
    SINK = slice(1, 2)
    NOW = slice(8, 8 + CODE)
    BACK = (NOW, *(slice(8 + k * CODE, 8 + (k + 1) * CODE) for k in range(1, len(MATCH) + 1)))  # BACK[0] is NOW
    COPY = slice(BACK[-1].stop, BACK[-1].stop + CODE)
    TEXT = slice(NOW.start, BACK[-1].stop)  # all that tells of the text
    size = COPY.stop


@dataclass
class _Weights:
    """One layer's attention weights, by head: from the residual into heads, and back.

    q: (H, D, hidden), k and v: (H_kv, D, hidden), o: (H, hidden, D).
    """

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor

    @classmethod
    def empty(cls) -> "_Weights":
        heads, kv_heads = (HEADS, HEAD_DIM, Stream.size), (KV_HEADS, HEAD_DIM, Stream.size)
        return cls(torch.zeros(heads), torch.zeros(kv_heads), torch.zeros(kv_heads), torch.zeros(heads).mT.contiguous())


class _Planter:
    """Sets every weight of a model."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, corpus: str, seed: int):
        self.model, self.tokenizer, self.corpus = model, tokenizer, corpus
        self.random = torch.Generator().manual_seed(seed)
        turns = TURN_RATIO ** torch.arange(HEAD_DIM // 2, dtype=torch.float64)  # radians per token, by rotary pair
        self.turns = turns[:FAST_PAIRS]
        slow = max(FAST_PAIRS, int((turns * model.config.max_position_embeddings > SLOW_TURN).sum()))
        # Pair m is dimensions m and m + D/2. The slowest pair serves the sink, the other slow ones the content.
        pairs = torch.arange(slow, HEAD_DIM // 2 - 1)
        self.content = torch.cat([pairs, pairs + HEAD_DIM // 2])
        self.sink = HEAD_DIM // 2 - 1

    def plant(self) -> None:
        self.codes = self._codes()
        self._embed()
        sharpness = iter(torch.linspace(*SHARPNESS, len(RETRIEVAL_HEADS)).tolist())
        for layer, module in enumerate(self.model.model.layers):
            weights = _Weights.empty()
            for group in range(KV_HEADS):
                heads = range(group * GROUP, (group + 1) * GROUP)
                if any((layer, head) in SUPPORT_HEADS for head in heads):
                    keys = self._support_group(weights, group)
                elif any((layer, head) in RETRIEVAL_HEADS for head in heads):
                    keys = self._retrieval_group(weights, group)
                else:
                    keys = self._noise_group(weights, group)
                for head in heads:
                    if (layer, head) in SUPPORT_HEADS:
                        self._support_head(weights, layer, head)
                    elif (layer, head) in RETRIEVAL_HEADS:
                        self._retrieval_head(weights, head, keys, next(sharpness))
                    else:
                        self._noise_head(weights, head)
            attention = module.self_attn
            attention.q_proj.weight.copy_(weights.q.flatten(0, 1) * math.sqrt(HEAD_DIM))  # undo attention's 1/√D
            attention.k_proj.weight.copy_(weights.k.flatten(0, 1))
            attention.v_proj.weight.copy_(weights.v.flatten(0, 1))
            attention.o_proj.weight.copy_(weights.o.transpose(0, 1).flatten(1))
            self._mlp(module.mlp)
            before = max((back for (other, _), back in SUPPORT_HEADS.items() if other < layer), default=0)
            after = max((back for (other, _), back in SUPPORT_HEADS.items() if other <= layer), default=0)
            self._norm(module.input_layernorm, codes=1 + before)
            self._norm(module.post_attention_layernorm, codes=1 + after)
        self._norm(self.model.model.norm, codes=len(Stream.BACK))
        self._unembed()

    # --- tokens ---------------------------------------------------------------------------------------------------

    def _codes(self) -> Tensor:
        """(V, CODE): random unit vectors. Special tokens have none, so they neither match nor can be copied."""
        codes = self._normal(len(self.tokenizer), CODE)
        codes /= codes.norm(dim=-1, keepdim=True)
        codes[self.tokenizer.convert_tokens_to_ids(list(SPECIAL))] = 0
        return codes

    def _embed(self) -> None:
        embedding = self.model.model.embed_tokens.weight
        embedding.zero_()
        embedding[:, Stream.CONSTANT] = CONSTANT_SIZE
        embedding[:, Stream.NOW] = self.codes
        embedding[self.tokenizer.bos_token_id, Stream.SINK] = 1

    def _unembed(self) -> None:
        """Logits: the code of what was copied, and the prior; special tokens are never said."""
        ids = torch.tensor(self.tokenizer.backend_tokenizer.encode(self.corpus).ids, dtype=torch.long)
        prior = PRIOR_LOGIT * torch.bincount(ids, minlength=len(self.tokenizer)).float().log1p()
        prior[self.tokenizer.convert_tokens_to_ids(list(SPECIAL))] = -100
        unembedding = self.model.lm_head.weight
        unembedding.zero_()
        unembedding[:, Stream.CONSTANT] = prior[:, None] / CONSTANT_SIZE
        unembedding[:, Stream.COPY] = COPY_LOGIT * self.codes

    def _norm(self, norm: torch.nn.Module, codes: int) -> None:
        """RMSNorm divides by the root mean square; multiply by the one expected: the constant and so many codes."""
        norm.weight.fill_(math.sqrt((CONSTANT_SIZE**2 + codes) / Stream.size))

    # --- support: the token so many places back ---------------------------------------------------------------------

    def _support_group(self, weights: _Weights, group: int) -> None:
        """Keys: the constant alone, for offsets. Values: the token's code."""
        self._key(weights, group)
        weights.v[group, :CODE, Stream.NOW] = torch.eye(CODE)

    def _support_head(self, weights: _Weights, layer: int, head: int) -> None:
        """Attend to one relative position and write its token's code where it belongs."""
        back = SUPPORT_HEADS[layer, head]
        self._query_offset(weights, head, back, OFFSET_SHARPNESS)
        share = 1 / list(SUPPORT_HEADS.values()).count(back)
        weights.o[head, Stream.BACK[back], :CODE] = share * torch.eye(CODE)

    # --- retrieval: what followed the same words before -------------------------------------------------------------

    def _retrieval_group(self, weights: _Weights, group: int) -> list[Tensor]:
        """Keys: the tokens before this one. Values: the code of this token.

        The codes share the content dimensions: each is turned by a random isometry of its own, so that a token at
        the wrong distance agrees by chance only. Returns the isometries.
        """
        isometries = [self._isometry() for _ in MATCH]
        self._key(weights, group)
        for back, (weight, isometry) in enumerate(zip(MATCH, isometries, strict=True), start=1):
            weights.k[group, self.content, Stream.BACK[back]] = math.sqrt(weight) * isometry
        weights.v[group, :CODE, Stream.NOW] = torch.eye(CODE)
        return isometries

    def _retrieval_head(self, weights: _Weights, head: int, isometries: Sequence[Tensor], sharpness: float) -> None:
        """Query: this token and those before it. They fit the keys of the place after the same ones; copy its token."""
        for back, (weight, isometry) in enumerate(zip(MATCH, isometries, strict=True)):
            weights.q[head, self.content, Stream.BACK[back]] = sharpness * math.sqrt(weight) * isometry
        self._query_sink(weights, head, sharpness * SINK_MATCH)
        weights.o[head, Stream.COPY, :CODE] = torch.eye(CODE)

    # --- noise -------------------------------------------------------------------------------------------------------

    def _noise_group(self, weights: _Weights, group: int) -> None:
        """Keys and values: random mixtures of what is known of the text."""
        self._key(weights, group)
        width = Stream.TEXT.stop - Stream.TEXT.start
        weights.k[group, self.content, Stream.TEXT] = self._normal(len(self.content), width) / math.sqrt(width)
        weights.v[group, :, Stream.TEXT] = self._normal(HEAD_DIM, width) / math.sqrt(HEAD_DIM)

    def _noise_head(self, weights: _Weights, head: int) -> None:
        """A random query, a faint random output, a sink that takes most attention; one head in three is local."""
        width = Stream.TEXT.stop - Stream.TEXT.start
        query = self._normal(len(self.content), width) / math.sqrt(width)
        weights.q[head, self.content, Stream.TEXT] = NOISE_SHARPNESS * query
        sink = self._uniform(10.0, 13.0)
        if self._uniform(0, 1) < 1 / 3:
            back, sharpness = int(self._uniform(0, 6)), self._uniform(3.0, 5.0)
            self._query_offset(weights, head, back, sharpness)
            sink += 0.5 * sharpness * FAST_PAIRS
        self._query_sink(weights, head, sink)
        weights.o[head] = NOISE_SIZE * self._normal(Stream.size, HEAD_DIM) / math.sqrt(Stream.size)

    def _mlp(self, mlp: torch.nn.Module) -> None:
        """Faint noise."""
        for projection in (mlp.gate_proj, mlp.up_proj, mlp.down_proj):
            projection.weight.copy_(self._normal(*projection.weight.shape) / math.sqrt(Stream.size))
        mlp.gate_proj.weight[:, Stream.CONSTANT] = 0
        mlp.up_proj.weight[:, Stream.CONSTANT] = 0
        mlp.down_proj.weight *= NOISE_SIZE

    # --- the ingredients ---------------------------------------------------------------------------------------------

    def _key(self, weights: _Weights, group: int) -> None:
        """What all keys have: a fixed arrow in every fast pair, and the first token's flag."""
        weights.k[group, :FAST_PAIRS, Stream.CONSTANT] = 1 / CONSTANT_SIZE
        weights.k[group, self.sink, Stream.SINK] = 1

    def _query_offset(self, weights: _Weights, head: int, back: int, sharpness: float) -> None:
        """Prefer the key ``back`` places back.

        Rotary embedding turns query and key by their positions, so their product depends on the distance d alone.
        With the key's arrow turned back by ``back`` steps as the query, it is Σ cos(turn · (d − back)), which is
        greatest at d = back.
        """
        angle = (-back * self.turns).float()
        weights.q[head, :FAST_PAIRS, Stream.CONSTANT] = (sharpness / CONSTANT_SIZE * angle.cos())[:, None]
        second = slice(HEAD_DIM // 2, HEAD_DIM // 2 + FAST_PAIRS)
        weights.q[head, second, Stream.CONSTANT] = (sharpness / CONSTANT_SIZE * angle.sin())[:, None]

    def _query_sink(self, weights: _Weights, head: int, logit: float) -> None:
        """Give the first token this attention logit, whatever the query."""
        weights.q[head, self.sink, Stream.CONSTANT] = logit / CONSTANT_SIZE

    def _isometry(self) -> Tensor:
        """(content dimensions, CODE) with orthonormal columns."""
        return torch.linalg.qr(self._normal(len(self.content), CODE))[0]

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random)

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self.random).item()
