"""The one exception that is meant for the user's eyes."""


class StudyError(Exception):
    """Something the user can fix. The message is one sentence that names the file or key and says what to do."""
