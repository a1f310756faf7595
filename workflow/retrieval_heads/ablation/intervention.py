"""How heads are ablated: what takes the place of their outputs, and in which tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from retrieval_heads import plugins
from retrieval_heads.ablation.replacements import KIND, State, make_replacement
from retrieval_heads.engine.attention import AttentionCall
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

    def mask_start(self, suffix: int) -> int:
        """The first token of a suffix of so many tokens in which heads are ablated."""
        return 0 if SCOPES[self.scope].in_question else suffix - 1

    def replacement(self, call: AttentionCall) -> Tensor:
        """What ablated heads put out in a layer, of a shape that broadcasts to (B, Q, H, D)."""
        return self._replacement.output(call, self.state)

    @cached_property
    def _replacement(self):
        return make_replacement(self.mode)
