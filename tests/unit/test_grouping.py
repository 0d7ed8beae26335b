"""Alerts: one message per key and quiet time, nothing lost, and only what was told can be over."""

import itertools
import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.events import Event, Kind, Severity
from bot.ops.grouping import Grouping, Message

QUIET = 100.0
DEAD = Event(Kind.ORDER_DEAD, "order 1 is dead", "eth")
HALT = Event(Kind.HALTED, "halted", "eth")
WELL = Event(Kind.HALTED, "well again", "eth", over=True)


@pytest.fixture
def grouping() -> Grouping:
    return Grouping(QUIET, {})


def times(message: Message | None) -> int:
    """How many events a message stands for."""
    if message is None:
        return 0
    if "told once more" in message.text:
        return 2
    found = re.search(r"told (\d+) times more", message.text)
    return 1 + (int(found.group(1)) if found else 0)


def test_the_first_of_a_kind_is_told_at_once(grouping: Grouping) -> None:
    message = grouping.take(DEAD, 0)
    assert message == Message(Kind.ORDER_DEAD, Severity.WARNING, "eth", "order 1 is dead")
    assert message.title == "WARNING: order_dead (eth)"


def test_what_happens_again_soon_is_held_back_counted_and_told_later_with_its_newest_text(
    grouping: Grouping,
) -> None:
    grouping.take(DEAD, 0)
    for second in range(1, 4):
        assert grouping.take(Event(Kind.ORDER_DEAD, f"order {second + 1} is dead", "eth"), second) is None
    assert grouping.due(QUIET - 1) == []
    (message,) = grouping.due(QUIET)
    assert message.text == "order 4 is dead (told 3 times more since the last message)"
    assert grouping.due(QUIET + 1) == []


def test_books_and_providers_are_grouped_apart(grouping: Grouping) -> None:
    assert grouping.take(DEAD, 0)
    assert grouping.take(Event(Kind.ORDER_DEAD, "x", "btc"), 0)
    assert grouping.take(Event(Kind.PROVIDER_TROUBLE, "x", about="provider 1"), 0)
    assert grouping.take(Event(Kind.PROVIDER_TROUBLE, "x", about="provider 2"), 0)


def test_what_is_over_is_told_once_and_only_where_the_trouble_was(grouping: Grouping) -> None:
    assert grouping.take(WELL, 0) is None
    grouping.take(HALT, 1)
    message = grouping.take(WELL, 2)
    assert message is not None
    assert (message.over, message.title) == (True, "OVER: halted (eth)")
    assert grouping.take(WELL, 3) is None


def test_a_trouble_that_comes_and_goes_is_told_in_one_message_per_quiet_time(grouping: Grouping) -> None:
    told = []
    for second in range(20):
        told.append(grouping.take(HALT, 2 * second))
        told.append(grouping.take(WELL, 2 * second + 1))
    assert sum(message is not None for message in told) == 2, "that it began, and that it was over"
    (message,) = grouping.due(QUIET)
    assert message.text.endswith("(told 19 times more since the last message) It is over by now.")


def test_a_trouble_that_lasts_is_recalled_every_quiet_time(grouping: Grouping) -> None:
    told = [grouping.take(HALT, second) for second in range(0, 301, 10)]
    assert sum(message is not None for message in told) == 4


def test_an_event_that_is_off_is_never_told() -> None:
    grouping = Grouping(QUIET, {Kind.ORDER_DEAD: None, Kind.HALTED: Severity.INFO})
    assert grouping.take(DEAD, 0) is None
    message = grouping.take(HALT, 0)
    assert message is not None
    assert message.severity is Severity.INFO


EIGHTHS = st.integers(0, 240).map(lambda number: number / 8)
"""Seconds that add up exactly, so that a quiet time has passed when it has."""


@given(
    st.lists(
        st.tuples(EIGHTHS, st.sampled_from(["a", "b"]), st.sampled_from([False, False, False, True])),
        max_size=60,
    )
)
def test_no_event_is_lost_and_no_key_is_told_more_than_once_per_quiet_time(
    steps: list[tuple[float, str, bool]],
) -> None:
    grouping, now = Grouping(QUIET, {}), 0.0
    happened: dict[str, int] = defaultdict(int)
    stood_for: dict[str, int] = defaultdict(int)
    begun: dict[str, list[float]] = defaultdict(list)

    def deliver(messages: list[Message]) -> None:
        for message in messages:
            stood_for[message.book] += times(message) - (1 if message.over else 0)
            if not message.over:
                begun[message.book].append(now)

    for pause, book, over in steps:
        now += pause
        deliver(grouping.due(now))
        happened[book] += not over
        message = grouping.take(Event(Kind.HALTED, "x", book, over=over), now)
        deliver([message] if message else [])
    now += QUIET
    deliver(grouping.due(now))
    # A message that is flushed repeats the newest of those that it counts.
    flushed = {book: stood_for[book] - happened[book] for book in happened}
    assert all(0 <= extra <= len(begun[book]) for book, extra in flushed.items())
    for moments in begun.values():
        assert all(later - earlier >= QUIET for earlier, later in itertools.pairwise(moments))
