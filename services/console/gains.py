"""What retrainings gained, in words: a line a job, a row a policy."""

import msgspec

from services.console.core import Board
from services.console.ledger import JobRow
from services.console.words import count, number
from shared.registry.gains import Score, ranked, unit


class PolicyRow(msgspec.Struct, frozen=True):
    """The sums of one policy, as texts."""

    policy: str
    jobs: str
    accepted: str
    promoted: str
    seconds: str
    gained: str
    between: str
    price: str
    net: str
    tone: str


def policy_rows(board: Board) -> list[PolicyRow]:
    """Whoever brought most first."""
    return [_row(score) for score in ranked(score for _, score in board.ledger.scores.items())]


def gain_unit(board: Board) -> str:
    """What gains, prices and nets are counted in."""
    return unit(board.problem.metric)


def gain_of(board: Board, row: JobRow) -> tuple[str, str]:
    """What a job gained, or until when that is open, and its tone; empty while it is under way."""
    if row.settled is not None:
        net = row.settled.evidence.get("net")
        worth = row.settled.evidence.get("gained") if net is None else net
        return row.settled.reason, "" if not worth else "good" if worth > 0 else "warn"
    if row.job.state != "accepted":
        return "", ""
    version, most = row.job.model, count(board.problem.promotion.watch_after)
    if board.live.champion == version:
        return f"being measured, on at most {most} labelled events since its promotion", ""
    return f"open: known when {version} has left, or has been champion for {most} labels", ""


def _row(score: Score) -> PolicyRow:
    measured = score.promoted - score.unknown
    return PolicyRow(
        policy=score.policy.replace("+", " and "),
        jobs=count(score.jobs),
        accepted=count(score.accepted),
        promoted=count(score.promoted),
        seconds=number(score.seconds),
        gained=_signed(score.gained),
        between=f"{_signed(score.low)} to {_signed(score.high)}" if measured else "",
        price=number(score.price),
        net="–" if score.net is None else _signed(score.net),
        tone="" if score.net is None else "good" if score.net > 0 else "warn",
    )


def _signed(value: float) -> str:
    return f"{value:+,.4g}" if value else "0"
