"""A market that moves: prices, the arbitrageur who carries the perp after them, expiries, funding and traders.

One step of a run calls, in this order: `set_time`, `set_price` and `arbitrage` (or `advance` for these three),
`settle_expired`, `poke_funding`, `refresh` and `trade_flows`. Everything random comes from the seed, so the
same seed gives the same chain.
"""

import math
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from bot.errors import VaultkeelError
from bot.localnet.boards import NEXT_EXPIRY_S, create_board
from bot.localnet.curie import MAX_UINT, sqrt_price_x96
from bot.localnet.deploy_lyra import BASE_KEY
from bot.localnet.flows import PositionState, Traders
from bot.localnet.lyra_parameters import HOUR, wei
from bot.localnet.node import Call, Reverted
from bot.localnet.world import World

# The exchange refuses a trade that ends more than 1,000 ticks from where the pool stood when the last of the
# settlements at least 15 s apart was made. The margin covers the rounding of a price to its tick.
_CLIP_TICKS: Final = 990
_CLIP_INTERVAL_S: Final = 16
_TOO_FAR_AT_ONCE: Final = "EX_OPLAS"
_MOST_CLIPS: Final = 50
# More than the pool holds: the price limit ends the trade.
_MORE_THAN_ENOUGH: Final = 10**28

_PRICE_CALLS: Final = 3
_FUNDING_EVERY_S: Final = HOUR
_SETTLED_AT_ONCE: Final = 40


