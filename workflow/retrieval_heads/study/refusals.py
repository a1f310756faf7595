"""What is said about a config that its form does not allow: one sentence, which names the key and says what to do."""

import difflib
import math
from collections.abc import Iterable

from jsonschema import ValidationError

# Keys of former versions, and what holds in their place.
_FORMER = {"generation.min_recall": "the type of a question alone decides what answers it"}


def most_telling(errors: Iterable[ValidationError]) -> ValidationError | None:
    """The error to tell of, if there is any: a wrong source of documents, which decides what other keys mean; a key
    without meaning here, for its study may be meant as one of the other kind; an unknown key, for the one that it was
    meant for is then missing too; then the others by their place in the config.
    """

    def order(error: ValidationError) -> tuple:
        path = list(map(str, error.path))
        unknown = _unknown_keys(error)
        meaningless = any(key in _meaningless(error) for key in unknown)
        return path != ["documents", "source"], not meaningless, path, not unknown, error.message

    return min(errors, key=order, default=None)


def sentence(error: ValidationError) -> str:
    """What to tell the user about an error of :func:`~retrieval_heads.study.forms.errors`."""
    where, value = ".".join(str(part) for part in error.absolute_path), error.instance
    if error.validator == "additionalProperties":
        return _sentence_on_unknown_key(error, where)
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"{'.'.join(filter(None, (where, missing)))}: this key is missing from the config; add it."
    if error.validator == "oneOf":
        # Where a value has the keys of one form, what is wrong is in them.
        for number, form in enumerate(error.validator_value):
            if isinstance(value, dict) and set(value) == set(form["required"]):
                return sentence(next(inner for inner in error.context if inner.schema_path[0] == number))
        forms = ["{" + ", ".join(f"{key}: …" for key in form["required"]) + "}" for form in error.validator_value]
        return f"{where}: {value} is no source of models; write one of {'; '.join(forms)}."
    if error.validator == "format":
        return f"{where}: {value!r:.80} {error.cause}."
    if error.validator == "type" and isinstance(value, str) and (meant := _as_number(value)) is not None:
        # YAML reads 1e-3 as text too.
        return f"{where}: {error.message}; write {meant!r}, without quotes."
    message = error.message if len(error.message) < 200 else f"{error.message[:80]} … {error.message[-80:]}"
    return f"{where or 'config'}: {message}; see config/README.md for what it may be."


def _sentence_on_unknown_key(error: ValidationError, section: str) -> str:
    unknown, meaningless = _unknown_keys(error), _meaningless(error)
    name = next((key for key in unknown if key in meaningless), unknown[0])
    key, known = f"{section}.{name}".removeprefix("."), list(error.schema.get("properties", {}))
    if name in meaningless:
        return f"{key}: this key {meaningless[name]}"
    if key in _FORMER:
        return f"{key}: this key is gone, as {_FORMER[key]}; take it out."
    if section == "methods":
        files = [one for one in known if "method" not in error.schema["properties"][one].get("properties", {})]
        return f"{key}: no such method; there are {', '.join(files)}; under another name, say which under method."
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"known here are {', '.join(known) or 'none'}."
    return f"{key}: no such key in the config; {hint}"


def _unknown_keys(error: ValidationError) -> list[str]:
    """The keys that an error is about, where it is about keys that a section does not have."""
    if error.validator != "additionalProperties":
        return []
    return [key for key in error.instance if key not in error.schema.get("properties", {})]


def _meaningless(error: ValidationError) -> dict[str, str]:
    """Key → why a section of this config does not have it, as its form says."""
    return error.schema.get("meaningless", {})


def _as_number(text: str) -> float | None:
    """The finite number that text writes, if it writes one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if not math.isfinite(number) else int(number) if number.is_integer() else number
