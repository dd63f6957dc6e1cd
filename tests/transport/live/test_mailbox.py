"""What waits for one reader."""

from __future__ import annotations

import asyncio

from app.transport.live.mailbox import Closing, Letter, Mailbox


def taken(mailbox):
    """Everything that waits, in the order in which a reader gets it."""

    async def main():
        found = []
        while (item := await mailbox.get(0.0)) is not None:
            found.append(item)
        return found

    return asyncio.run(main())


def test_only_the_newest_partial_waits_and_it_comes_behind_the_finals():
    mailbox = Mailbox(10)
    mailbox.put_partial(Letter("old"))
    mailbox.put(Letter("final", 1))
    mailbox.put_partial(Letter("new"))
    assert mailbox.waiting == 1
    assert [it.text for it in taken(mailbox)] == ["final", "new"]


def test_a_full_mailbox_takes_no_more_and_says_so():
    mailbox = Mailbox(2)
    for number in range(1, 5):
        mailbox.put(Letter(str(number), number))
    assert mailbox.overflowed
    assert mailbox.waiting == 2
    mailbox.close(1000, "done")
    mailbox.clear()
    assert not mailbox.overflowed
    assert taken(mailbox) == [Closing(1000, "done")]


def test_a_reader_is_woken_by_whatever_comes():
    async def main():
        for put in (
            lambda box: box.put(Letter("a")),
            lambda box: box.put_partial(Letter("a")),
            lambda box: box.close(1000, "a"),
        ):
            mailbox = Mailbox(2)
            waiting = asyncio.create_task(mailbox.get(60.0))
            await asyncio.sleep(0)
            put(mailbox)
            assert await waiting is not None

    asyncio.run(main())
