"""The one exception that means "the user gave us something we cannot use"."""


class InputError(ValueError):
    """Bad input: the message is one line that names what was found and what was expected."""
