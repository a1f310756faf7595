"""Values at dotted keys of configs, and of what JSON files hold."""

from collections.abc import Sequence
from typing import Any


def put(content: Any, key: str | Sequence[str], value: Any) -> None:
    """Put a value at a dotted key, or at one in parts; ``...`` takes the key away. What it lacks on the way is made."""
    *path, last = key.split(".") if isinstance(key, str) else key
    for part in path:
        content = content[int(part)] if isinstance(content, list) else content.setdefault(part, {})
    at = int(last) if isinstance(content, list) else last
    if value is ...:
        del content[at]
    else:
        content[at] = value
