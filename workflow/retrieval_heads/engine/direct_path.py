"""What the heads' outputs write straight into the logits: through the residual stream, and through no other head.

Every factor on that path is frozen at the value that it has in the prompt: norms before and behind the output
projection, gates, multipliers of the residual stream and of the logits. Then a logit is linear in what attention, the
feed-forward parts and the embedding write (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits";
nostalgebraist 2020, "interpreting GPT: the logit lens").

No architecture is known here by its name. The rows of the answer are run once more with the heads' outputs that they
had, and autograd goes back from their logits; what would lead through another head or a feed-forward part is cut off
the tape, and norms multiply by what they have found. Whether that is the whole path is seen in the sum of all parts
(:func:`require_direct_path`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import decoder_layers, holds_attention, random_ids
from retrieval_heads.engine.attention import hooked
from retrieval_heads.engine.forks import hidden_of, hooked_attention, with_hidden
from retrieval_heads.errors import StudyError

_MAX_NORM_DIFFERENCE = {torch.float32: 1e-4}
_MAX_NORM_DIFFERENCE_ROUNDED = 2e-2
"""Between a norm and the same with its factor frozen, as a share of the largest output; in float32 and in others."""


_TRIED = 12
"""Tokens of the prompt on which a model's direct path is tried."""
_MAX_SUM_DISTANCE = {torch.float32: 1e-4}
_MAX_SUM_DISTANCE_ROUNDED = 5e-2
"""Between the sum of all parts and the logits, as a share of the largest part; in float32 and in other precisions."""


@dataclass(frozen=True)
class DirectPath:
    """What adds up to an answer's centred logits, Σ_t (ℓ_t(y_t) − mean ℓ_t) over its A tokens, before any soft-cap.

    gradients: of that sum for each layer's z, (A, H, D); entry t is of the row that produces token t. behind: the same
    for what each layer's attention writes, (1, A, E). heads, attention: what each layer's heads write, (L,), and the
    same with the bias of their output projection; parts: what else writes: feed-forward parts, embeddings, biases of
    norms and of the logits. total: the sum itself.
    """

    gradients: list[Tensor]
    behind: list[Tensor]
    heads: Tensor
    attention: Tensor
    parts: dict[str, float]
    total: float


def direct_path(
    model: PreTrainedModel, ids: Tensor, positions: Tensor, outputs: Sequence[Tensor], answer: Tensor
) -> DirectPath:
    """The direct path from heads, and from all else that writes, to the logits of an answer.

    Parameters
    ----------
    ids, positions : (A,) each, the tokens in the rows that produce the answer, and where they are in their prompt.
    outputs : of each layer, the heads' outputs z in these rows, (1, A, H, D).
    answer : (A,), the tokens produced.

    Raises
    ------
    StudyError
        where a norm on the path is of no kind that is known, with the architecture's name.
    """
    tape = _Tape()
    with (
        constant_weights(model),
        torch.inference_mode(False),
        torch.enable_grad(),
        hooked(model, outputs=lambda layer: tape.leaf(f"heads {layer}", outputs[layer])),
        _direct_path_alone(model, tape),
        without_softcap(model),
    ):
        logits = model(input_ids=ids[None], position_ids=positions[None], use_cache=False).logits[0].float()
        total = (logits.gather(-1, answer[:, None]).squeeze(-1) - logits.mean(-1)).sum()
        gradients = torch.autograd.grad(total, list(tape.leaves.values()), materialize_grads=True)
    found = dict(zip(tape.leaves, gradients, strict=True))
    writes = {name: (found[name] * value).double().sum() for name, value in tape.values.items()}
    heads, attention = (
        torch.stack([writes.pop(f"{what} {layer}") for layer in range(len(outputs))]) for what in ("heads", "attention")
    )
    return DirectPath(
        [found[f"heads {layer}"][0] for layer in range(len(outputs))],
        [found[f"attention {layer}"] for layer in range(len(outputs))],
        heads,
        attention,
        {name: value.item() for name, value in writes.items()},
        total.item(),
    )


