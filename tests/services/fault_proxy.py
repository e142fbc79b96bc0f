#!/usr/bin/env python3
"""A TCP proxy in front of a service of the tests, which breaks the network as it is told, while it runs.

    tests/services/fault_proxy.py TARGET_PORT [PORT]     prints its port; then a mode per line of standard input: `cut 1000`

    with FaultProxy(server.port) as proxy:
        proxy.set("cut", 1000)

MODE             what then holds, for connections that are open as well as for new ones
pass             everything goes through
refuse           the port is closed, open connections are reset
cut N            a connection is reset once N bytes of it have gone through
stall N          a connection stands still once N bytes of it have gone through; the mode `pass` lets it go on
blackhole        new connections are accepted and never answered, open ones stand still
slow N           N bytes a second, for all connections together

N counts what goes to the server; what comes from it with direction="down".
"""

import contextlib
import select
import socket
import struct
import sys
import threading
import time

MODES = ("pass", "refuse", "cut", "stall", "blackhole", "slow")


class FaultProxy:
    def __init__(self, target, port=0, host="127.0.0.1"):
        self.target = (host, target)
        self.changed = threading.Condition()
        self.mode, self.amount, self.direction, self.times = "pass", 0, "up", None
        self.connections = 0  # accepted so far
        self.cuts = 0  # reset so far by the mode `cut`
        self.moved = {"up": 0, "down": 0}  # bytes passed on so far
        self._open, self._ended, self._next_slot = set(), False, 0.0
        self._place = self._bound((host, port))  # never listens: keeps the port ours while it is closed
        self.port = self._place.getsockname()[1]
        self._listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def set(self, mode, amount=0, direction="up", times=None):
        """Changes the mode. `times`: so many connections are cut, then it is `pass` again."""
        if mode not in MODES:
            raise ValueError(f"{mode!r} is none of {', '.join(MODES)}")
        with self.changed:
            was, self.mode = self.mode, mode
            self.amount, self.direction, self.times = amount, direction, times
            if mode == "refuse" and was != "refuse":
                self._stop_listening()
                self._reset_all()
            elif mode != "refuse" and was == "refuse":
                self._listen()
            self.changed.notify_all()

    def reset_all(self):
        """Resets the connections that are open; the mode stays."""
        with self.changed:
            self._reset_all()

    def close(self):
        with self.changed:
            self._ended = True
            self._stop_listening()
            self._reset_all()
            self.changed.notify_all()
        self._thread.join()
        self._place.close()

    @staticmethod
    def _bound(address):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        return bound

    def _listen(self):
        self._listener = self._bound((self.target[0], self.port))
        self._listener.listen(128)

    def _stop_listening(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RD)  # wakes the thread that accepts
        self._listener.close()

    def _accept(self):
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:  # not listening: the mode `refuse`, or the end
                with self.changed:
                    self.changed.wait_for(lambda: self._ended or self.mode != "refuse")
                continue
            with self.changed:
                self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        pair = [client]
        with self.changed:
            self._open.add(client)
            self.changed.wait_for(lambda: self._ended or client not in self._open or self.mode != "blackhole")
            if client not in self._open:
                return
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:  # the service is down: seen through a proxy that is a connection closed at once
            self._reset(pair)
            return
        server.settimeout(None)
        pair.append(server)
        with self.changed:
            self._open.add(server)
        back = threading.Thread(target=self._pump, args=(server, client, "down", pair), daemon=True)
        back.start()
        self._pump(client, server, "up", pair)
        back.join()
        self._close(pair)

    def _pump(self, source, sink, direction, pair):
        passed = 0
        try:
            while data := source.recv(65536):
                while data:
                    allowed = self._allowed(direction, passed, len(data), pair)
                    self._send(sink, data[:allowed])
                    passed += allowed
                    self.moved[direction] += allowed
                    data = data[allowed:]
            with self.changed:
                if source in self._open:
                    sink.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # reset by us or by either end: then the other end shall see it too
            self._reset(pair)

    @staticmethod
    def _send(sink, data):
        while data:  # never blocked for long: a reset by another thread would not wake a `send`
            if select.select([], [sink], [], 0.2)[1]:
                data = data[sink.send(data, socket.MSG_DONTWAIT) :]

    def _allowed(self, direction, passed, wanted, pair):
        """How many of the next bytes may go on, at least one; waits where they have to. OSError: the connection is over."""
        with self.changed:
            while True:
                if self._ended or not pair[0] in self._open:
                    raise OSError("reset")
                left = self.amount - passed
                if self.mode in ("cut", "stall") and direction == self.direction and left < wanted:
                    if left > 0:
                        return left
                    if self.mode == "cut":
                        self._note_cut()
                        raise OSError("cut")
                elif self.mode == "slow":
                    return self._paced(wanted)
                elif self.mode != "blackhole":
                    return wanted
                self.changed.wait()

    def _note_cut(self):
        self.cuts += 1
        if self.times is not None:
            self.times -= 1
            if self.times <= 0:
                self.mode = "pass"
                self.changed.notify_all()

    def _paced(self, wanted):
        """Waits for this connection's turn; a tenth of a second's bytes at a time."""
        size = max(1, min(wanted, self.amount // 10))
        now = time.monotonic()
        at = max(now, self._next_slot)
        self._next_slot = at + size / self.amount
        until = self._next_slot
        while (left := until - time.monotonic()) > 0 and self.mode == "slow" and not self._ended:
            self.changed.wait(left)
        return size

    def _reset(self, pair):
        with self.changed:
            for end in pair:
                self._reset_one(end)
            self.changed.notify_all()

    def _reset_all(self):
        for end in list(self._open):
            self._reset_one(end)
        self.changed.notify_all()

    def _reset_one(self, end):
        """Ends a connection as a machine that is gone does: with a reset. The descriptor is closed by its thread."""
        if end not in self._open:
            return
        self._open.discard(end)
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
        with contextlib.suppress(OSError):
            end.close()

    def _close(self, pair):
        with self.changed:
            for end in pair:
                self._open.discard(end)
                end.close()


def main():
    with FaultProxy(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) as proxy:
        print(proxy.port, flush=True)
        for line in sys.stdin:
            words = line.split()
            if words:
                proxy.set(words[0], *map(int, words[1:2]), *words[2:3])


if __name__ == "__main__":
    main()
