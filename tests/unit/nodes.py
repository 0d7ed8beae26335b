"""Providers whose nodes are hand-written: what a node answers is a function, and nothing opens a socket."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import requests
from builders import address
from web3 import HTTPProvider

from bot.chain.client import Client, Provider, ProviderRules

TOKEN = "t0k3n-of-the-operator"
URL = f"https://rpc.invalid/v2/{TOKEN}"

Script = Callable[[str, list[Any]], Any]
Answer = Callable[[list[Any]], Any]


class Node:
    """Answers by a script; an exception is raised."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[str] = []

    def make_request(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        answer = self.script(method, params)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def make_batch_request(self, calls: list[tuple[str, list[Any]]]) -> Any:
        return [self.make_request(method, params) for method, params in calls]


def provider(name: str, node: Node) -> Provider:
    """The real provider with `node` behind it."""
    made = Provider(name, URL)
    made._http = cast(HTTPProvider, node)
    return made


def client_of(
    nodes: Sequence[Node],
    rules: ProviderRules,
    senders: Sequence[Node] = (),
    now: Callable[[], float] = lambda: 0.0,
) -> Client:
    """A client that doesn't wait between two tries."""
    read = [provider(f"localnet provider {i}", node) for i, node in enumerate(nodes, start=1)]
    sent = [provider(f"localnet sender {i}", node) for i, node in enumerate(senders, start=1)]
    made = Client("localnet", read, sent or read, rules, now)
    made._retrying.sleep = lambda seconds: None
    return made


DOWN = requests.exceptions.ConnectionError(URL)


def hash_of(height: int, fork: int = 0) -> str:
    return f"0x{fork:02x}{height:062x}"


class Chain(Node):
    """A node with a chain up to `height`. `answers` replaces a method's result, `down` refuses everything."""

    def __init__(self, height: int = 100, *, chain_id: int = 1, fork: int = 0) -> None:
        super().__init__(self.result)
        self.height = height
        self.chain_id = chain_id
        self.fork = fork
        self.down = False
        self.answers: dict[str, Answer] = {}
        self.receipt: dict[str, Any] | None = None

    def block(self, height: int) -> dict[str, Any] | None:
        if height > self.height:
            return None
        return {"number": hex(height), "hash": hash_of(height, self.fork), "timestamp": hex(height)}

    def result(self, method: str, params: list[Any]) -> Any:
        if self.down:
            return DOWN
        if method in self.answers:
            return self.answers[method](params)
        match method:
            case "eth_chainId":
                return {"result": hex(self.chain_id)}
            case "eth_getBlockByNumber":
                height = self.height if params[0] == "latest" else int(params[0], 16)
                return {"result": self.block(height)}
            case "eth_getTransactionReceipt":
                return {"result": self.receipt}
            case "eth_getCode":
                return {"result": "0x60"}
            case _:
                return {"result": "0x07"}

    def mined(self, height: int = 90, **changes: Any) -> None:
        """Shows a receipt."""
        self.receipt = {
            "blockNumber": hex(height),
            "blockHash": hash_of(height, self.fork),
            "status": "0x1",
            "gasUsed": "0x10",
            "effectiveGasPrice": "0x3",
            "logs": [{"address": address(1), "topics": ["0x01"], "data": "0x02"}],
            **changes,
        }


class Clock:
    """Moved by hand, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def always(answer: Any) -> Answer:
    return lambda params: answer


def quorum(
    nodes: Sequence[Node],
    count: int = 2,
    *,
    tries: int = 1,
    senders: Sequence[Node] = (),
    now: Callable[[], float] = lambda: 0.0,
) -> Client:
    rules = ProviderRules(quorum=count, max_lag_blocks=5, set_aside_s=30, read_tries=tries)
    return client_of(nodes, rules, senders, now)
