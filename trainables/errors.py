"""The errors that trainables and corpora raise."""


class InputError(ValueError):
    """A folder, a file or a setting from the user that can't be used.

    The message is one line: where, what was given, what is allowed, what to do.
    """


class EndedFromOutside(InputError):
    """Somebody sent SIGTERM to the code of a trial, which is no failure of the trial."""


class MemoryShort(InputError, MemoryError):
    """Code that a trial runs in another process ended because memory was short."""
