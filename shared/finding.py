"""What an examination found: one line, with the mend."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`check` names what was looked at; `mend` says what to do unless all is well.

    `state`: `ok`, `warn` (works, but mind it), `wrong`.
    """

    check: str
    state: Literal["ok", "warn", "wrong"]
    text: str
    mend: str = ""

    def line(self) -> str:
        """As people read it."""
        mend = f" -> {self.mend}" if self.mend else ""
        return f"{self.state:5} {self.check}: {self.text}{mend}"


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, mend: str) -> Finding:
    """It works, but."""
    return Finding(check, "warn", text, mend)


def wrong(check: str, text: str, mend: str) -> Finding:
    """It cannot work like this."""
    return Finding(check, "wrong", text, mend)
