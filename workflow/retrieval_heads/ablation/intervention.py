"""How heads are ablated: what takes the place of their outputs, and in which tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from torch import Tensor

from retrieval_heads import plugins
from retrieval_heads.ablation.replacements import KIND, State, make_replacement
from retrieval_heads.engine.runner import Ablation, AttentionCall, Prefix
from retrieval_heads.errors import StudyError
from retrieval_heads.study.scopes import SCOPES


@dataclass(frozen=True)
class Intervention:
    """An entry of a config's ``ablation.interventions``, with what its replacement was fitted to.

    Parameters
    ----------
    name : its key in the config.
    mode : the name of a file in ``ablation/replacements``: what an ablated head puts out.
    scope : a key of :data:`~retrieval_heads.study.scopes.SCOPES`: in which tokens heads are ablated.
    state : what the replacement's fit found, on the model's device; empty for one that needs no fit.

    Raises
    ------
    StudyError
        when there is no such mode or scope, with the key in the config.
    """

    name: str
    mode: str
    scope: str
    state: State = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, offered in (("mode", plugins.names(KIND)), ("scope", list(SCOPES))):
            value = getattr(self, key)
            if value not in offered:
                raise StudyError(f"ablation.{key}: {value} is not offered; write one of {', '.join(offered)}.")

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of a table that say how heads were ablated."""
        return {"intervention": self.name, "mode": self.mode, "scope": self.scope}

    @property
    def in_context(self) -> bool:
        """Whether heads are ablated in the context too, which then has to be run for each head set."""
        return SCOPES[self.scope].in_context

    @property
    def needs_twin(self) -> bool:
        """Whether what takes the place of heads' outputs comes from the twin of a prompt."""
        return make_replacement(self.mode).needs_twin

    def ablation(
        self, head_mask: Tensor, suffix_lengths: Sequence[int], opening: int, twin: Prefix | None = None
    ) -> Ablation:
        """How the rows of a batch are ablated.

        Parameters
        ----------
        head_mask : (N, L, H), of the head set of each row.
        suffix_lengths : tokens of each row's suffix.
        opening : tokens of the opening of the rows' context.
        twin : of that context, where it is needed.
        """
        start = None if SCOPES[self.scope].in_question else [length - 1 for length in suffix_lengths]
        return Ablation(head_mask, start, self.replacement, opening, twin)

    @cached_property
    def replacement(self) -> Callable[[AttentionCall], Tensor]:
        """Gives the outputs of ablated heads in a layer, of a shape that broadcasts to (B, Q, H, D)."""
        return partial(make_replacement(self.mode).output, state=self.state)
