"""The numeric messages' bytes."""

import struct

import numpy as np
import pytest
from gridproof.federation.wire.frames import (
    HEADER_BYTES,
    FrameKind,
    Header,
    decode,
    encode,
    expect,
    finite,
)
from gridproof.scenarios.errors import FederationError
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = st.sampled_from(FrameKind)
HEADERS = st.builds(
    Header,
    kind=KINDS,
    sequence=st.integers(0, 2**64 - 1),
    first=st.integers(0, 2**64 - 1),
    count=st.integers(0, 6),
    round=st.integers(0, 2**32 - 1),
)
NUMBERS = st.floats(width=64)


@st.composite
def messages(draw):
    header, width = draw(HEADERS), draw(st.integers(1, 5))
    numbers = draw(st.lists(NUMBERS, min_size=header.count * width, max_size=header.count * width))
    rows = np.array(numbers, float).reshape(header.count, width)
    sent_s = draw(st.floats(allow_nan=False, allow_infinity=False))
    return header, rows, encode(header, [rows], clock=lambda: sent_s), sent_s


@settings(deadline=None, max_examples=150)
@given(messages())
def test_what_is_encoded_is_decoded(message) -> None:
    header, rows, payload, sent_s = message
    frame = decode(payload, kind=header.kind, width=rows.shape[1], port="x/y")
    assert frame.rows.tobytes() == rows.tobytes()  # NaN and -0.0 too
    got = frame.header
    assert (got.sequence, got.first, got.count, got.round) == (
        header.sequence, header.first, header.count, header.round,
    )  # fmt: skip
    assert got.sent_s == sent_s
    assert not frame.rows.flags.writeable


@settings(deadline=None, max_examples=100)
@given(messages(), st.data())
def test_a_torn_message_is_refused(message, data) -> None:
    header, rows, payload, _ = message
    length = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(FederationError, match=r"^x/y: length is \d+ bytes; expected"):
        decode(payload[:length], kind=header.kind, width=rows.shape[1], port="x/y")
    more = data.draw(st.binary(min_size=1, max_size=64))
    with pytest.raises(FederationError, match=r"^x/y: length is"):
        decode(payload + more, kind=header.kind, width=rows.shape[1], port="x/y")


@settings(deadline=None, max_examples=150)
@given(messages(), st.data())
def test_no_changed_header_passes_for_the_same(message, data) -> None:
    header, rows, payload, sent_s = message
    place = data.draw(st.integers(0, HEADER_BYTES - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(payload)
    changed[place] ^= flip
    try:
        frame = decode(bytes(changed), kind=header.kind, width=rows.shape[1], port="x/y")
    except FederationError:
        return
    got = frame.header
    assert (got.sequence, got.first, got.count, got.round, got.sent_s, got.step) != (
        header.sequence, header.first, header.count, header.round, sent_s, header.step,
    )  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), KINDS)
def test_noise_is_refused_and_never_anything_else(noise, kind) -> None:
    with pytest.raises(FederationError):
        decode(noise, kind=kind, width=3, port="x/y")


def test_the_layout_is_the_documented_one() -> None:
    header = Header(kind=FrameKind.SETPOINTS, sequence=3, first=512, count=2, round=1)
    payload = encode(header, [np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])], clock=lambda: 9)
    assert HEADER_BYTES == 48
    assert payload[:4] == b"GPRF"
    assert struct.unpack_from("<HHQQIIdII", payload, 4) == (1, 2, 3, 512, 2, 1, 9.0, 2, 0)
    assert struct.unpack_from("<4d", payload, 48) == (1.0, 3.0, 2.0, 4.0)


def test_arrays_are_flattened_side_by_side_after_the_realization() -> None:
    cube = np.arange(12.0).reshape(2, 2, 3)
    header = Header(kind=FrameKind.VERDICTS, sequence=1, first=0, count=2)
    payload = encode(header, [cube, np.array([True, False])[:, None]], clock=lambda: 0.0)
    rows = decode(payload, kind=FrameKind.VERDICTS, width=7, port="x/y").rows
    np.testing.assert_array_equal(rows, [[0, 1, 2, 3, 4, 5, 1], [6, 7, 8, 9, 10, 11, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named(bad) -> None:
    rows = np.zeros((3, 4))
    assert finite(rows, "x/y", [("p", 1), ("q", 3)]) is rows
    for place, name in ((0, "p"), (1, "q"), (3, "q")):
        spoiled = rows.copy()
        spoiled[2, place] = bad
        with pytest.raises(FederationError, match=rf"x/y: {name} in row 2 is {bad}; expected"):
            finite(spoiled, "x/y", [("p", 1), ("q", 3)])


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_only_the_due_exchange_and_batch_is_taken(sequence, due, first, wanted) -> None:
    header = Header(kind=FrameKind.SETPOINTS, sequence=sequence, first=first, count=4)
    if (sequence, first) == (due, wanted):
        expect(header, sequence=due, first=wanted, count=4, port="x/y")
        return
    with pytest.raises(FederationError, match=r"x/y: (sequence|batch) is"):
        expect(header, sequence=due, first=wanted, count=4, port="x/y")
