"""The one exception that a person is meant to read; it knows nothing of what went wrong."""


class InputError(ValueError):
    """A problem with something the user gave: a file, a key, a number, an argument.

    Its text is the whole message: `<where>: expected <rule>, got <value>. <what to do>.`
    The command line prints it without a traceback and exits with code 2.
    """
