"""The errors that a user caused and can mend: each message is one line that says what is wrong, where, and the remedy.

The command line prints such a message alone and exits with 2; everything else that is raised is a bug of ours.
"""

from __future__ import annotations

MOST_CHARACTERS = 1500  # of a message


class UserError(Exception):
    """Something outside the program is wrong, and the message tells the user how to mend it.

    It is one line whatever the names and values in it hold: what cannot be printed stands there as its escape, and the
    middle of what nobody would read is left out.
    """

    def __str__(self) -> str:
        text = super().__str__()
        text = text if text.isprintable() else "".join(map(_escaped, text))
        half = MOST_CHARACTERS // 2
        return text if len(text) <= MOST_CHARACTERS else f"{text[:half]} ... {text[-half:]}"


class ConfigError(UserError, ValueError):
    """A config file, or a key or value in it, cannot be used."""


class DataError(UserError, ValueError):
    """Something in the user's data is wrong; the message names the file and the record."""


class WeightsError(UserError, ValueError):
    """A checkpoint is missing, damaged, unsafe to read, or made for another model."""


class SetupError(UserError, RuntimeError):
    """A package, a device or a folder that the job needs is missing or does not fit."""


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
