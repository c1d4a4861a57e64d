"""What the wiring says of a stream's writers, beside what the services declare."""

from collections import Counter

from services import discover
from shared.messages.streams import RAW
from shared.wiring import SHARED


def test_streams_that_several_write_take_their_offsets_from_kafka() -> None:
    writers = Counter(stream for service in discover() for stream in service.writes)
    several = {stream for stream, count in writers.items() if count > 1}
    assert several and several | RAW <= SHARED
