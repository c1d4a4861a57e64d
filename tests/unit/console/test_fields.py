"""The data page on fields as they came: what cleaning hides is seen, whatever cuts the stream."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.console.core import Board
from services.console.data import ALL, Asked, DataPage, data_page
from services.console.data_card import Card
from services.console.fields import FieldProfiles
from services.console.pane import Pane
from services.console.shell import make_app
from shared.messages.streams import PREDICTIONS
from shared.messages.types import Prediction
from shared.runtime.clock import elapsed_s
from shared.stage import Record
from tests.kit.recorded import believing
from tests.unit.console.synthetic import HOSTILE
from tests.unit.console.synthetic import problem as plain
from tests.unit.console.test_shell import Client
from tests.unit.features.test_fields import SAME, declared, events, predictions

DAY = timedelta(days=1)
PROBLEM = declared()


def story() -> list[Prediction]:
    """Four days; on the last one `filled` is missing, and `clipped` in another unit."""
    rows = events(1_152)
    for n, row in enumerate(rows):
        if n >= 864:
            row.fields["filled"] = None
            if row.fields["clipped"] is not None:
                row.fields["clipped"] *= 1_000
        if n % 4 == 0:
            row.key = row.fields["shop"] = HOSTILE
    found = predictions(PROBLEM, rows)
    for n, prediction in enumerate(found):
        prediction.source = "web" if n % 2 else "app"
    return found


@pytest.fixture(scope="module")
def board() -> Board:
    board = Board(PROBLEM, believing)
    board.handle([Record(PREDICTIONS, prediction) for prediction in story()])
    return board


def page(board: Board, **asked: str) -> DataPage:
    fields = board.fields.snapshot()
    return data_page(board.profiles.snapshot(), {}, "v1", PROBLEM, Asked(**asked), fields)


def named(cards: list[Card], name: str) -> Card:
    return next(card for card in cards if card.name == name)


def test_what_cleaning_hides_is_seen(board: Board) -> None:
    last = page(board, span=page(board).spans[2].value)
    assert named(last.cards, "filled").missing.startswith("0.0 %")
    assert named(last.fields, "filled").missing == "100.0 % (288 of 288 rows)"
    units = {name: (now, before) for name, now, before in named(last.fields, "clipped").figures}
    assert abs(float(units["95 %"][0].replace(",", ""))) > 1_000 > float(units["75 %"][1])
    strip = named(last.fields, "filled").missing_over_time
    assert [part.tenth > 3 for part in strip] == [False, False, False, True]
    assert not {card.name for card in last.fields} & set(SAME)
    assert "100.0 % of them" in last.fields_about and ", ".join(SAME) in last.fields_about


def test_categories_are_named_and_texts_only_counted(board: Board) -> None:
    whole = page(board, span=ALL)
    shop = named(whole.fields, "shop")
    assert {name for name, _ in shop.top} == {"s0", "s1", "s2", HOSTILE}
    assert [part for _, part in shop.top] == ["25.0 %"] * 4
    assert shop.distinct == "4" and not shop.bars
    note, seen = named(whole.fields, "note"), named(whole.fields, "seen")
    assert note.distinct == "4" and not note.top and "free text" in note.no_bars
    assert "2026-01-02 00:00 UTC" in seen.no_bars
    town = named(whole.fields, "town")
    assert town.distinct == "70" and "town_target" in {card.name for card in whole.cards}


def test_sources_stand_apart(board: Board) -> None:
    web = named(page(board, span=ALL, source="web").fields, "aside")
    assert 400 < int(dict((n, now) for n, now, _ in web.figures)["values"]) < 576
    rows = sum(row.rows for row in (page(board, span=ALL, source=s) for s in ("web", "app")))
    assert rows == page(board, span=ALL).rows == 1_152


def test_no_cut_of_the_stream_shows() -> None:
    whole, pieces = FieldProfiles(PROBLEM), FieldProfiles(PROBLEM)
    kept: dict[str, bytes] = {}
    for n, prediction in enumerate(story()):
        whole.add(prediction)
        pieces.add(prediction)
        if n % 201 == 0:
            for name, data in pieces.changes():
                kept = {k: v for k, v in (kept | {name: data}).items() if v is not None}
            pieces = FieldProfiles(PROBLEM)
            pieces.restore(kept)
    assert pieces.snapshot() == whole.snapshot()


def test_the_page_escapes_and_says_what_is_not_there(board: Board) -> None:
    pane = Pane(elapsed_s)
    pane.refresh(board, force=True)
    client = Client(make_app(pane, PROBLEM, lambda control: None))
    html = client.get("/data/now", params={"span": ALL}).text
    assert "Fields as they came" in html and 'id="field-filled"' in html
    assert HOSTILE not in html and "&lt;script&gt;" in html
    twin = client.get("/api/data", params={"span": ALL}).json()
    assert [card["name"] for card in twin["fields"]] == [card.name for card in page(board).fields]


def test_fields_that_are_features_are_profiled_once() -> None:
    spec = plain()
    board = Board(spec, believing)
    rows: list[Any] = [msgspec.structs.replace(p, features={"nswprice": 1.0}) for p in story()]
    board.handle([Record(PREDICTIONS, row) for row in rows])
    kept = board.fields.snapshot()
    assert kept.profiles.tiles == {} and kept.same == ("nswprice", "nswdemand", "vicprice")
    shown = data_page(board.profiles.snapshot(), {}, "", spec, Asked(), kept)
    assert shown.fields == [] and "nswprice" in shown.fields_about
