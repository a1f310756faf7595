"""Errors that mean something to the user or to a job."""

_LONGEST = 1_000
"""Characters of a message: its beginning names the place, and its end says what to do."""


class StudyError(Exception):
    """Something the user can fix. The message is one sentence that names the file or key and says what to do.

    It quotes what users and files say, so whatever that is, the message is one printable line of bounded length.
    """

    def __str__(self) -> str:
        words = " ".join(super().__str__().split("\n"))
        line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in words)
        return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 4 :]}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory of the machine or of its GPU is used up."""
    signs = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in signs)
