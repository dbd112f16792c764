"""What stands in the place of a dead federate: it says what a PULL socket says, and fetches all."""

import socket
import time

import pytest
from gridproof.federation.wire.broker_address import listens_at
from gridproof.federation.wire.stand_in import StandIn


def free():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def exactly(sender, count):
    got = b""
    while len(got) < count:
        got += sender.recv(count - len(got))
    return got


def test_it_greets_as_a_reader_and_fetches_more_than_any_buffer_holds():
    port, sent = free(), 64 << 20
    stand_in = StandIn("127.0.0.1", port)
    try:
        for _ in range(2):  # a broker whose connection broke comes again
            with socket.create_connection(("127.0.0.1", port), 5.0) as sender:
                said = exactly(sender, 64 + 2 + 26)
                assert said[:12] == b"\xff" + bytes(8) + b"\x7f\x03\x00"
                assert said[12:32].rstrip(b"\0") == b"NULL"
                flags, length = said[64:66]
                assert (flags, length) == (4, 26)  # a short command
                assert said[66:].endswith(b"\x0bSocket-Type\0\0\0\x04PULL")
                sender.settimeout(20.0)
                sender.sendall(bytes(sent // 2))
        until = time.monotonic() + 20.0
        while stand_in.fetched < sent and time.monotonic() < until:
            time.sleep(0.01)
        assert stand_in.fetched == sent
    finally:
        stand_in.close()
    assert not listens_at("127.0.0.1", port)


def test_a_place_that_is_taken_is_not_taken_twice():
    with socket.create_server(("127.0.0.1", 0)) as one, pytest.raises(OSError, match="in use"):
        StandIn("127.0.0.1", one.getsockname()[1])
