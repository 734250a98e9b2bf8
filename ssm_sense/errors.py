"""The one error that a person at the command line is meant to read."""


class UserError(ValueError):
    """A file or an argument that somebody can put right: what was expected, and what came.

    The command line shows its message as one line and exits with status 2, without a traceback.
    """
