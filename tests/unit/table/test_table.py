"""The bounded table: saved changes rebuild it, at any cuts, and name nothing that was never stored."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Fatal
from shared.table import Table

Step = tuple[str, str, int]
STEPS = st.tuples(
    st.sampled_from(["put", "pop", "save", "restart"]), st.sampled_from("abcde"), st.integers(0, 9)
)


def table(block: int = 1) -> Table[int]:
    return Table("t", 3, int, block)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from([1, 2, 64]))
def test_saved_changes_rebuild_it(steps: list[Step], block: int) -> None:
    ours, stored = table(block), dict[str, bytes]()
    for what, key, value in [*steps, ("restart", "", 0)]:
        if what == "put":
            ours.put(key, value)
        elif what == "pop":
            ours.pop(key)
        else:
            for name, entry in ours.changes():
                if entry is None:
                    del stored[name]  # KeyError: it was never stored
                else:
                    stored[name] = entry
            if what == "restart":
                before, ours = ours, table(block)
                ours.restore(stored)
                assert list(ours.items()) == list(before.items())


def test_rows_that_come_and_go_in_order_cost_few_entries() -> None:
    ours, written = Table[int]("t", 100, int, block=64), 0
    for n in range(6_400):
        ours.put(str(n), n)
        if n % 1_000 == 999:
            written += len(list(ours.changes()))
    assert written < 6_400 / 20  # entries of one row: two for each that comes


def test_state_of_another_version_is_named() -> None:
    with pytest.raises(Fatal, match="`t` was written by another version"):
        table().restore({"t:a": msgspec.msgpack.encode((1, 5))})


def test_what_came_and_went_between_two_saves_costs_nothing() -> None:
    ours = table()
    ours.put("a", 1)
    ours.pop("a")
    assert list(ours.changes()) == []
