"""Errors that mean something to the user or to a job."""


class StudyError(Exception):
    """Something the user can fix. The message is one sentence that names the file or key and says what to do."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory of the machine or of its GPU is used up."""
    signs = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in signs)
