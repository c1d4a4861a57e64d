"""Who waits for the compiler is told so; who does not is told nothing."""

from threading import Event

from services.warming import COMPILING, explained


def test_a_wait_is_explained_and_its_end_told() -> None:
    lines: list[str] = []
    told = Event()

    def say(line: str) -> None:
        lines.append(line)
        told.set()

    with explained(say, patience_s=0.01):
        assert told.wait(10)
    assert lines[0] == COMPILING and lines[1].startswith("Warm after")


def test_a_short_wait_is_nobodys_business() -> None:
    lines: list[str] = []
    with explained(lines.append, patience_s=60.0):
        pass
    assert lines == []
