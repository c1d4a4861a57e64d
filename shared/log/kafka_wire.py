"""A few requests of Kafka's protocol by hand, over one socket with a timeout.

kafka-python tells every failure to connect as "unable to bootstrap"; for a diagnosis one has to see
what the broker answers. Message formats: kafka.apache.org/protocol, in versions that
brokers 2.1 to 4.x know.
"""

import socket
import struct
from dataclasses import dataclass

MOST_BYTES = 1 << 24
_API_VERSIONS, _METADATA, _HANDSHAKE, _AUTHENTICATE = (18, 0), (3, 4), (17, 1), (36, 0)


class Silent(Exception):
    """No answer in time."""


class HungUp(Exception):
    """The connection was closed instead of an answer."""


class NotKafka(Exception):
    """The answer is in another protocol."""


@dataclass
class _Reader:
    data: bytes
    at: int = 0

    def number(self, form: str) -> int:
        size = struct.calcsize(form)
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return int(value)

    def raw(self, form: str) -> bytes:
        size = self.number(form)
        found = self.data[self.at : self.at + max(0, size)]
        self.at += len(found)
        return found

    def text(self) -> str:
        return self.raw(">h").decode(errors="replace")


class Wire:
    """One connection; `connection` is a connected socket, with TLS or without, and a timeout."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._count = 0

    def api_versions(self) -> int:
        """The first question of every client; the error code of the answer."""
        return self._ask(_API_VERSIONS, b"").number(">h")

    def brokers(self) -> list[tuple[str, int]]:
        """Host and port of every broker, as clients are sent there (`advertised.listeners`)."""
        found = self._ask(_METADATA, struct.pack(">ib", 0, 0))
        found.number(">i")  # throttled for ms
        brokers = []
        for _ in range(found.number(">i")):
            found.number(">i")
            host, port = found.text(), found.number(">i")
            found.text()  # rack
            brokers.append((host, port))
        return brokers

    def handshake(self, mechanism: str) -> tuple[int, list[str]]:
        """Ask for a SASL mechanism; error code and the mechanisms that the broker has."""
        found = self._ask(_HANDSHAKE, _string(mechanism))
        code = found.number(">h")
        return code, [found.text() for _ in range(found.number(">i"))]

    def authenticate(self, token: bytes) -> tuple[int, str, bytes]:
        """One step of SASL; error code, the broker's words, its token."""
        found = self._ask(_AUTHENTICATE, struct.pack(">i", len(token)) + token)
        return found.number(">h"), found.text(), found.raw(">i")

    def _ask(self, api: tuple[int, int], body: bytes) -> _Reader:
        self._count += 1
        request = struct.pack(">hhi", *api, self._count) + _string("headrace-doctor") + body
        try:
            self._socket.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", self._received(4))
            if not 4 <= size <= MOST_BYTES:
                raise NotKafka
            found = _Reader(self._received(size))
        except TimeoutError as error:
            raise Silent from error
        except OSError as error:
            raise HungUp from error
        if found.number(">i") != self._count:
            raise NotKafka
        return found

    def _received(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise HungUp
            data += part
        return data


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw
