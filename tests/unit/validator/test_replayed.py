"""An event that is replayed: it keeps its name, may be late, and comes only once."""

from msgspec.structs import replace

from services.validator.core import Validator
from shared.messages.streams import VALID
from shared.rejecting import REPLAYED
from shared.stage import Record
from tests.unit.validator.events import changed, problem, record


def replayed(value: object, place: bytes, offset: int) -> Record:
    return replace(record(value, offset), headers={REPLAYED: place})


def test_it_may_be_late_but_comes_only_once() -> None:
    stage = Validator(problem(allow_late="1m"))
    late = changed(id="late", at="2023-12-31T00:00:00Z")
    records = [
        record(changed(), 0),
        record(late, 1),
        replayed(late, b"2:1", 2),
        replayed(late, b"2:1", 3),
        record(changed(id="e2"), 4),
    ]
    found = list(stage.handle(records))
    assert [out.stream is VALID for out in found] == [1, 0, 1, 0, 1]
    assert found[1].value.check == "late"
    assert found[2].value.late and found[3].value.check == "duplicate"


def test_without_an_id_it_has_the_name_that_it_would_have_had() -> None:
    stage = Validator(problem(id=None))
    found = [
        out.value
        for out in stage.handle(
            [
                replayed(changed(), b"3:17", 50),
                replayed(changed(), b"3:17", 51),
                replayed(changed(), b"\xff" * 999, 52),
            ]
        )
    ]
    assert found[0].id == "p.events:3:17"
    assert found[1].check == "duplicate"
    assert len(found[2].id) < 300
