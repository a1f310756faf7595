"""Models that are wrong, each by what is done to the folder of one that is right, or by the bytes of a GGUF file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_input_case import Case

from hostile_text import COMMANDS

Spoil = Callable[[Path], object]

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_AGAIN = "get the model again"


def _written(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def _cut(name: str, end: int) -> Spoil:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:end])


def _gone(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def _said(**values: Any) -> Spoil:
    """Another value of keys of config.json; ``...`` takes one away."""

    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | values
        config = {key: value for key, value in config.items() if value is not ...}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return spoil


def _header(header: bytes, more: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + more


def _indexed(index: object) -> Spoil:
    return _written(_INDEX, json.dumps(index).encode())


def _tensor(**values: object) -> bytes:
    return _header(json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | values}).encode(), b"0000")


FOLDERS = [
    Case("a folder without a config", _gone("config.json"), r"models\.small\.source\.path:", "save_pretrained"),
    Case("a folder without weights", _gone(_WEIGHTS), r"models\.small\.source\.path:", "save_pretrained"),
    Case("a config that is empty", _written("config.json", b""), ".*/config.json:", _AGAIN),
    Case("a config that ends early", _cut("config.json", 40), ".*/config.json:", _AGAIN),
    Case("a config that is a list", _written("config.json", b"[]"), ".*/config.json:", _AGAIN),
    Case("a config that is null", _written("config.json", b"null"), ".*/config.json:", _AGAIN),
    Case("a config in another encoding", _written("config.json", b'{"a": "\xe9"}'), ".*/config.json:", _AGAIN),
    Case("a config with a key twice", _written("config.json", b'{"a": 1, "a": 2}'), ".*/config.json:", "keep one"),
    Case("a config nested without end", _written("config.json", b"[" * 10**5), ".*/config.json:", _AGAIN),
    Case("a config that is another format", _written("config.json", b"\x80\x04K\x01."), ".*/config.json:", _AGAIN),
    Case("a config of nothing", _written("config.json", b"{}"), ".*: transformers cannot read", "model_type"),
    Case("an architecture that is none", _said(model_type="nosuch"), ".*: transformers cannot read", "nosuch"),
    Case("an architecture that commands a terminal", _said(model_type=COMMANDS), ".*: transformers cannot", _AGAIN),
    Case("an activation that commands a terminal", _said(hidden_act=COMMANDS), ".*: transformers cannot", _AGAIN),
    Case("an index that commands a terminal", _indexed({"weight_map": {"a": COMMANDS}}), f".*/{_INDEX}:", ""),
    Case("an architecture that is a list", _said(model_type=["llama"]), ".*: transformers cannot read", _AGAIN),
    Case("a model that reads and writes two texts", _said(model_type="t5"), r"models\.small:", "choose another model"),
    Case("a model of pictures", _said(model_type="llava"), r"models\.small:", "choose another model"),
    Case("a model that names masked words", _said(model_type="bert"), ".*: the checkpoint lacks", _AGAIN),
    Case("a model without attention", _said(model_type="mamba"), ".*: the checkpoint lacks", _AGAIN),
    Case("a part for text that is a list", _said(text_config=[1]), ".*/config.json:", _AGAIN),
    Case("positions in words", _said(max_position_embeddings="many"), ".*/config.json: max_pos", "whole number"),
    Case("no positions", _said(max_position_embeddings=0), ".*/config.json: max_position", "whole number"),
    Case("heads as a list", _said(num_attention_heads=[4, 4]), ".*/config.json: num_attention", "whole number"),
    Case("heads in quotes", _said(num_attention_heads="8"), ".*/config.json: num_attention", "whole number"),
    Case("a negative number of layers", _said(num_hidden_layers=-1), ".*/config.json: num_hidden", "whole number"),
    Case("half a layer", _said(num_hidden_layers=2.5), ".*/config.json: num_hidden", "whole number"),
    Case("a thousand million layers", _said(num_hidden_layers=10**9), ".*: the checkpoint lacks most", _AGAIN),
    Case("one layer too few", _said(num_hidden_layers=3), ".*: the checkpoint has", "correct num_hidden_layers"),
    Case("a vocabulary of other size", _said(vocab_size=10), ".*: the checkpoint has in other shapes", _AGAIN),
    Case("heads that do not divide the width", _said(hidden_size=100), ".*: transformers cannot read", _AGAIN),
    Case("an activation that is none", _said(hidden_act="magic"), ".*: transformers cannot read", "magic"),
    Case("rotary positions of no kind", _said(rope_scaling={"type": "magic"}), ".*: transformers cannot", "magic"),
    Case("a precision that is none", _said(dtype="float99"), ".*: transformers cannot read", "float99"),
    Case(
        "weights quantised by GPTQ", _said(quantization_config={"quant_method": "gptq", "bits": 4}), ".*:", "made from"
    ),
    Case("weights quantised by AWQ", _said(quantization_config={"quant_method": "awq", "bits": 4}), ".*:", "made from"),
    Case("weights quantised in no known way", _said(quantization_config={"quant_method": "q"}), ".*:", "by q, which"),
    Case("weights quantised in no way", _said(quantization_config={}), ".*:", "made from"),
    Case("weights quantised by a list", _said(quantization_config=[1]), ".*:", _AGAIN),
    Case("weights quantised by a number", _said(quantization_config={"quant_method": 4}), ".*:", "made from"),
    Case("weights that are empty", _written(_WEIGHTS, b""), ".*/model.safetensors:", _AGAIN),
    Case("weights of eight bytes", _cut(_WEIGHTS, 8), ".*/model.safetensors:", _AGAIN),
    Case("weights that end in their header", _cut(_WEIGHTS, 5000), ".*/model.safetensors:", _AGAIN),
    Case("weights that end early", _cut(_WEIGHTS, -1), ".*/model.safetensors:", _AGAIN),
    Case("weights that go on", lambda folder: (folder / _WEIGHTS).open("ab").write(b"1"), ".*/model.saf", _AGAIN),
    Case("weights that are a web page", _written(_WEIGHTS, b"<html>404</html>"), ".*/model.saf", _AGAIN),
    Case("weights that Git left elsewhere", _written(_WEIGHTS, b"version https://git-lfs"), ".*/model.saf", _AGAIN),
    Case("a header longer than any file", _written(_WEIGHTS, (2**60).to_bytes(8, "little")), ".*/model.saf", _AGAIN),
    Case("a header that is a list", _written(_WEIGHTS, _header(b"[]")), ".*/model.safetensors:", _AGAIN),
    Case("a header that is no JSON", _written(_WEIGHTS, _header(b"{x")), ".*/model.safetensors:", _AGAIN),
    Case("a header without places", _written(_WEIGHTS, _header(b'{"a": {}}')), ".*/model.safetensors:", _AGAIN),
    Case("places in words", _written(_WEIGHTS, _tensor(data_offsets="ab")), ".*/model.safetensors:", _AGAIN),
    Case("tensors without a type", _written(_WEIGHTS, _tensor(dtype=None)), ".*/model.safetensors:", _AGAIN),
    Case("a file without tensors", _written(_WEIGHTS, _header(b"{}")), ".*: the checkpoint lacks most", _AGAIN),
    Case("an index that is a list", _indexed([]), f".*/{_INDEX}:", _AGAIN),
    Case("an index of nothing", _indexed({}), f".*/{_INDEX}:", _AGAIN),
    Case("an index without file names", _indexed({"weight_map": {"a": 1}}), f".*/{_INDEX}:", _AGAIN),
    Case("an index of a file that is missing", _indexed({"weight_map": {"a": "2.safetensors"}}), f".*/{_INDEX}:", "2"),
    Case("an index that leads elsewhere", _indexed({"weight_map": {"a": "../b"}}), f".*/{_INDEX}:", "of its folder"),
    Case("a tokenizer that is empty", _written("tokenizer.json", b""), ".*: .* this tokenizer", _AGAIN),
    Case("a tokenizer of nothing", _written("tokenizer.json", b"{}"), ".*: .* this tokenizer", _AGAIN),
    Case("a tokenizer that is a list", _written("tokenizer.json", b"[]"), ".*: .* this tokenizer", _AGAIN),
    Case("a tokenizer that ends early", _cut("tokenizer.json", 500), ".*: .* this tokenizer", _AGAIN),
    Case("a tokenizer in another encoding", _written("tokenizer.json", b"\xff\xfe"), ".*: .* this tokenizer", _AGAIN),
    Case("a tokenizer that is missing", _gone("tokenizer.json"), ".*: .* this tokenizer", _AGAIN),
    Case("settings of a tokenizer that are a list", _written("tokenizer_config.json", b"[]"), ".*:", _AGAIN),
    Case("settings of a tokenizer that are empty", _written("tokenizer_config.json", b""), ".*:", _AGAIN),
    Case("settings of generation that are a list", _written("generation_config.json", b"[]"), ".*:", _AGAIN),
]
"""Each has the function that spoils a folder."""


def _of_architecture(name: str) -> bytes:
    """A GGUF file that tells its architecture, and no more."""
    said = [len(text).to_bytes(8, "little") + text for text in (b"general.architecture", name.encode())]
    return (
        b"GGUF"
        + (3).to_bytes(4, "little")
        + bytes(8)
        + (1).to_bytes(8, "little")
        + (8).to_bytes(4, "little").join(said)
    )


GGUF_FILES = [
    Case("a GGUF file that commands a terminal", _of_architecture(COMMANDS), ".*gguf:", _AGAIN),
    Case("a GGUF file of an architecture that is none", _of_architecture("nosuch"), ".*gguf:", _AGAIN),
    Case("a GGUF file that is empty", b"", r"models\.small\.source\.gguf:", "give one"),
    Case("a GGUF file of four bytes", b"GGUF", ".*gguf: cannot be read", _AGAIN),
    Case("a GGUF file of a version that is none", b"GGUF" + (99).to_bytes(4, "little") * 9, ".*gguf:", _AGAIN),
    Case("a GGUF file of no known tensors", b"GGUF" + (3).to_bytes(4, "little") + bytes(16), ".*gguf:", _AGAIN),
    Case("a GGUF file of too many tensors", b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 64, ".*gguf:", _AGAIN),
    Case("a GGUF file of another byte order", b"GGUF" + (3).to_bytes(4, "big") + bytes(64), ".*gguf:", _AGAIN),
]
"""Each has the bytes of a file."""