class Market:
    """The moving parts of a world whose markets are open."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._traders = Traders(world, seed)
        self._funding_poked_s = world.node.timestamp()

    @property
    def skipped(self) -> Counter[str]:
        """Trades that the option protocol refused for a business reason, or that found no strike, by reason."""
        return self._traders.skipped

    def set_time(self, time_s: int) -> int:
        """Makes an empty block at this time, unless the chain is there already. Returns the block's time.

        A step's own transactions may have carried the clock past the next step's beginning: it never goes back.
        """
        if self._aim_at(time_s):
            self._world.node.mine()
        return self._world.node.timestamp()

    def set_price(self, price: Decimal) -> None:
        """Makes a block from which on both protocols' oracles say this price, USD per ETH to 8 decimals."""
        rounded = _rounded(price)
        self._world.node.send_together(self._price_calls(rounded, self._begin_round(0)))

    def advance(self, time_s: int, price: Decimal) -> int:
        """`set_time`, `set_price` and `arbitrage` in one block if the move is small, which is far quicker.

        Returns in how many trades the pool followed.
        """
        rounded = _rounded(price)
        here, target = self._pool_price(), sqrt_price_x96(rounded)
        calls = self._price_calls(rounded, self._begin_round(time_s))
        if here != target and _clip(here, target) == target:
            calls.append(self._arbitrage_call(here, target))
        trades = 0
        try:
            self._world.node.send_together(calls)
            trades = len(calls) - _PRICE_CALLS
        except Reverted as error:
            if error.reason != _TOO_FAR_AT_ONCE:
                raise
        return trades + self.arbitrage()

    def spot(self) -> Decimal:
        """The price that the option protocol sees, USD per ETH."""
        adapter = self._world.lyra_contract("synthetix_adapter")
        return Decimal(adapter.read("getSpotPriceForMarket", self._world.lyra.option_market)) / 10**18

    def arbitrage(self) -> int:
        """Trades the Curie pool exactly to the index. Returns in how many trades; far moves take time too."""
        index = Decimal(self._world.curie_contract("base_token").read("getIndexPrice", 0)) / 10**18
        target = sqrt_price_x96(index)
        node = self._world.node
        trades = 0
        for attempt in range(_MOST_CLIPS):
            here = self._pool_price()
            if here == target:
                return trades
            if attempt:
                node.set_next_timestamp(node.timestamp() + _CLIP_INTERVAL_S)
            order = self._arbitrage_call(here, _clip(here, target))
            try:
                node.send(order.to, order.data, order.sender)
                trades += 1
            except Reverted as error:
                if error.reason != _TOO_FAR_AT_ONCE:
                    raise
        raise VaultkeelError(f"the Curie pool did not reach {index} USD in {_MOST_CLIPS} trades")

    def settle_expired(self) -> int:
        """Settles each expired board and its positions, and lists a new one for it. Returns how many boards."""
        world = self._world
        market = world.lyra_contract("option_market")
        settled = 0
        for board_id in market.read("getLiveBoards"):
            board = market.read("getOptionBoard", board_id)
            if board["expiry"] > world.node.timestamp():
                continue
            market.send("settleExpiredBoard", board_id, sender=world.accounts.keeper)
            self._settle_positions(set(board["strikeIds"]))
            # The base that was locked for calls is free now; the pool sells it only when it is asked to.
            world.lyra_contract("liquidity_pool").send("exchangeBase", sender=world.accounts.keeper)
            create_board(world, self.spot(), NEXT_EXPIRY_S)
            settled += 1
        return settled

    def poke_funding(self) -> bool:
        """Once an hour has the market's funding settled. Returns whether it was time.

        Funding is charged on the premium as it is when somebody settles, for all the time since the last
        settlement: left alone for a day, one moment's premium would be charged for the whole day. Anybody's
        settlement counts for everybody. A trader's own part can be settled by that trader only, and a
        transaction of the hedger's here would use a nonce of the bot's.
        """
        now_s = self._world.node.timestamp()
        if now_s - self._funding_poked_s < _FUNDING_EVERY_S:
            return False
        arbitrageur = self._world.accounts.arbitrageur
        house = self._world.curie_contract("clearing_house")
        house.send("settleAllFunding", arbitrageur, sender=arbitrageur)
        self._funding_poked_s = now_s
        return True

    def refresh(self) -> None:
        """Has the option protocol compute the greeks of all live boards anew. None of them may be expired."""
        helper = self._world.lyra_contract("keeper_helper")
        helper.send("updateAllBoardCachedGreeks", sender=self._world.accounts.keeper)

    def trade_flows(self) -> int:
        """The option traders do what falls due since the last call. Returns how many trades went through."""
        return self._traders.trade()

    def open_interest(self, trades: int) -> int:
        """The traders open so many positions at once, to start with. Returns how many went through."""
        return self._traders.open(trades)

    def _aim_at(self, time_s: int) -> bool:
        """The next block carries this time, if it is later than the latest block's. Returns whether it is."""
        later = time_s > self._world.node.timestamp()
        if later:
            self._world.node.set_next_timestamp(time_s)
        return later

    def _begin_round(self, time_s: int) -> int:
        """Aims the next block at this time, if that is still ahead, and returns what its oracle round says.

        The feed ignores a round that is dated later than its block, or not later than the round before: blocks
        made within one second of real time share their time.
        """
        last_round_s = int(self._world.curie_contract("aggregator").read("latestRoundData")[3])
        earliest_s = max(time_s, last_round_s + 1)
        self._aim_at(earliest_s)
        return max(earliest_s, self._world.node.timestamp())

    def _price_calls(self, price: Decimal, dated_s: int) -> list[Call]:
        owner = self._world.accounts.owner
        rates = self._world.lyra_contract("exchange_rates")
        aggregator, feed = self._world.curie_contract("aggregator"), self._world.curie_contract("price_feed")
        return [
            rates.prepare("setRateAndInvalid", BASE_KEY, wei(price), False, sender=owner),
            aggregator.prepare("setLatestAnswer", int(price * 10**8), dated_s, sender=owner),
            feed.prepare("update", sender=owner),
        ]

    def _pool_price(self) -> int:
        """Uniswap's fixed-point square root of the pool's price."""
        return int(self._world.curie_contract("pool").read("slot0")[0])

    def _arbitrage_call(self, here: int, limit: int) -> Call:
        """Buys or sells until the pool's price is at the limit."""
        order: dict[str, Any] = {
            "baseToken": self._world.curie.base_token,
            "isBaseToQuote": limit < here,
            "isExactInput": True,
            "amount": _MORE_THAN_ENOUGH,
            "oppositeAmountBound": 0,
            "deadline": MAX_UINT,
            "sqrtPriceLimitX96": limit,
            "referralCode": bytes(32),
        }
        house = self._world.curie_contract("clearing_house")
        return house.prepare("openPosition", order, sender=self._world.accounts.arbitrageur)

    def _settle_positions(self, strike_ids: set[int]) -> None:
        tokens = self._world.lyra_contract("option_token")
        every_id = list(range(1, tokens.read("nextId")))
        due = [
            position["positionId"]
            for position in tokens.read("getOptionPositions", every_id)
            if position["state"] == PositionState.ACTIVE and position["strikeId"] in strike_ids
        ]
        for start in range(0, len(due), _SETTLED_AT_ONCE):
            collateral = self._world.lyra_contract("short_collateral")
            batch = due[start : start + _SETTLED_AT_ONCE]
            collateral.send("settleOptions", batch, sender=self._world.accounts.keeper)


def _rounded(price: Decimal) -> Decimal:
    """To the aggregator's precision: a finer price would differ between the two protocols."""
    return price.quantize(Decimal("1E-8"), rounding=ROUND_HALF_EVEN)


def _clip(here: int, target: int) -> int:
    """The target, or as far towards it as one trade may go."""
    reach: float = 1.0001 ** (_CLIP_TICKS / 2)
    return min(max(target, math.ceil(here / reach)), math.floor(here * reach))
