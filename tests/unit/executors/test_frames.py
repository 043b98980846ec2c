"""Frames survive any way in which a stream is cut."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.executors.frames import (
    Done,
    FrameError,
    FrameReader,
    FromWorker,
    decode_from_worker,
    encode_frame,
)
from eventmill.executors.link import Link


@given(st.lists(st.binary(max_size=50), max_size=20), st.lists(st.integers(1, 40), max_size=60))
def test_the_reader_does_not_care_where_the_stream_is_cut(
    outputs: list[bytes], cuts: list[int]
) -> None:
    frames = [Done(index, output) for index, output in enumerate(outputs)]
    stream = b"".join(map(encode_frame, frames))
    reader, read = FrameReader(), []
    for size in [*cuts, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        read += [decode_from_worker(body) for body in reader.feed(piece)]
    assert read == frames


def test_refuses_a_length_beyond_all_reason() -> None:
    with pytest.raises(FrameError, match="a frame of 4294967295 bytes"):
        list(FrameReader().feed(b"\xff\xff\xff\xff"))


class End:
    """One end of a link, and what came to it."""

    def __init__(self, end: socket.socket) -> None:
        self.frames: asyncio.Queue[FromWorker] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.link: Link[FromWorker] = Link(
            end,
            decode_from_worker,
            on_frame=self.frames.put_nowait,
            on_close=self.closed.set,
        )


def post_all(link: Link[FromWorker], frames: list[Done]) -> None:
    for frame in frames:
        link.post_now(frame)


async def test_a_link_sends_from_any_thread_and_in_order() -> None:
    near, far = map(End, socket.socketpair())
    sent = [Done(index, bytes(index * 100)) for index in range(2_000)]
    await asyncio.to_thread(post_all, near.link, sent)
    near.link.post(Done(-1, b"last"))
    assert [await far.frames.get() for _ in range(2_001)] == [*sent, Done(-1, b"last")]
    assert near.link.unsent_frames == 0
    near.link.close()
    await far.closed.wait()


async def test_a_link_closes_when_it_reads_what_is_no_frame() -> None:
    ours, theirs = socket.socketpair()
    end = End(ours)
    theirs.sendall(b"\x00\x00\x00\x02\xc1\xc1")
    await end.closed.wait()
    assert theirs.recv(1) == b""
    theirs.close()


async def test_a_link_takes_in_what_was_sent_before_the_other_end_went() -> None:
    ours, theirs = socket.socketpair()
    end = End(ours)
    theirs.sendall(encode_frame(Done(1, b"kept")) * 3)
    theirs.close()
    end.link.receive_rest()
    assert [end.frames.get_nowait() for _ in range(3)] == [Done(1, b"kept")] * 3
    assert end.closed.is_set()
