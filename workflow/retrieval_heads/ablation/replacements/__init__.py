"""What takes the place of an ablated head's output z, before the output projection. Each is a file in this folder,
named as in a config's ``mode``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import pandas as pd
from torch import Tensor

from retrieval_heads import plugins
from retrieval_heads.engine.runner import AttentionCall, Runner

KIND = "ablation.replacements"

State = Mapping[str, Tensor]
"""What a fit has found: named tensors."""


class Replacement(ABC):
    """What an ablated head puts out instead of its own output.

    A new replacement is one file with one subclass; the first sentence of the subclass's docstring is its definition in
    the findings. One that needs a fit sets ``needs_fit``: it is then fitted once for each model and context length on
    the study's train split, which the test split is never part of.
    """

    label: ClassVar[str]
    """How figures and findings write it."""

    needs_fit: ClassVar[bool] = False
    """Whether :meth:`output` needs the state that :meth:`fit` finds. Read without importing the file."""

    needs_twin: ClassVar[bool] = False
    """Whether :meth:`output` needs ``call.twin``, the outputs behind the twin's context. Then only prompts with a
    twin are asked. Read without importing the file."""

    def fit(self, runner: Runner, prompts: pd.DataFrame) -> State:
        """Find what :meth:`output` needs to know of a model.

        Parameters
        ----------
        runner : of the model.
        prompts : the usable prompts of the train split at one context length, rows of the prompts table.

        Returns
        -------
        Named tensors. They are kept in a file from which every job of that model and length reads them.
        """
        raise NotImplementedError(f"{type(self).__name__} says needs_fit and has no fit")

    @abstractmethod
    def output(self, call: AttentionCall, state: State) -> Tensor:
        """What the ablated heads of a layer put out, of a shape that broadcasts to (B, Q, H, D).

        It is asked for all heads of the layer, and taken for those that are ablated.

        Parameters
        ----------
        call : what the layer's attention was called with: B rows of Q tokens. ``call.regions`` tells opening, context,
            suffix and answer apart; ``call.twin`` is what heads put out in the twin's run, where one is needed.
        state : what :meth:`fit` found for this model and context length, on the model's device; empty where no fit is
            needed.
        """


def usable_anywhere() -> list[str]:
    """The names of replacements that can be used without a study: they need neither a fit nor a twin."""
    known = {name: plugins.constants(file) for name, file in plugins.files(KIND).items()}
    return [name for name, has in known.items() if not (has.get("needs_fit") or has.get("needs_twin"))]


def make_replacement(mode: str) -> Replacement:
    """The replacement of this name, a file in this folder."""
    return plugins.subclass(KIND, mode, Replacement)()
