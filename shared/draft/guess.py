"""What was guessed, in words."""

from typing import NamedTuple


class Guess(NamedTuple):
    """`what` was decided on `about`, and `why`. `change`: how to have it otherwise.

    `sure` False: the sample does not settle it; a person should look.
    """

    about: str
    what: str
    why: str
    change: str = ""
    sure: bool = True