@contextmanager
def constant_weights(model: PreTrainedModel) -> Iterator[None]:
    """Ask for no gradients of a model's weights: a tape that also led to them would hold far more."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_()


class _Tape:
    """The leaves of a tape, by name, and what each had for a value."""

    def __init__(self) -> None:
        self.leaves: dict[str, Tensor] = {}
        self.values: dict[str, Tensor] = {}

    def leaf(self, name: str, value: Tensor) -> Tensor:
        """A constant that gradients are asked for; under a name of its own, were a module called twice."""
        name = name if name not in self.leaves else f"{name}, {len(self.leaves)}"
        self.values[name] = value.detach()
        self.leaves[name] = value.detach().clone().requires_grad_()
        return self.leaves[name]

    def probe(self, name: str, value: Tensor) -> Tensor:
        """The value itself, with its gradient seen on the way."""
        zero = self.leaf(name, torch.zeros_like(value))
        self.values[name] = value.detach()
        return value + zero


def require_direct_path(model: PreTrainedModel) -> None:
    """Refuse a model in which what heads and all else write does not add up to the logits, on a short prompt.

    All else includes what each attention writes where its heads put out nothing: the biases behind them.

    Raises
    ------
    StudyError
        with the architecture's name.
    """
    name, device = type(model).__name__, model.device
    (ids,) = random_ids(model, _TRIED + 1)
    read, answer = ids[:-1].to(device), ids[1:].to(device)
    outputs: list[Tensor] = []
    positions = torch.arange(_TRIED, device=device)

    def run(**fields: Any) -> Tensor:
        """The centred logits of the answer, summed."""
        with torch.no_grad(), hooked(model, **fields), without_softcap(model):
            logits = model(input_ids=read[None], position_ids=positions[None], use_cache=False).logits[0].float()
        return (logits.gather(-1, answer[:, None]).squeeze(-1) - logits.mean(-1)).sum()

    plain = run(observe=lambda _call, z: outputs.append(z))
    path = direct_path(model, read, positions, outputs, answer)
    empty: list[Tensor] = []
    with hooked_attention(model, lambda _layer, out: empty.append(hidden_of(out))):
        run(outputs=lambda layer: torch.zeros_like(outputs[layer]))
    biases = torch.stack([(back * out).double().sum() for back, out in zip(path.behind, empty, strict=True)])
    scale = max(1.0, *path.attention.abs().tolist(), *map(abs, path.parts.values()))
    limit = scale * _MAX_SUM_DISTANCE.get(model.dtype, _MAX_SUM_DISTANCE_ROUNDED)
    found = (path.heads + biases).sum().item() + sum(path.parts.values())
    of_layers = (path.heads + biases - path.attention).abs().max().item()
    if not max(of_layers, abs(found - path.total), abs(plain.item() - path.total)) <= limit:
        raise StudyError(
            f"{name}: what its heads, feed-forward parts and embeddings write adds up to {found:.4g}, and its logits "
            f"to {plain.item():.4g}, so the way from heads to logits is not known for this architecture; leave out the "
            "methods that need it, and controls.compensation."
        )


@contextmanager
def _direct_path_alone(model: PreTrainedModel, tape: _Tape) -> Iterator[None]:
    """Leave nothing of a model's tape but the direct path, and make what joins it leaves of the tape."""
    handles: list[Any] = []

    def cut(module: nn.Module, name: str) -> None:
        """Let a module's input be a constant, and its output a leaf."""
        handles.append(module.register_forward_pre_hook(_detached, with_kwargs=True))
        handles.append(
            module.register_forward_hook(lambda _m, _a, out: with_hidden(out, tape.leaf(name, hidden_of(out))))
        )

    layers = decoder_layers(model)
    in_layers = set(layers.modules())
    try:
        for name, part in model.get_decoder().named_modules():
            if part in in_layers:
                continue
            if _is_norm(part):
                handles.append(part.register_forward_hook(_FrozenNorm(model, name, tape)))
            elif isinstance(part, nn.Embedding):
                cut(part, name)
        for number, layer in enumerate(layers):
            for name, part in layer.named_children():
                if _is_norm(part):
                    handles.append(part.register_forward_hook(_FrozenNorm(model, f"{number} {name}", tape)))
                elif holds_attention(part):
                    handles.append(part.register_forward_pre_hook(_detached, with_kwargs=True))
                    # Between heads and output projection, as in BitNet. Their biases are the attention's.
                    handles += [
                        norm.register_forward_hook(_FrozenNorm(model, f"{number} {name} {inner}"))
                        for inner, norm in part.named_modules()
                        if _is_norm(norm)
                    ]
                elif not isinstance(part, (nn.Dropout, nn.Identity)):
                    cut(part, f"{number} {name}")
        head: Any = model.get_output_embeddings()
        if getattr(head, "bias", None) is not None:
            handles.append(
                head.register_forward_hook(
                    lambda _module, _args, out: out - head.bias.detach() + tape.leaf("bias of the logits", head.bias)
                )
            )
        with hooked_attention(
            model, lambda layer, out: with_hidden(out, tape.probe(f"attention {layer}", hidden_of(out)))
        ):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm, by its class's name, as transformers and torch write it."""
    return type(module).__name__.endswith("Norm")


