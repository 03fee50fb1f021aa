"""The one exception that a person is meant to read. It knows nothing of what went wrong, only how it is told."""


class InputError(ValueError):
    """A problem with something the user gave: a file, a key, a number, an argument.

    Its text is the whole message, in the form `<where>: expected <rule>, got <value>. <what to do>.`
    The command line prints it without a traceback and exits with code 2.
    """
