"""`once` and `status` with several books: one that fails takes no other its turn."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.cli import operate
from bot.errors import DataError, TransientError, VaultkeelError

BOOKS: tuple[Any, ...] = tuple(
    SimpleNamespace(name=name, account=SimpleNamespace(id=name)) for name in ("one", "two", "three")
)


def failing(*errors: VaultkeelError | None) -> tuple[list[str], Callable[[Any], None]]:
    """Who had a turn, and the work that fails for some of the books."""
    turns: list[str] = []

    def work(book: Any) -> None:
        turns.append(book.name)
        error = dict(zip((book.name for book in BOOKS), errors, strict=False))[book.name]
        if error is not None:
            raise error
        operate.show({"book": book.name}, "", as_json=True)

    return turns, work


def test_the_first_error_ends_the_command_after_every_books_turn(capsys: pytest.CaptureFixture[str]) -> None:
    turns, work = failing(DataError("no [vol]"), None, TransientError("no answer"))
    with pytest.raises(DataError, match="vol"):
        operate.of_each(BOOKS, work, as_json=True)
    assert turns == ["one", "two", "three"]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"book": "one", "error": "DataError", "message": "no [vol]"},
        {"book": "two"},
        {"book": "three", "error": "TransientError", "message": "no answer"},
    ]


def test_a_person_reads_the_error_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    _, work = failing(None, DataError("no [vol]"), None)
    with pytest.raises(DataError):
        operate.of_each(BOOKS, work, as_json=False)
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        '{"book": "one"}',
        "two: DataError: no [vol]",
        '{"book": "three"}',
    ]


def test_a_book_alone_says_its_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, work = failing(DataError("no vol"))
    with pytest.raises(DataError):
        operate.of_each(BOOKS[:1], work, as_json=True)
    assert capsys.readouterr().out == "", "the end of the program says it"


def test_books_that_are_all_well_end_well() -> None:
    turns, work = failing(None, None, None)
    operate.of_each(BOOKS, work, as_json=True)
    assert len(turns) == 3


@pytest.mark.parametrize("command", [operate.once, operate.status])
def test_each_command_goes_on_with_the_other_books(
    command: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def dead(book: Any) -> None:
        asked.append(book.name)
        raise TransientError(f"{book.name}: no answer")

    ledger = SimpleNamespace(mode_and_why=lambda account: (None, ""))
    bot = SimpleNamespace(desk=SimpleNamespace(books=BOOKS, tick=dead, assess=dead), ledger=ledger)

    @contextmanager
    def opened(config: Path, *, trades: bool = False) -> Iterator[Any]:
        yield bot

    for name, stub in (
        ("opened", opened),
        ("warm_up", lambda: None),
        ("set_up_logs", lambda **_: None),
    ):
        monkeypatch.setattr(operate, name, stub)
    with pytest.raises(TransientError, match="one: no answer"):
        command(Path("vaultkeel.toml"), as_json=True)
    assert asked == ["one", "two", "three"]
