"""What the engine asks of a model's architecture: its layers and heads, end tokens, and what changes with length."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retrieval_heads.errors import StudyError


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


def holds_attention(part: nn.Module) -> bool:
    """Whether a part of a layer is its attention, or has it inside, by its class's name as transformers writes it."""
    return any("Attention" in type(module).__name__ for module in part.modules())


def random_ids(model: PreTrainedModel, *counts: int) -> list[Tensor]:
    """Token ids for trying a model out, (count,) each on the host: always the same ones."""
    embeddings: Any = model.get_input_embeddings()  # of whatever class, it has a weight
    vocabulary, generator = embeddings.weight.shape[0], torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (count,), generator=generator) for count in counts]


def end_tokens(model: PreTrainedModel) -> set[int]:
    """The tokens that end a generation."""
    ends = model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}


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


def require_same_rotation(model: PreTrainedModel, shortest: int, longest: int) -> None:
    """Refuse lengths between which a model's rotary embedding changes.

    In transformers the length of the whole prompt decides how all its tokens are turned, those of the context included.
    Here a context is run once, for prompts of different length and for all that follows them, so its keys can be turned
    in one way only.

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
        each_length_differs = kind != "longrope"
        if longest > switch and (each_length_differs or shortest <= switch):
            other = "" if each_length_differs else f", or so long that their contexts have more than {switch} tokens"
            raise StudyError(
                f"{type(model).__name__}: its rotary embedding ({kind}) changes beyond {switch} tokens, and here "
                f"prompts go on from {shortest} to {longest} tokens; give prompts.context_lengths so short that "
                f"prompts and answers (generation.max_new_tokens) have at most {switch} tokens together{other}."
            )


def require_positions(model: PreTrainedModel, longest: int) -> None:
    """Refuse prompts that go on beyond the positions of a model which has learned one vector for each (GPT-2, OPT).

    Others calculate what they need for any position.

    Parameters
    ----------
    longest : tokens of the longest prompt with its answer.

    Raises
    ------
    StudyError
        which names the architecture and the number of positions.
    """
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is None or longest <= positions:
        return
    of_tokens = model.get_input_embeddings()
    others = [module for module in model.modules() if isinstance(module, nn.Embedding) and module is not of_tokens]
    # Some begin to count at 2.
    if any(table.num_embeddings in (positions, positions + 2) for table in others):
        raise StudyError(
            f"{type(model).__name__}: it has {positions} positions, and here prompts and answers have up to {longest} "
            "tokens together; give shorter prompts.context_lengths, or a larger prompts.suffix_budget."
        )
