"""Numbers, figures and evidence in words; the terminal."""

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from services.console import policy, terminal
from services.console.closing import closing
from services.console.core import Board
from services.console.evidence import job_sheets, sheets
from services.console.pages import Pages
from services.console.snapshot import view_of
from services.console.terminal import Terminal
from services.console.words import duration, moment, number, plain, rate, share
from tests.kit.recorded import believing
from tests.unit.console.synthetic import HOSTILE, Story, problem


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (share(1, 3), "33.3 %"),
        (share(0, 5), "0.0 %"),
        (share(5, 5), "100.0 %"),
        (share(1, 45_000), "0.002 %"),
        (share(44_999, 45_000), "99.998 %"),
        (share(1, 10**9), "< 0.001 %"),
        (share(0, 0), "–"),
        (duration(1_800), "30 min"),
        (duration(0.25), "250 ms"),
        (duration(259_200), "3 d"),
        (rate(48 / 86_400), "48 a day"),
        (rate(5_000), "5,000 a second"),
        (rate(None), "–"),
        (number(0.123456), "0.1235"),
        (number(1_234_567), "1,234,567"),
        (moment(datetime(1997, 5, 2, tzinfo=UTC)), "1997-05-02 00:00 UTC"),
        (plain({"a_b": 1.5, "c": None}), "a b 1.5, c –"),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected


def test_evidence_of_any_shape_becomes_tables() -> None:
    found = sheets(
        {
            "n": 3,
            "board": [{"name": "x", "loss": 0.5}, {"name": "y", "other": [1, 2]}],
            "interval": {"low": 0.1, "high": 0.2},
            "by_name": {"x": {"n": 1}, "y": {"n": 2}},
            "nothing": [],
            "text": "a" * 1_000,
        }
    )
    by_name = {sheet.name: sheet for sheet in found}
    assert by_name["board"].columns == ["name", "loss", "other"]
    assert by_name["board"].rows[1] == ["y", "–", "1, 2"]
    assert by_name["interval"].rows == [["low", "0.1"], ["high", "0.2"]]
    assert by_name["by name"].rows == [["x", "1"], ["y", "2"]]
    assert len(dict(by_name[""].rows)["text"]) < 400


def test_a_jobs_board_names_everyone_with_intervals() -> None:
    gain = {"mean": 0.01, "low": -0.02, "high": 0.04}
    entry = {"role": "baseline", "name": "linear", "n": 9, "accuracy": 0.5, "loss": 0.5, "low": 0.4,
             "high": 0.6, "fit_rows": 0, "gain": gain, "reason": "undecided"}  # fmt: skip
    board, rest = job_sheets({"metric": "accuracy", "entries": [entry]})
    assert board.rows == [
        [
            "baseline: linear",
            "0.5",
            "0.5 (0.4 to 0.6)",
            "0.01 (-0.02 to 0.04)",
            "9",
            "–",
            "undecided",
        ]
    ]
    assert rest.rows == [["metric", "accuracy"]]


def test_every_figure_is_explained_also_before_there_is_one() -> None:
    records = list(Story(600).records())
    for part in (records[:1], records[:3], records[:100], records):
        board = Board(problem(), believing)
        board.handle(part)
        for figure in view_of(board).figures:
            assert figure.title and figure.value and figure.of, figure


def test_events_are_data_never_markup() -> None:
    board = Board(problem(), believing)
    board.handle(list(Story(600).records()))
    pages = Pages(problem(goal=HOSTILE), "token")
    html = pages.page(view_of(board), "127.0.0.1:1")
    assert HOSTILE not in html and "<img src=x" not in html
    assert "&lt;script&gt;alert" in html


def test_the_example_event_has_every_declared_field() -> None:
    declared = problem(
        events={
            "id": "id",
            "fields": {
                "kind": {"type": "category", "categories": ["a", "b"]},
                "load": {"type": "integer", "range": [3, 9]},
                "on": {"type": "boolean"},
            },
        },
        evaluation={},
    )
    assert policy.example_event(declared) == '{"kind": "a", "load": 3, "on": true, "id": "e-1"}'


def test_plain_lines_and_happenings_when_not_a_terminal(monkeypatch: Any) -> None:
    monkeypatch.setattr(terminal, "PLAIN_S", 0.0)
    out = io.StringIO()
    board = Board(problem(), believing)
    with Terminal(problem(), console=Console(file=out, width=80)) as view:
        view.say("The page is at http://127.0.0.1:1")
        for record in _tenths(list(Story(1_500).records())):
            board.handle(record)
            view.show(board)
    said = out.getvalue()
    assert "http://127.0.0.1:1" in said and "\x1b" not in said
    for word in (
        "predicted",
        "online linear",
        "source break",
        "job-0002 rejected",
        "v2 took over",
    ):
        assert word in said, word
    assert said.count("v2 took over") == 1


def test_quiet_says_nothing_of_its_own(monkeypatch: Any) -> None:
    monkeypatch.setattr(terminal, "PLAIN_S", 0.0)
    out = io.StringIO()
    board = Board(problem(), believing)
    board.handle(list(Story(300).records()))
    with Terminal(problem(), quiet=True, console=Console(file=out)) as view:
        view.show(board)
    assert out.getvalue() == ""


@pytest.mark.parametrize("n", [0, 5, 1_500])
def test_live_view_and_closing_fit_80_columns(n: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(terminal, "LIVE_S", 0.0)
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    board = Board(problem(), believing)
    with Terminal(problem(), console=console) as view:
        view.show(board)
        board.handle(list(Story(n).records()) if n else [])
        view.show(board)
    console.print(closing(board, board.summary()))
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert max(len(line) for line in said.replace("\r", "\n").splitlines()) <= 80
    if n == 1_500:
        for word in ("as yesterday", "majority", "no change", "labelled", "job-0002 rejected"):
            assert word in said, word


def _tenths(records: list[Any]) -> list[list[Any]]:
    size = len(records) // 10
    return [records[at : at + size] for at in range(0, len(records), size)]
