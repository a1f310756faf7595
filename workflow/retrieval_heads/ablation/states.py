"""What replacements were fitted to, in files."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from retrieval_heads.ablation.replacements import State
from retrieval_heads.atomic_write import atomic_file


def save_state(state: State, path: str | Path) -> None:
    """Write the state of a replacement to a safetensors file, whole or not at all."""
    with atomic_file(path) as file:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, file)


def load_state(path: str | Path | None, device: torch.device) -> State:
    """The state of a replacement, on a device; empty without a file, for a replacement that needs no fit."""
    return load_file(str(path), device=str(device)) if path else {}
