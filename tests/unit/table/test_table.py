"""The bounded table: saved changes rebuild it, at any cuts, and name nothing that was never stored."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.table import Table

Step = tuple[str, str, int]
STEPS = st.tuples(
    st.sampled_from(["put", "pop", "save"]), st.sampled_from("abcde"), st.integers(0, 9)
)


def table() -> Table[int]:
    return Table("t", 3, int)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_saved_changes_rebuild_it(steps: list[Step]) -> None:
    ours, stored = table(), dict[str, bytes]()
    for what, key, value in [*steps, ("save", "", 0)]:
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
    again = table()
    again.restore(stored)
    assert list(again.items()) == list(ours.items())


def test_what_came_and_went_between_two_saves_costs_nothing() -> None:
    ours = table()
    ours.put("a", 1)
    ours.pop("a")
    assert list(ours.changes()) == []
