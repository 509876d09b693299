"""The error that bad input raises."""


class InputError(ValueError):
    """A folder, a file or a setting from the user that can't be used.

    The message is one line: where, what was given, what is allowed, what to do.
    """
