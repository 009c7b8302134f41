"""Errors that a user can act on: what was given, what was expected, what to do."""


class HeadstartError(Exception):
    """Base of every error this library raises on purpose; the command line prints it without a traceback."""


class UsageError(HeadstartError, ValueError):
    """A name, option or combination of options that cannot work."""


class DataError(HeadstartError, ValueError):
    """Recorded data that is malformed, or does not fit the world or the method."""


class WorldError(HeadstartError, RuntimeError):
    """A world that raised, or returned something that is not a number, while being acted in."""


class DivergenceError(HeadstartError, RuntimeError):
    """A loss or parameter that stopped being finite; the last good checkpoint is kept."""


class CheckpointError(HeadstartError, ValueError):
    """A checkpoint that is missing, damaged, or of another shape than asked for."""
