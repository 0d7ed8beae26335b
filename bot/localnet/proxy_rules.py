"""Rules for the fault proxy, made to be put together: `only(SEND, forwarded(closing))` for example."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Final

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from bot.chain.contracts import Contract, encode_values
from bot.localnet.proxy import SEND, Answer, ConnectionEnds, Exchange, Rule, ask_node, pass_on

WRONG_HASH: Final = "0x" + "ab" * 32
OF_A_STATE: Final = ("eth_call", "eth_getBalance")
LEAST_RAISE: Final = (11, 10)
"""A node of the geth kind replaces a transaction only for fees raised by a tenth, both of them."""


def closing(_exchange: Exchange) -> Answer:
    """Ends the connection."""
    raise ConnectionEnds


def silent(seconds: float) -> Rule:
    """Answers nothing for so long, and then ends the connection."""

    def rule(_exchange: Exchange) -> Answer:
        time.sleep(seconds)
        raise ConnectionEnds

    return rule


def bad_gateway(_exchange: Exchange) -> Answer:
    """HTTP 502."""
    return Answer(502, b"<html>Bad Gateway</html>")


def bad_json(_exchange: Exchange) -> Answer:
    """HTTP 200 with something that is not JSON."""
    return Answer(200, b'{"jsonrpc": "2.0", "res')


def failing(message: str, code: int = -32000) -> Rule:
    """A JSON-RPC error."""
    return lambda exchange: _reply(exchange, error={"code": code, "message": message})


def answering(result: Any) -> Rule:
    """This result, whatever was asked."""
    return lambda exchange: _reply(exchange, result=result)


def forwarded(rule: Rule) -> Rule:
    """The node gets the request, the bot gets the rule's answer instead of the node's."""

    def both(exchange: Exchange) -> Answer:
        exchange.forward()
        return rule(exchange)

    return both


def swallowing(exchange: Exchange) -> Answer:
    """Says that a send was accepted, and keeps it to itself."""
    return _reply(exchange, result="0x" + keccak(HexBytes(exchange.parts[0]["params"][0])).hex())


def only(
    method: str, rule: Rule, *, first: int = 1, times: int | None = None, otherwise: Rule = pass_on
) -> Rule:
    """The rule for the requests of one method ("" for any), from the `first`-th on, so many `times`.

    `otherwise` is the rule for all others.
    """
    counter = itertools.count(1)

    def chosen(exchange: Exchange) -> Answer:
        if method and not exchange.asks(method):
            return otherwise(exchange)
        nth = next(counter)
        hit = nth >= first and (times is None or nth < first + times)
        return rule(exchange) if hit else otherwise(exchange)

    return chosen


def before(hook: Callable[[], None], rule: Rule = pass_on) -> Rule:
    """Calls the hook, then does as the rule says."""

    def hooked(exchange: Exchange) -> Answer:
        hook()
        return rule(exchange)

    return hooked


def after(hook: Callable[[], None], rule: Rule = pass_on) -> Rule:
    """Does as the rule says, and calls the hook before the answer goes out."""

    def hooked(exchange: Exchange) -> Answer:
        answer = rule(exchange)
        hook()
        return answer

    return hooked


def replacing_like_geth() -> Rule:
    """Refuses a send at a nonce that one is pending at, unless both fees are raised by a tenth."""
    accepted: dict[tuple[str, int], tuple[str, int, int]] = {}

    def rule(exchange: Exchange) -> Answer:
        if not exchange.asks(SEND):
            return pass_on(exchange)
        raw = str(exchange.parts[0]["params"][0])
        signed = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        key = (str(Account.recover_transaction(raw)), int(signed["nonce"]))
        fees = int(signed["maxFeePerGas"]), int(signed["maxPriorityFeePerGas"])
        earlier = accepted.get(key)
        if earlier is not None and earlier[0] != raw:
            needed = [-(-fee * LEAST_RAISE[0] // LEAST_RAISE[1]) for fee in earlier[1:]]
            if fees[0] < needed[0] or fees[1] < needed[1]:
                return _reply(
                    exchange, error={"code": -32000, "message": "replacement transaction underpriced"}
                )
        accepted[key] = (raw, *fees)
        return pass_on(exchange)

    return rule


def altering(method: str, edit: Callable[[list[Any], Any], Any]) -> Rule:
    """The node's answers, but `edit(params, result)` for the results of one method."""

    def rule(exchange: Exchange) -> Answer:
        answer = exchange.forward()
        if not exchange.asks(method):
            return answer
        found = json.loads(answer.body)
        for part, got in zip(exchange.parts, found if exchange.is_batch else [found], strict=True):
            if part["method"] == method and "result" in got:
                got["result"] = edit(part["params"], got["result"])
        return Answer(answer.status, json.dumps(found).encode())

    return rule


def without_history(exchange: Exchange) -> Answer:
    """A node that keeps one state: whatever block a call or a balance is asked of, the latest answers."""
    changed = [
        {**part, "params": [*part["params"][:1], "latest", *part["params"][2:]]}
        if part["method"] in OF_A_STATE
        else part
        for part in exchange.parts
    ]
    return exchange.ask(json.dumps(changed if exchange.is_batch else changed[0]).encode())


def freezing_head(head: dict[str, Any]) -> Rule:
    """The latest block stays this one."""
    return altering("eth_getBlockByNumber", lambda params, result: head if params[0] == "latest" else result)


def altering_call(multicall: Contract, target: Contract, function: str, edit: Callable[[Any], Any]) -> Rule:
    """What a contract's function answers inside a multicall, decoded, goes through `edit`."""
    selector = target.abi.selector(function)

    def change(params: list[Any], result: Any) -> Any:
        if params[0]["to"].lower() != multicall.address.lower():
            return result
        _, arguments = multicall.abi.decode_input(bytes(HexBytes(params[0]["data"])))
        answers = multicall.abi.decode_output("aggregate3", bytes(HexBytes(result)))
        for call, answer in zip(arguments["calls"], answers, strict=True):
            if call["target"].lower() == target.address.lower() and call["callData"][:4] == selector:
                value = edit(target.abi.decode_output(function, answer["returnData"]))
                answer["returnData"] = encode_values(target.abi.functions[function]["outputs"], [value])
        outputs = multicall.abi.functions["aggregate3"]["outputs"]
        return "0x" + encode_values(outputs, [answers]).hex()

    return altering("eth_call", change)


def alternating(other_url: str) -> Rule:
    """Two nodes behind one address, asked in turn. A send reaches both, as it would by their gossip.

    Which anvil it is (`anvil_metadata`) is always asked of the first.
    """
    counter = itertools.count()

    def rule(exchange: Exchange) -> Answer:
        if exchange.asks(SEND):
            ask_node(other_url, exchange.raw)
            return pass_on(exchange)
        theirs = exchange.parts[0]["method"].startswith("eth_") and next(counter) % 2
        return ask_node(other_url, exchange.raw) if theirs else pass_on(exchange)

    return rule


def _reply(exchange: Exchange, **content: Any) -> Answer:
    replies = [{"jsonrpc": "2.0", "id": part["id"], **content} for part in exchange.parts]
    return Answer(200, json.dumps(replies if exchange.is_batch else replies[0]).encode())
