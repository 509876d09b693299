"""What a user of trainables and corpora can get wrong."""


class InputError(ValueError):
    """Something given from outside (a folder, a file, a setting) can't be used; the message is one line that says
    where, what was given, what is allowed and what to do."""