def _detached(_module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """A module's arguments as constants."""
    return tuple(map(_constant, args)), {name: _constant(value) for name, value in kwargs.items()}


def _constant(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


class _FrozenNorm:
    """A forward hook that lets a norm multiply by the factor that it has found, as if that were a constant.

    A root mean square norm is x · r · w, a layer norm (x − mean x) · r · w + b. Which of both it is, w and b are read
    off from what it makes of two vectors whose entries are all alike, or alternate; r from its output. Without a tape,
    the bias stays a constant.
    """

    def __init__(self, model: PreTrainedModel, name: str, tape: _Tape | None = None):
        self._model, self._name, self._tape = model, name, tape

    @torch.no_grad()
    def _kind(self, module: nn.Module, x: Tensor) -> tuple[bool, Tensor, Tensor]:
        """Whether it takes the mean off, its weight w and bias b, (E,) each, in float32."""
        # Large enough for the norm's epsilon to make no difference.
        even = torch.full_like(x.detach().reshape(-1, x.shape[-1])[:1], 1e3)
        uneven = even.clone()
        uneven[..., 1::2] *= -1
        signs = uneven / 1e3
        of_even, of_uneven, of_opposite = (module.forward(one).float()[0] for one in (even, uneven, -uneven))
        bias = (of_uneven + of_opposite) / 2
        weight = (of_uneven - bias) * signs[0].float()
        centred = bool((of_even - bias).abs().max() < 0.5 * weight.abs().max())
        return centred, weight, bias

    def __call__(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        """The norm's output, linear in its input on the tape."""
        (x,) = args
        if not x.requires_grad:  # nothing on the path leads here, as to the norms of queries and keys
            return output
        centred, weight, bias = self._kind(module, x)
        base = x.float()
        base = (base - base.mean(-1, keepdim=True) if centred else base) * weight
        with torch.no_grad():
            wanted = output.float() - bias
            factor = (wanted * base).sum(-1, keepdim=True) / base.square().sum(-1, keepdim=True).clamp(min=1e-30)
        frozen = base * factor
        largest = wanted.abs().max().clamp(min=1e-30)
        limit = _MAX_NORM_DIFFERENCE.get(x.dtype, _MAX_NORM_DIFFERENCE_ROUNDED)
        if not (frozen.detach() - wanted).abs().max() <= limit * largest:
            raise StudyError(
                f"{type(self._model).__name__}: {type(module).__name__} ({self._name}) is no root mean square norm "
                "and no layer norm, so what heads write into the logits cannot be told; leave out the methods that "
                "need it, and controls.compensation."
            )
        if bias.abs().max() > 0:
            bias = bias.expand_as(frozen)
            frozen = frozen + (bias if self._tape is None else self._tape.leaf(f"bias of {self._name}", bias))
        return frozen.to(output.dtype)


@contextmanager
def without_softcap(model: PreTrainedModel) -> Iterator[None]:
    """Let a model's logits be those before they are soft-capped at last."""
    config: Any = model.config.get_text_config()
    cap = getattr(config, "final_logit_softcapping", None)
    if cap is None:
        yield
        return
    config.final_logit_softcapping = None
    try:
        yield
    finally:
        config.final_logit_softcapping = cap


def final_softcap(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """What a model does to its logits at last, as a function of those before it: a soft-cap, or nothing."""
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return (lambda logits: logits) if cap is None else (lambda logits: torch.tanh(logits / cap) * cap)
