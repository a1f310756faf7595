"""What a method or an ablation is given of a model: contexts run once, answers, and what heads do meanwhile."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.engine.ablation import Ablation, every_call_ablated, make_head_mask
from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import AttentionCall, Region, Replacement
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.decoding import (
    Answered,
    Decoding,
    Observer,
    RowsRead,
    answer_suffixes,
    reserved_tokens,
)
from retrieval_heads.engine.direct_path import require_direct_path
from retrieval_heads.engine.finite import NotFiniteError, locate, locating, naming, require_finite, require_finite_heads
from retrieval_heads.engine.head_sets import AnswerLosses, HeadSet, answer_losses
from retrieval_heads.engine.output_projection import output_grams
from retrieval_heads.engine.prefill import prefill, run_on
from retrieval_heads.engine.self_check import require_measurable
from retrieval_heads.engine.single_heads import SingleHeadEffects, single_head_effects
from retrieval_heads.engine.trace import Objective, Trace, answer_logprob, trace_prompts

__all__ = [
    "Ablation",
    "AnswerLosses",
    "Answered",
    "AttentionCall",
    "Budget",
    "Decoding",
    "Objective",
    "Observer",
    "Prefix",
    "Region",
    "Replacement",
    "RowsRead",
    "Runner",
    "SingleHeadEffects",
    "Trace",
    "answer_logprob",
    "every_call_ablated",
    "head_grid",
    "make_head_mask",
    "naming",
    "reserved_tokens",
]


class Runner:
    """A model with its tokenizer, and all that methods and ablations ask of it.

    Everything is measured inside the model's own passes, so any decoder of transformers will do whose attention goes
    through its attention interface; :meth:`require_measurable` refuses the others.

    Parameters
    ----------
    model : a decoder of transformers, ready for inference. It is left as it is.
    tokenizer : of which ``decode`` is used, for generated text.
    budget : how many tokens go through the model at a time; default what its device holds.
    decoding : where generations end that methods ask for.

    layers, heads: the model's number of layers, and of attention heads in each.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        budget: Budget | None = None,
        decoding: Decoding | None = None,
    ):
        self.model, self.tokenizer = model, tokenizer
        self.budget = Budget.for_model(model, "auto", "auto") if budget is None else budget
        self.decoding = Decoding(0, []) if decoding is None else decoding
        self.layers, self.heads = head_grid(model)
        self._kept: list[tuple[list[list[int]], Prefix]] = []

    def require_direct_path(self) -> None:
        """Refuse a model in which it is not known what heads write into the logits, before any work.

        Raises
        ------
        StudyError
            with the architecture's name.
        """
        require_direct_path(self.model)

    def require_measurable(self, shortest: int | None = None, longest: int | None = None) -> None:
        """Refuse a model that would not be measured exactly, before any work.

        Parameters
        ----------
        shortest, longest : tokens of the shortest context that will be run, and of the longest prompt with its answer;
            without them, any length may come.

        Raises
        ------
        StudyError
            with the architecture's name and the reason.
        """
        require_measurable(self.model, shortest, longest)

    def prefill(
        self, contexts: Sequence[Sequence[int]], ablation: Ablation | None = None, *, reserved: int = 0
    ) -> Prefix:
        """Run contexts once for all that continues them.

        Parameters
        ----------
        contexts : R lists of equally many token ids.
        ablation : of N head sets in every token of a single context; None for the model as it is. Sets that agree in
            their first layers share these, best where they are neighbours.
        reserved : how many tokens may follow under each head set (:func:`reserved_tokens`).
        """
        self._kept = []  # so that two prefixes are never held at the same time, but for a twin's
        if ablation is not None:
            return self._run(contexts, ablation=ablation, reserved=reserved, batch_tokens=self.budget.batch_tokens)
        return self._keep(contexts, self._run(contexts))

    def twin(self, context: Sequence[int], *, outputs: bool = False) -> Prefix:
        """A context's twin, run by the whole model: for an :class:`Ablation` that needs it, and for what follows it.

        Behind the beginning that it has in common with a context that was run last, only the other tokens are run, from
        the first that differs on. Both are kept, so that traces may be asked for by turns.

        Parameters
        ----------
        context : token ids of the twin, as many as the context has.
        outputs : whether to keep the heads' outputs in every token, as an ablation in the context needs them. Then the
            whole context is run.
        """
        if outputs:
            every: list[Tensor] = []
            prefix = self._run([context], observe=lambda _call, z: every.append(z))
            return replace(prefix, outputs=every)
        if (found := self._find(context)) is not None:
            return found[0].only(found[1])
        # One twin is kept at a time, beside the contexts of perhaps several documents.
        beside, self._kept = self._kept[:1], self._kept[:1]
        shared, number = max(
            ((_shared_beginning(context, other), at) for contexts, _ in beside for at, other in enumerate(contexts)),
            default=(0, 0),
        )
        if shared == 0:
            return self._keep([context], self._run([context]))
        begun = beside[0][1].only(number)
        return self._keep([context], locating(self.model, lambda: run_on(self.model, begun, context, shared)))

    def answer(
        self,
        prefix: Prefix,
        suffixes: Sequence[Sequence[int]],
        decoding: Decoding | None = None,
        *,
        answers: Sequence[Sequence[int]] | None = None,
        generate: Sequence[bool] | None = None,
        ablation: Ablation | None = None,
        observe: Observer | None = None,
    ) -> Answered:
        """Read B suffixes behind their contexts, then decode greedily.

        Expected answers are read together with the suffixes, and serve as drafts: as far as a row's most likely tokens
        are those of its answer, they have been decoded in that one pass; only from the first other token on are they
        decoded one by one. Verified so, a draft changes no token (Stern et al. 2018, "Blockwise Parallel Decoding for
        Deep Autoregressive Models", arXiv 1811.03115, section 3).

        Parameters
        ----------
        prefix : of R contexts, each of which B / R rows continue, in order; or of one context under B head sets.
        suffixes : B lists of token ids.
        decoding : where generations end; default the runner's.
        answers : B lists of token ids that are expected behind the suffixes; their log-probability is returned.
        generate : which rows to decode; default all. The others end with their suffix and expected answer.
        ablation : of B head sets, one in each row. Rows with the same suffix share layers where their sets agree.
        observe : called with every layer's attention rows, first over suffixes and expected answers, then over each
            decoded token. It may be called again for a token of a row; then the later call holds.

        Raises
        ------
        StudyError
            when the model's rotary embedding changes between the context's length and the longest that may come.
        """
        return locating(
            self.model,
            lambda: answer_suffixes(
                self.model,
                self.tokenizer,
                prefix,
                suffixes,
                self.decoding if decoding is None else decoding,
                answers=answers,
                generate=generate,
                ablation=ablation,
                observe=observe,
            ),
        )

    def trace(
        self,
        context: Sequence[int],
        suffix: Sequence[int],
        answer: Sequence[int] = (),
        *,
        objective: Objective | None = None,
        direct: bool = False,
        keep_rows: bool = True,
    ) -> Trace:
        """Read one prompt with its answer, and keep what every head does in the suffix and in the answer.

        The context is run when it is first asked for, and not again until another one is run that is not its
        :meth:`twin`. Its keys and values are constants: gradients go through the suffix and the answer.

        Parameters
        ----------
        context, suffix, answer : token ids; the answer is read, not generated.
        objective : what to take gradients of with respect to the heads' outputs, such as :func:`answer_logprob`; None
            for no gradients, and less memory.
        direct : whether to follow the direct path from heads to logits (:meth:`Trace.direct_gradients`).
        keep_rows : whether to hold the attention rows of all layers; without, they are computed anew if asked for. Not
            with an objective.

        Raises
        ------
        StudyError
            when the model's rotary embedding changes between the context's length and the prompt's.
        """
        (trace,) = self.traces(context, [(suffix, answer)], objective=objective, direct=direct, keep_rows=keep_rows)
        return trace

    def traces(
        self,
        context: Sequence[int],
        prompts: Sequence[tuple[Sequence[int], Sequence[int]]],
        *,
        objective: Objective | None = None,
        direct: bool = False,
        keep_rows: bool = True,
    ) -> Iterator[Trace]:
        """Traces of several prompts that share their context, one after the other: see :meth:`trace`.

        Parameters
        ----------
        prompts : suffix and answer of each, in token ids. As many are read together as a tape may hold, so drop a trace
            before the next is asked for.
        """
        prefix, number = self._prefix_of(context)
        begin = partial(trace_prompts, self.model, prefix.only(number), prompts, objective, direct, keep_rows)

        def located() -> Iterator[Trace]:
            try:
                yield from begin()
            except NotFiniteError as error:
                locate(self.model, error, lambda: deque(begin(), maxlen=0))
                raise

        return located()

    def single_head_effects(
        self,
        context: Sequence[int],
        suffix: Sequence[int],
        answer: Sequence[int],
        replacement: Replacement | None = None,
        *,
        twin: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> SingleHeadEffects:
        """What an answer loses without each head by itself, ablated in suffix and answer: exact.

        The context is run by the whole model, and not again until another one is run that is not its twin.

        Parameters
        ----------
        context, suffix, answer : token ids; the answer is read, not generated.
        replacement : gives what an ablated head puts out; None for zero.
        twin : token ids of the twin's context and of the twin's answer, for a replacement that needs them. The twin's
            answer is read behind the same suffix, and the outputs of the twin's run are those behind its own context,
            where it reads the same: for the answer's tokens, the prompt's answer; for those of the twin's, the twin's.

        Raises
        ------
        StudyError
            when the model's rotary embedding changes between the context's length and the prompt's.
        """
        prefix, given = self._with_twin(context, twin)
        return locating(
            self.model,
            lambda: single_head_effects(self.model, prefix, suffix, answer, replacement, self.budget, given),
        )

    def answer_losses(
        self,
        context: Sequence[int],
        suffix: Sequence[int],
        answer: Sequence[int],
        head_sets: Sequence[HeadSet],
        replacement: Replacement | None = None,
        *,
        twin: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> AnswerLosses:
        """What an answer loses without each of some head sets, ablated in suffix and answer: exact.

        Parameters
        ----------
        context, suffix, answer, replacement, twin : as of :meth:`single_head_effects`.
        head_sets : N sets of (layer, head) pairs; those that agree in their first layers share these where they are
            neighbours.

        Raises
        ------
        StudyError
            when the model's rotary embedding changes between the context's length and the prompt's.
        """
        prefix, given = self._with_twin(context, twin)
        return locating(
            self.model,
            lambda: answer_losses(self.model, prefix, suffix, answer, head_sets, replacement, self.budget, given),
        )

    def _with_twin(
        self, context: Sequence[int], twin: tuple[Sequence[int], Sequence[int]] | None
    ) -> tuple[Prefix, tuple[Prefix, Sequence[int]] | None]:
        """The prefix of a context alone, and that of its twin, if there is one, with the twin's answer."""
        prefix, number = self._prefix_of(context)
        return prefix.only(number), None if twin is None else (self.twin(twin[0]), twin[1])

    def _prefix_of(self, context: Sequence[int]) -> tuple[Prefix, int]:
        """A prefix that is kept and has this context, else a new one; and the context's number in it."""
        return self._find(context) or (self.prefill([context]), 0)

    def _run(self, contexts: Sequence[Sequence[int]], **options: Any) -> Prefix:
        """Contexts, run anew, with options of :func:`retrieval_heads.engine.prefill.prefill`."""
        return locating(self.model, lambda: prefill(self.model, contexts, **options))

    def _find(self, context: Sequence[int]) -> tuple[Prefix, int] | None:
        context = list(context)
        return next(((prefix, contexts.index(context)) for contexts, prefix in self._kept if context in contexts), None)

    def _keep(self, contexts: Sequence[Sequence[int]], prefix: Prefix) -> Prefix:
        self._kept.append(([list(ids) for ids in contexts], prefix))
        return prefix

    def observe_outputs(self, ids: Sequence[int], observe: Callable[[int, Tensor], None]) -> None:
        """Read tokens in one pass, and show what every head puts out in every one, such as a fit asks for.

        Parameters
        ----------
        ids : T token ids. A context is kept for what continues it.
        observe : called with each layer and the outputs z of its heads before the output projection, (T, H, D). They
            are not held after the call.
        """

        def look(call: AttentionCall, z: Tensor) -> None:
            require_finite(z, f"the heads' outputs in layer {call.layer}")
            observe(call.layer, z[0])

        self._kept = []
        self._keep([ids], self._run([ids], observe=look))

    def require_finite_heads(self, values: Tensor, what: str) -> None:
        """Refuse numbers (L, H) of heads in a prompt of which one is NaN or infinite.

        Parameters
        ----------
        what : they are, such as ``the scores by QRHead``.

        Raises
        ------
        StudyError
            which names layer and heads, and what to do; by :func:`naming` also the prompt.
        """
        try:
            require_finite_heads([of_layer[None, :, None] for of_layer in values], what, 0)
        except NotFiniteError as error:
            error.dtype = self.model.dtype
            raise

    def output_grams(self) -> list[Tensor] | None:
        """How long what each head writes is: W_O^hᵀ W_O^h of every layer's heads, (H, D, D) in float32.

        W_O^h is the head's slice of the output projection, so ‖W_O^h z‖² is zᵀ W_O^hᵀ W_O^h z.

        Returns
        -------
        One for each layer; None for an architecture whose attention is not linear in its heads' outputs, such as one
        that normalises them together before the projection.
        """
        return output_grams(self.model)

    def head_mask(self, head_sets: Iterable[Iterable[tuple[int, int]]]) -> Tensor:
        """The mask (N, L, H) of an :class:`Ablation` of N sets of (layer, head) pairs, both counted from 0."""
        return make_head_mask(self.model, head_sets)


def _shared_beginning(context: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens two contexts of the same length have in common; 0 for others."""
    if len(context) != len(other):
        return 0
    return next(place for place, (one, two) in enumerate(zip(context, other, strict=True)) if one != two)
