"""The follower that fills the online view: it goes on, notices losses, and starts anew."""

from contextlib import closing
from pathlib import Path

import pytest

from services.console.online import OnlineView, following
from shared.errors import Fatal
from shared.log.memory import MemoryLog
from shared.log.port import Append
from shared.messages.streams import PREDICTIONS
from shared.online.memory import MemoryOnline
from shared.online.port import State
from shared.online.sqlite import SqliteOnline
from shared.settings import Settings
from shared.stage import Record
from shared.wiring import open_log, open_reader
from tests.kit.online import Clock, entities_of, is_whole, newest, predict, problem
from tests.kit.servers import wait_for

PROBLEM = problem()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def caught_up(view: OnlineView, log: MemoryLog, limit: int = 1_000) -> None:
    """Steps until there is nothing more to follow, twice: starting anew takes a step."""
    idle = 0
    while idle < 2:
        idle = 0 if view.step(log, limit) else idle + 1


def fed(count: int = 120, **options: str) -> MemoryLog:
    log = MemoryLog()
    if count:
        predict(log, 0, count, **options)  # type: ignore[arg-type]
    return log


@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_entities_and_predictions_are_those_of_the_log(clock: Clock, limit: int) -> None:
    store, log = MemoryOnline(1_000), fed()
    caught_up(OnlineView(store, PROBLEM, clock), log, limit)
    assert entities_of(store, 60) == newest(120, 50)
    found, _ = store.get("prediction", "id3")
    assert found is not None
    assert found == (log.read((PREDICTIONS,), {}, 10)[3].value, 3)


def test_an_empty_log_gives_a_whole_empty_view(clock: Clock) -> None:
    store = MemoryOnline(1_000)
    caught_up(OnlineView(store, PROBLEM, clock), fed(0))
    assert is_whole(store)
    assert store.get("entity", "key1")[0] is None


def test_the_view_is_not_whole_before_the_end_of_the_log_was_reached(clock: Clock) -> None:
    store, log = MemoryOnline(1_000), fed()
    view = OnlineView(store, PROBLEM, clock)
    for _ in range(11):
        view.step(log, 10)
        assert not is_whole(store)
    view.step(log, 10)
    assert is_whole(store)


def test_the_view_is_of_the_moment_before_the_end_was_asked(clock: Clock) -> None:
    store, log = MemoryOnline(1_000), fed()
    view = OnlineView(store, PROBLEM, clock)
    caught_up(view, log)
    first = store.state()
    clock.pass_s(3)
    predict(log, 120, 140)
    view.step(log, 5)  # not at the end: nothing is known of the moment now
    assert _at_ms(store.state()) == _at_ms(first)
    view.step(log)
    assert _at_ms(store.state()) == _at_ms(first) + 3_000


def test_another_process_goes_on_where_the_store_is(clock: Clock, tmp_path: Path) -> None:
    log = fed()
    store = SqliteOnline(tmp_path / "online.db", 1_000)
    caught_up(OnlineView(store, PROBLEM, clock), log)
    generation = _generation(store.state())
    predict(log, 120, 150)
    counted = Counted(log)
    caught_up(OnlineView(store, PROBLEM, clock), counted)
    assert _generation(store.state()) == generation
    assert counted.read_records == 31, "one more, to know that it is the same log"
    assert entities_of(store, 50) == newest(150, 50)
    store.close()


def test_a_store_that_was_lost_is_built_anew(clock: Clock) -> None:
    log = fed()
    view = OnlineView(Replaceable(clock), PROBLEM, clock)
    store = view._store
    assert isinstance(store, Replaceable)
    caught_up(view, log)
    clock.pass_s(1)
    store.lose()
    predict(log, 120, 130)
    assert store.get("entity", "key0") == (None, None)
    view.step(log)
    assert not is_whole(store), "refused: it does not know the generation"
    caught_up(view, log)
    assert is_whole(store)
    assert entities_of(store, 50) == newest(130, 50)


def test_an_idle_stream_notices_the_loss_too(clock: Clock) -> None:
    log = fed()
    store = Replaceable(clock)
    view = OnlineView(store, PROBLEM, clock)
    caught_up(view, log)
    store.lose()
    view.step(log)
    caught_up(view, log)
    assert entities_of(store, 50) == newest(120, 50)


@pytest.mark.parametrize("count", [40, 120, 300])
def test_another_log_is_noticed_whatever_its_length(clock: Clock, count: int) -> None:
    store = MemoryOnline(1_000)
    caught_up(OnlineView(store, PROBLEM, clock), fed(120))
    caught_up(OnlineView(store, PROBLEM, clock), fed(count, model="v9"))
    assert entities_of(store, 50) == newest(count, 50)
    found, _ = store.get("entity", "key1")
    assert found is not None
    assert b'"v9"' in found[0]
    assert store.get("prediction", "id119")[0] is None or count >= 120


