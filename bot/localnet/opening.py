"""The opening of a world's markets: everybody's money, and the first option boards."""

from typing import Final

from bot.localnet.boards import FIRST_EXPIRIES_S, create_board
from bot.localnet.curie import deposit_usdc
from bot.localnet.lyra_parameters import MAX_UINT, wei
from bot.localnet.world import START_PRICE, World

HEDGER_DEPOSIT_USD: Final = 200_000
HEDGER_WALLET_USD: Final = 100_000
ARBITRAGEUR_DEPOSIT_USD: Final = 100_000_000
TRADER_QUOTE_USD: Final = 1_000_000
TRADER_BASE_ETH: Final = 1_000


def open_markets(world: World, *, hedger_deposit_usd: int = HEDGER_DEPOSIT_USD) -> tuple[int, ...]:
    """Funds the option traders, the arbitrageur and the hedger, and lists the first boards.

    The hedger's test USDC lies in the Curie vault afterwards, with no allowance left over, but for what its wallet
    keeps for its margin. Returns the ids of
    the boards, nearest expiry first. To be called once per world.
    """
    for trader in world.accounts.traders:
        _fund_trader(world, trader)
    for account, amount, kept in (
        (world.accounts.hedger, hedger_deposit_usd, HEDGER_WALLET_USD),
        (world.accounts.arbitrageur, ARBITRAGEUR_DEPOSIT_USD, 0),
    ):
        usdc, vault = world.curie_contract("usdc"), world.curie_contract("vault")
        deposit_usdc(usdc, vault, account, amount, world.accounts.owner, kept)
    return tuple(create_board(world, START_PRICE, expiry) for expiry in FIRST_EXPIRIES_S)


def _fund_trader(world: World, trader: str) -> None:
    market = world.lyra.option_market
    for asset, amount in (("quote_asset", TRADER_QUOTE_USD), ("base_asset", TRADER_BASE_ETH)):
        token = world.lyra_contract(asset)
        token.send("mint", trader, wei(amount), sender=world.accounts.owner)
        token.send("approve", market, MAX_UINT, sender=trader)
