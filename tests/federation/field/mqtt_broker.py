"""An MQTT 3.1.1 broker for tests: connect, subscribe, publish at quality 0, ping, disconnect."""

import socket
import socketserver
import threading


def _length(read):
    value = shift = 0
    while True:
        (byte,) = read(1)
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7


def _packed(first, body):
    length, out = len(body), bytearray([first])
    while True:
        length, low = divmod(length, 128)
        out.append(low | (128 if length else 0))
        if not length:
            return bytes(out) + body


class MqttBroker(socketserver.ThreadingTCPServer):
    """Serves on a port of its own until closed; keeps what was published."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port=0, user=None):
        super().__init__(("127.0.0.1", port), _Client)
        self.port, self.user = self.server_address[1], user
        self.lock, self.wants, self.heard = threading.Lock(), {}, []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def hand_on(self, topic, body):
        with self.lock:
            self.heard.append((topic, body[2 + len(topic) :]))
            for client, topics in list(self.wants.items()):
                if topic in topics:
                    client.sendall(_packed(0x30, body))

    def close(self):
        self.shutdown()
        self.server_close()
        with self.lock:
            for client in self.wants:
                client.shutdown(socket.SHUT_RDWR)


class _Client(socketserver.BaseRequestHandler):
    def handle(self):
        broker, link = self.server, self.request
        read = link.makefile("rb").read
        try:
            while first := read(1):
                body = read(_length(read))
                kind = first[0] >> 4
                if kind == 1:
                    refused = broker.user is not None and broker.user.encode() not in body
                    link.sendall(bytes([0x20, 2, 0, 5 if refused else 0]))
                elif kind == 8:
                    size = int.from_bytes(body[2:4], "big")
                    with broker.lock:
                        broker.wants.setdefault(link, set()).add(body[4 : 4 + size].decode())
                    link.sendall(bytes([0x90, 3]) + body[:2] + b"\0")
                elif kind == 3:
                    assert not first[0] & 0b111, "quality 0, not retained"
                    size = int.from_bytes(body[:2], "big")
                    broker.hand_on(body[2 : 2 + size].decode(), body)
                elif kind == 12:
                    link.sendall(b"\xd0\0")
                elif kind == 14:
                    return
        except OSError:
            pass
        finally:
            with broker.lock:
                broker.wants.pop(link, None)
