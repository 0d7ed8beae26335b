"""What an operator does when something is stuck or strange: intents, resolve, adopt, reduce-only."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import hand_trade, hedger_nonce, opened, read_venue, run_here, trades_of, write_config

from bot.localnet.market import Market
from bot.localnet.world import World

Answer = tuple[int, Any, str]
Command = Callable[..., Answer]


@pytest.fixture
def exposed(fresh: World) -> World:
    """A world whose pool has sold options, so that there is something to hedge."""
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()
    return fresh


@pytest.fixture
def command(
    exposed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """A command on a live configuration: exit code, its JSON, and what it said to people."""

    def impatient(document: Any) -> None:
        document["chains"]["localnet"]["patience_s"] = "0.2"

    config = write_config(exposed, tmp_path, edit=impatient)

    def run(*arguments: str) -> Answer:
        code, out, err = run_here(monkeypatch, capsys, *arguments, "--config", config, "--json")
        return code, json.loads(out.splitlines()[-1]) if out.strip() else None, err

    return run


def test_intents_lists_what_was_meant_and_what_became_of_it(command: Command) -> None:
    assert command("intents") == (0, {"intents": []}, "")
    command("once")
    code, shown, _ = command("intents")
    (order,) = shown["intents"]
    assert code == 0
    assert order["outcome"] == "FILLED"
    assert Decimal(order["intended"]) == Decimal(order["size"])
    assert order["state"] == "MINED_OK"
    assert command("intents", "--open")[1] == {"intents": []}


def test_a_position_that_somebody_opened_halts_until_it_is_adopted(exposed: World, command: Command) -> None:
    hand_trade(exposed, 3)
    code, said, _ = command("once")
    assert (code, said["error"]) == (7, "Halt")
    assert "vaultkeel adopt" in said["message"]
    code, said, _ = command("adopt")
    assert code == 2
    assert "give --yes" in said["message"]
    nonce = hedger_nonce(exposed)
    adopted = {"book": "eth", "before": "0", "now": "3.000000000000000000", "nonce": nonce}
    assert command("adopt", "--yes")[:2] == (0, adopted)
    assert command("once")[1]["decision"]["code"] == "HALTED"
    assert command("resume")[0] == 0
    # The trade by hand used a nonce, which a ledger without any takes from the chain.
    assert command("once")[1]["outcome"]["state"] == "FILLED"


def test_a_trade_beside_the_bot_halts_until_it_is_adopted(exposed: World, command: Command) -> None:
    before = exposed.node.block_number()
    command("once")
    hand_trade(exposed, -2)
    Market(exposed, 5).open_interest(6)
    code, said, _ = command("once")
    assert code == 7
    assert len(trades_of(exposed, before)) == 2, "the bot's first and the other's: no third"
    assert "another program holds this key" in said["message"]
    assert command("adopt", "--yes")[0] == 0
    command("resume")
    assert command("once")[1]["outcome"]["state"] == "FILLED", "position and nonce were adopted"


def test_reduce_only_refuses_what_would_grow_the_hedge(command: Command, exposed: World) -> None:
    assert command("reduce-only", "winding down")[1]["mode"] == "REDUCING"
    assert command("once")[1]["decision"]["code"] == "REDUCING"
    assert read_venue(exposed).position.size == 0
    command("resume")
    assert command("once")[1]["outcome"]["state"] == "FILLED"


def test_resolve_cancels_a_stuck_order_at_its_nonce(exposed: World, command: Command) -> None:
    node = exposed.node
    node.rpc("evm_setAutomine", False)
    assert command("once")[1]["outcome"]["state"] == "PENDING"
    ((order,),) = [command("intents", "--open")[1]["intents"]]
    code, said, err = command("resolve", order["key"], "--cancel", "--yes")
    assert code == 0, said
    assert order["hash"] in err.replace("\n", "")
    node.rpc("evm_mine")
    node.rpc("evm_setAutomine", True)
    command("halt", "let me look")
    command("once")
    (after, *_) = command("intents")[1]["intents"]
    assert (after["outcome"], after["reason"]) == ("DEAD", "cancelled: a no-op took its nonce")
    assert read_venue(exposed).position.size == 0


def test_resolve_of_an_order_that_waits_says_so_and_changes_nothing(exposed: World, command: Command) -> None:
    exposed.node.rpc("evm_setAutomine", False)
    command("once")
    (order,) = command("intents", "--open")[1]["intents"]
    code, said, _ = command("resolve", order["key"])
    exposed.node.rpc("evm_setAutomine", True)
    assert code == 0
    assert "may still be mined" in said["said"]
    assert command("intents", "--open")[1]["intents"][0]["key"] == order["key"]


def test_resolve_of_an_unknown_order_says_so(command: Command) -> None:
    code, said, _ = command("resolve", "nonesuch")
    assert code == 2
    assert "no order nonesuch" in said["message"]


def test_a_second_trading_run_is_refused_while_status_works(
    exposed: World, command: Command, tmp_path: Path
) -> None:
    with opened(tmp_path / "vaultkeel.toml", trades=True):
        code, said, _ = command("once")
        assert code == 2
        assert "another run trades" in said["message"]
        assert command("status")[0] == 0
        assert command("halt", "why")[0] == 0
    assert command("once")[1]["decision"]["code"] == "HALTED"
