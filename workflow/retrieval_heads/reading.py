"""JSON and YAML as files hold them: UTF-8, every key once, no more values than are meant.

The usual readers keep the last of two values: a mistake that nothing would tell.
"""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from retrieval_heads.errors import StudyError

_MOST_VALUES = 100_000
"""Values of a file with its aliases written out. A few lines of aliases may write more than memory holds."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be half a character: JSON writes one beyond U+FFFF as two halves, and a half alone is none."""


def read_json(file: str | Path, fix: str) -> Any:
    """What a JSON file holds.

    Parameters
    ----------
    fix : what to do about a file that is no JSON, for the message.

    Raises
    ------
    StudyError
        with the file, and the key that is there twice.
    """
    try:
        return parse_json(Path(file).read_text(encoding="utf-8"), str(file))
    except ValueError as error:
        raise StudyError(f"{file}: not valid JSON; {fix}.") from error


def parse_json(text: str, where: str) -> Any:
    """What JSON text holds.

    Parameters
    ----------
    where : the text's place, for the message.

    Raises
    ------
    ValueError
        when it is no JSON, or has half a character in it.
    StudyError
        with the key that is there twice in one object.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise StudyError(f"{where}: {twice} is there twice; keep one of them.")
        return made

    try:
        value = json.loads(text, object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if _HALF.search(text):
        # An error of this is a ValueError.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def read_yaml(file: str | Path, fix: str) -> Any:
    """The same of a YAML file.

    Raises
    ------
    StudyError
        as `read_json`, with the lines of both keys.
    """
    try:
        return _Loader(file).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StudyError(f"{file}: not valid YAML; {fix}.") from error


def read_config(file: str | Path) -> Any:
    """What a file of a config holds: JSON if it can be that, else YAML, as Snakemake reads it.

    Raises
    ------
    StudyError
        with the file that is not there or is neither; Snakemake ends with a traceback at some of these.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{file}: there is no such file, or it cannot be read; check the path.") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{file}: this config is not UTF-8 text; save it as such.") from error
    try:
        return parse_json(text, str(file))
    except ValueError:
        return read_yaml(file, "correct it; YAML takes no tabs before a key")


def require_single_keys(file: str | Path) -> None:
    """Refuse a JSON or YAML file of a config that has a key twice, in whatever else it may be wrong.

    Snakemake reads such files itself: as JSON if it can, else as YAML.
    """
    try:
        parse_json(Path(file).read_text(encoding="utf-8"), str(file))
    except ValueError:
        try:
            _Loader(file).get_single_node()
        except (yaml.YAMLError, ValueError, RecursionError):
            return


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice while nodes are made: later, merged keys (``<<``) stand among a node's own.
    Likewise aliases (``*name``) that stand for too much: later, they are written out."""

    def __init__(self, file: str | Path):
        super().__init__(Path(file).read_text(encoding="utf-8"))
        self._file = file
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent, index):
        node = super().compose_node(parent, index)
        if node is not None and node not in self._sizes:
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            inside = chain.from_iterable(part if isinstance(part, tuple) else (part,) for part in parts)
            # What a node has of itself is told elsewhere.
            self._sizes[node] = size = 1 + sum(self._sizes.get(one, 1) for one in inside)
            if size > _MOST_VALUES:
                raise StudyError(
                    f"{self._file}: with aliases (*) written out it has more than {_MOST_VALUES:,} values; write fewer."
                )
        return node

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, object], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if (same := (key.tag, key.value)) in lines:
                where = f"line {line}" if lines[same] == line else f"lines {lines[same]} and {line}"
                raise StudyError(f"{self._file}: {key.value} is there twice, in {where}; keep one of them.")
            lines[same] = line
        return node
