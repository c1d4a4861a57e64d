"""A SOCKS5 proxy that understands Kafka's framing: swallows or holds requests of chosen kinds.

Clients are sent through it by `proxy_url`, so it works with any broker and needs no listener there.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

PRODUCE, INIT_PRODUCER_ID, ADD_PARTITIONS, END_TXN = 0, 22, 24, 26
ADD_OFFSETS, TXN_OFFSET_COMMIT = 25, 28


class Proxy:
    """Passes bytes on until told otherwise.

    A request of a kind in `swallowed` vanishes, and its connection with it: nothing passes there
    any more. A kind in `deaf` reaches the broker, but its connection hears nothing from then on:
    the broker acted, the client does not know.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5://127.0.0.1:{self._server.getsockname()[1]}"
        self.swallowed: set[int] = set()
        self.deaf: set[int] = set()
        self.seen: list[int] = []
        self._down = False
        self._held: set[int] = set()
        self._free = threading.Event()
        self._free.set()
        self._broken = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, *kinds: int) -> None:
        """Let requests of these kinds wait (and what follows them on their connection)."""
        self._held = set(kinds)
        self._free.clear()

    def release(self) -> None:
        """Pass on what waits."""
        self._held = set()
        self._free.set()

    def cut(self) -> None:
        """The broker is gone: connections break, new ones are refused."""
        self._down = True
        self._break()

    def heal(self) -> None:
        """No more faults from here on."""
        self._down = False
        self.swallowed.clear()
        self.deaf.clear()
        self.release()

    def close(self) -> None:
        """Break every connection, listen no more."""
        self.heal()
        self._server.close()
        self._break()

    def _break(self) -> None:
        self._broken.set()
        self._broken = threading.Event()
        for connection in self._open:
            _shut(connection)
        self._open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self._down:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            broker = socket.create_connection(_greeted(client))
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            self._open += [client, broker]
            silent = threading.Event()
            back = threading.Thread(target=_backward, args=(broker, client, silent), daemon=True)
            back.start()
            try:
                self._forward(client, broker, silent)
            finally:
                _shut(broker)
                back.join()
                client.close()

    def _forward(
        self, client: socket.socket, broker: socket.socket, silent: threading.Event
    ) -> None:
        for frame in _frames(client):
            kind = struct.unpack(">h", frame[4:6])[0]
            self.seen.append(kind)
            if kind in self._held:
                self._free.wait()
            if kind in self.deaf | self.swallowed:
                silent.set()
            if kind in self.swallowed:
                self._broken.wait()
                return
            broker.sendall(frame)


def _backward(broker: socket.socket, client: socket.socket, silent: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := broker.recv(1 << 16):
            if not silent.is_set():
                client.sendall(data)
    _shut(client)
    broker.close()


def _shut(connection: socket.socket) -> None:
    """Wake up whoever waits for this connection."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _greeted(client: socket.socket) -> tuple[str, int]:
    """SOCKS5 without a password; where the client wants to go."""
    _, methods = _exactly(client, 2)
    _exactly(client, methods)
    client.sendall(b"\x05\x00")
    kind = _exactly(client, 4)[3]
    if kind == 3:
        host = _exactly(client, _exactly(client, 1)[0]).decode()
    elif kind == 4:
        host = socket.inet_ntop(socket.AF_INET6, _exactly(client, 16))
    else:
        host = socket.inet_ntoa(_exactly(client, 4))
    return host, struct.unpack(">H", _exactly(client, 2))[0]


def _frames(client: socket.socket) -> Iterator[bytes]:
    while True:
        head = _exactly(client, 4)
        yield head + _exactly(client, struct.unpack(">i", head)[0])


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
