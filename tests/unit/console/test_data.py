"""The data page: its figures are those of the rows of the chosen tiles, counted by pandas."""

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from services.console.core import Board
from services.console.data import ALL, NEWEST, Asked, data_page
from services.console.pane import Pane
from services.console.profiles import MOST_SOURCES, OTHERS, Profiles
from services.console.shell import make_app
from shared.features.profile.reference import read_reference, reference
from shared.messages.streams import MODELS, PREDICTIONS
from shared.messages.types import ModelEvent, Prediction
from shared.runtime.clock import elapsed_s
from shared.stage import Record
from tests.kit.recorded import believing
from tests.unit.console.synthetic import START, Story, problem
from tests.unit.console.test_shell import Client

HOSTILE = '<script>alert("x")</script>'
RECORDS = list(Story(1_500).records())


def given(sources: tuple[str | None, ...] = (None,)) -> list[Record]:
    """The story, every 7th value of a feature missing, from `sources` in turn."""
    records = []
    for n, record in enumerate(RECORDS):
        if record.stream is PREDICTIONS:
            features = dict(record.value.features)
            if n % 7 == 0:
                features["nswprice"] = None
            value = msgspec.structs.replace(
                record.value, features=features, source=sources[n % len(sources)]
            )
            record = msgspec.structs.replace(record, value=value)
        records.append(record)
    return records


def frame(records: list[Record]) -> pd.DataFrame:
    rows: list[Prediction] = [r.value for r in records if r.stream is PREDICTIONS]
    table = pd.DataFrame([row.features for row in rows], dtype=float)
    table["time_s"] = [row.time.timestamp() for row in rows]
    table["source"] = [row.source for row in rows]
    return table


@pytest.fixture(scope="module")
def board() -> Board:
    board = Board(problem(), believing)
    board.handle(given())
    return board


def page(board: Board, **asked: str) -> Any:
    return data_page(board.profiles.snapshot(), {}, "v1", board.problem, Asked(**asked))


def test_the_figures_of_a_window_are_those_of_its_rows(board: Board) -> None:
    table = frame(given())
    for span in (ALL, NEWEST, page(board).spans[5].value):
        shown = page(board, span=span)
        if span == ALL:
            rows = table
        elif span == NEWEST:
            first = sorted(t.start_s for t in board.profiles.snapshot().tiles[""])[-shown.tiles]
            rows = table[table.time_s >= first]
            assert len(rows) >= board.problem.evaluation.window
        else:
            rows = table[(table.time_s >= float(span)) & (table.time_s < float(span) + 86_400)]
        assert shown.rows == len(rows)
        card = next(c for c in shown.cards if c.name == "nswprice")
        figures = {name: now for name, now, _ in card.figures}
        assert figures["values"] == f"{rows.nswprice.count():,}"
        assert f"({rows.nswprice.isna().sum():,} of {len(rows):,} rows)" in card.missing
        assert float(figures["mean"]) == pytest.approx(rows.nswprice.mean(), rel=1e-3)
        assert float(figures["median"]) == pytest.approx(
            rows.nswprice.median(), rel=0.03, abs=0.02
        )
        r = rows[["nswprice", "nswdemand"]].corr().iloc[0, 1]
        assert float(shown.matrix.rows[0][1][0]) == pytest.approx(r, abs=0.006)
        heights = np.array([bar.now for bar in card.bars])
        assert heights.max() <= 70.001
        assert heights.sum() > 0


def test_sources_stand_apart_and_add_up() -> None:
    board = Board(problem(), believing)
    records = given(("shop", "web", "web"))
    board.handle(records)
    counts = frame(records).source.value_counts()
    assert page(board, source="web", span=ALL).rows == counts["web"]
    assert page(board, source="shop", span=ALL).rows == counts["shop"]
    assert page(board, span=ALL).rows == counts.sum()
    assert [choice.value for choice in page(board).sources] == ["", "web", "shop"]


def test_sources_are_bounded_and_no_cut_of_the_stream_shows() -> None:
    names = tuple(f"s{i}" for i in range(MOST_SOURCES + 3))
    rows = [r.value for r in given(names) if r.stream is PREDICTIONS]
    whole, pieces = (Profiles(tuple(rows[0].features), problem().profile.tile) for _ in range(2))
    kept: dict[str, Any] = {}
    for n, row in enumerate(rows):
        whole.add(row)
        pieces.add(row)
        if n % 101 == 0:
            for name, data in pieces.changes():
                kept = {k: v for k, v in (kept | {name: data}).items() if v is not None}
            pieces = Profiles(tuple(rows[0].features), problem().profile.tile)
            pieces.restore(kept)
    assert pieces.snapshot() == whole.snapshot()
    assert list(whole.snapshot().tiles)[-1] == OTHERS
    assert len(whole.snapshot().tiles) == MOST_SOURCES + 1


def test_a_category_is_shown_by_its_values() -> None:
    colour = {
        "type": "category",
        "categories": ["red", "blue"],
        "unseen": "other",
        "missing": "keep",
    }
    base = problem()
    events = base.events.model_dump() | {"fields": {"colour": colour, "x": {"type": "number"}}}
    spec = base.model_validate(base.model_dump() | {"events": events, "evaluation": {}})
    draw, seen, profiles = np.random.default_rng(4), list[str | None](), spec.feature_names
    kept = Profiles(profiles, spec.profile.tile)
    for n, record in enumerate(r for r in RECORDS if r.stream is PREDICTIONS):
        seen.append([None, "red", "blue", "other"][draw.choice(4, p=[0.1, 0.2, 0.6, 0.1])])
        ones = {f"colour_is_{v}": float(v == seen[-1]) for v in ("red", "blue", "other")}
        features = dict.fromkeys(ones) if seen[-1] is None else ones
        row = {**features, "x": float(n)}
        kept.add(msgspec.structs.replace(record.value, features=row))
    shown = data_page(kept.snapshot(), {}, "", spec, Asked(span=ALL))
    assert [card.name for card in shown.cards] == ["x"]
    (field,) = shown.kinds
    counts = pd.Series(seen).dropna().replace("other", "(other)").value_counts(normalize=True)
    assert [name for name, _, _ in field.values] == list(counts.index)
    assert field.values[0][1] == f"{100 * counts['blue']:.1f} %"
    assert f"({seen.count(None)} of {len(seen):,} rows)" in field.missing


def test_the_training_rows_of_the_champion_stand_beside(board: Board) -> None:
    names = tuple(board.profiles.snapshot().names)
    trained = np.random.default_rng(1).normal(5.0, 1.0, (400, len(names)))
    shown = data_page(
        board.profiles.snapshot(), {"v2": reference(trained, names)}, "v2", board.problem, Asked()
    )
    assert shown.beside == "training rows of v2"
    card = shown.cards[0]
    assert dict((n, b) for n, _, b in card.figures)["values"] == "400"
    assert card.distance is not None
    assert card.distance > 0.9
    assert "far apart" in card.moved


def test_a_reference_is_read_as_it_was_written_and_stays_small() -> None:
    rows = np.random.default_rng(2).normal(size=(5_000, 300))
    text = reference(rows, [f"f{i}" for i in range(300)])
    assert len(text) < 180_000
    columns = read_reference(text)
    assert len(columns) == 256
    assert columns["f7"].quantile(0.5) == pytest.approx(np.median(rows[:, 7]), abs=0.15)
    assert columns["f7"].mean == pytest.approx(rows[:, 7].mean())


def test_the_page_escapes_and_has_a_twin() -> None:
    board = Board(problem(), believing)
    start = problem()
    board.handle(given((HOSTILE, "web")))
    manifest = {"profile": reference(np.ones((3, 1)), ["x"])}
    event = ModelEvent(model=HOSTILE, state="shadow", time=START, manifest=manifest)
    board.handle([Record(MODELS, event)])
    pane = Pane(elapsed_s)
    pane.refresh(board, force=True)
    client = Client(make_app(pane, start, lambda control: None))
    html = client.get("/data", params={"span": HOSTILE, "source": HOSTILE, "model": HOSTILE}).text
    assert "&lt;script&gt;" in html
    assert HOSTILE not in html
    part = client.get("/data/now").text
    assert "<html" not in part
    assert "Correlation" in part
    twin = client.get("/api/data", params={"span": "all"}).json()
    assert twin["rows"] == sum(r.stream is PREDICTIONS for r in RECORDS)


def test_before_the_first_event_the_page_says_so() -> None:
    pane = Pane(elapsed_s)
    pane.refresh(Board(problem(), believing), force=True)
    answer = Client(make_app(pane, problem(), lambda control: None)).get("/data")
    assert answer.status_code == 200
    assert "No event is in these tiles yet" in answer.text
