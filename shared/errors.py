"""The few errors of the project, named by what to do next.

Adapters translate driver errors into these; the runner (`shared/runtime/runner.py`) is the only place
that decides on them. Nothing above an adapter sees a driver's own exception.
"""


class HeadraceError(Exception):
    """Base of every error raised on purpose; its text says what, where and what to do next."""


class Reject(HeadraceError):
    """This record cannot be used. It goes to `rejected` with its raw bytes; the stream goes on.

    `check` names the rule that failed (stable, for counting), `field` the field where one is to blame.
    """

    def __init__(self, reason: str, check: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.check = check
        self.field = field


class Retryable(HeadraceError):
    """The outside did not answer as it should; throw the stage away, back off, rebuild, go on."""


class Fatal(HeadraceError):
    """Going on would do harm; stop with a non-zero exit code and let the supervisor decide."""

    exit_code = 1


class DataDirInUse(Fatal):
    """Another process owns the data directory (SQLite allows one; DESIGN section 4)."""

    exit_code = 3


class Fenced(Fatal):
    """A newer instance with the same identity took over."""

    exit_code = 4


class UsageError(Fatal):
    """The command line or the problem file is wrong; the text names file, line, field and the mend."""

    exit_code = 2


class UntrustedArtefact(HeadraceError):
    """An artefact failed verification (size, digest, signature, type list); it was not decoded.

    `check` is what a refusal is counted under in `rejected`, and what raises an alert.
    """

    check = "untrusted_artefact"