def test_records_that_went_before_they_were_followed_start_a_new_view(clock: Clock) -> None:
    store, log = MemoryOnline(1_000), fed(120)
    view = OnlineView(store, PROBLEM, clock)
    view.step(log, 60)
    log.trim(PREDICTIONS, 100)
    caught_up(view, log)
    assert entities_of(store, 50) == {f"key{i % 50}": i for i in range(100, 120)}
    assert is_whole(store)


def test_a_log_that_no_longer_has_its_beginning_is_followed_from_where_it_begins(
    clock: Clock,
) -> None:
    store, log = MemoryOnline(1_000), fed(120)
    log.trim(PREDICTIONS, 100)
    caught_up(OnlineView(store, PROBLEM, clock), log)
    assert entities_of(store, 50) == {f"key{i % 50}": i for i in range(100, 120)}


def test_a_writer_that_slept_changes_nothing(clock: Clock) -> None:
    store, log = MemoryOnline(1_000), fed(60)
    slow, fast = (OnlineView(store, PROBLEM, clock) for _ in range(2))
    slow.step(log, 10)
    caught_up(fast, log)
    predict(log, 60, 120)
    caught_up(fast, log)
    slow.step(log, 10)
    assert entities_of(store, 50) == newest(120, 50)
    state = store.state()
    assert state is not None
    assert state.places["predictions"].next == 120
    caught_up(slow, log)
    assert entities_of(store, 50) == newest(120, 50)


def test_partitions_are_followed_each_by_itself(clock: Clock) -> None:
    store, log = MemoryOnline(1_000), Partitioned(fed(120))
    view = OnlineView(store, PROBLEM, clock)
    caught_up(view, log, 11)
    state = store.state()
    assert state is not None
    assert {name: place.next for name, place in state.places.items()} == {
        "predictions": 40,
        "predictions/1": 40,
        "predictions/2": 40,
    }
    again = OnlineView(store, PROBLEM, clock)
    caught_up(again, log, 2)
    assert _generation(store.state()) == state.generation
    assert {key: position for key, position in entities_of(store, 50).items()} == {
        f"key{i % 50}": i // 3 for i in range(120)
    }


def test_what_is_no_prediction_is_named(clock: Clock) -> None:
    log = fed(3)
    with log.begin("test") as transaction:
        transaction.append([Append(PREDICTIONS, b'{"id": 7}')])
    with pytest.raises(Fatal, match="predictions, offset 3"):
        caught_up(OnlineView(MemoryOnline(10), PROBLEM, clock), log)


def test_a_run_and_its_view_side_by_side_on_sqlite(tmp_path: Path) -> None:
    """The thread starts before there is a log, and reads it while another connection writes."""
    store, heard, options = MemoryOnline(1_000), list[str](), Settings(durable=False)
    view = OnlineView(store, PROBLEM)
    with following(view, lambda: open_reader(options, tmp_path, PROBLEM.name), heard.append):
        wait_for(lambda: heard, 10, "the view to wait for a log")
        log = open_log(options, tmp_path, PROBLEM.name)
        with closing(log):
            for start in range(0, 3_000, 100):
                predict(log, start, start + 100)
            wait_for(lambda: entities_of(store, 50) == newest(3_000, 50), 20, "the view")
    assert heard[0].startswith("The online view waits: ")
    assert heard[-1] == "The online view goes on."


class Counted(MemoryLog):
    """Counts what is read."""

    def __init__(self, log: MemoryLog) -> None:
        self.__dict__.update(log.__dict__)
        self.read_records = 0

    def read(self, *args: object) -> list[Record]:  # type: ignore[override]
        found = super().read(*args)  # type: ignore[arg-type]
        self.read_records += len(found)
        return found


class Partitioned(MemoryLog):
    """The same records dealt out to three partitions, as Kafka would show them."""

    def __init__(self, log: MemoryLog) -> None:
        self.__dict__.update(log.__dict__)
        dealt = log.read((PREDICTIONS,), {}, 10_000)
        self._dealt = [_moved(record, i) for i, record in enumerate(dealt)]

    def read(self, streams: object, position: dict[str, int], limit: int) -> list[Record]:  # type: ignore[override]
        names = ("predictions", "predictions/1", "predictions/2")
        starts = [position.get(name, 0) for name in names]
        return [r for r in self._dealt if r.offset >= starts[r.partition]][:limit]


class Replaceable(MemoryOnline):
    """A store that can lose everything, as a server without a file does."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(1_000)

    def lose(self) -> None:
        super().__init__(1_000)


def _moved(record: Record, i: int) -> Record:
    return Record(record.stream, record.value, record.key, i % 3, i // 3)


def _generation(state: State | None) -> int:
    assert state is not None
    return state.generation


def _at_ms(state: State | None) -> int:
    assert state is not None
    assert state.at_ms is not None
    return state.at_ms
