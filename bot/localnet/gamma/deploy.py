"""The stand-in for Gamma on a local node, and what its users do: write options, report prices, settle.

Sizes are whole options, prices USD, as Decimals. Each step mints the stand-in tokens that it needs out of nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.core.units import to_raw
from bot.localnet.contract import Contract
from bot.localnet.gmx.artifacts import deploy as deploy_token
from bot.localnet.gmx.artifacts import interface as token_interface
from bot.localnet.node import Node
from bot.localnet.standin import StandIn

STAND_IN: Final = StandIn("Gamma", "bot.localnet.gamma")
PRICE_DECIMALS: Final = 8
OTOKEN_DECIMALS: Final = 8


@dataclass(frozen=True)
class GammaDeployment:
    """Addresses, with checksums, the tokens' decimals, and who owns the oracle."""

    controller: str
    oracle: str
    underlying: str
    strike_asset: str
    underlying_decimals: int
    strike_decimals: int
    owner: str
    is_physical: bool


def deploy_gamma(
    node: Node,
    price: Decimal,
    progress: Callable[[str], None] = lambda _: None,
    *,
    owner: str,
    physical: bool = False,
    underlying: str | None = None,
    strike_asset: str | None = None,
    symbol: str = "WETH",
    underlying_decimals: int = 18,
    strike_decimals: int = 6,
) -> GammaDeployment:
    """Deploys the stand-in at this price of the underlying in USD. `owner` sets prices.

    With `physical` it stands in for Rysk V12. Tokens that are given must be stand-in tokens, which anyone can mint, and
    have these decimals; else they are deployed too.
    """
    progress("Deploying a stand-in for " + ("Rysk V12" if physical else "Opyn Gamma"))
    oracle = STAND_IN.deploy(node, "StandInGammaOracle", sender=owner)
    controller = STAND_IN.deploy(node, "StandInGammaController", oracle.address, physical, sender=owner)
    coin = underlying or _token(node, f"Stand-in {symbol}", symbol, underlying_decimals, owner)
    money = strike_asset or _token(node, "Stand-in USD", "USDC", strike_decimals, owner)
    oracle.send("setStablePrice", money, 10**PRICE_DECIMALS, sender=owner)
    made = GammaDeployment(
        controller=controller.address,
        oracle=oracle.address,
        underlying=coin,
        strike_asset=money,
        underlying_decimals=underlying_decimals,
        strike_decimals=strike_decimals,
        owner=owner,
        is_physical=physical,
    )
    set_price(node, made, price)
    return made


def _token(node: Node, name: str, symbol: str, decimals: int, owner: str) -> str:
    return deploy_token(node, "StandInToken", name, symbol, decimals, sender=owner).address


def controller_of(node: Node, gamma: GammaDeployment) -> Contract:
    """The stand-in's controller."""
    return Contract(node, gamma.controller, STAND_IN.interface("StandInGammaController"))


def oracle_of(node: Node, gamma: GammaDeployment) -> Contract:
    """The stand-in's oracle."""
    return Contract(node, gamma.oracle, STAND_IN.interface("StandInGammaOracle"))


def token(node: Node, address: str) -> Contract:
    """A stand-in token, or an oToken as one."""
    return Contract(node, address, token_interface("StandInToken"))


def set_price(node: Node, gamma: GammaDeployment, price: Decimal) -> None:
    """The live price of the underlying in USD."""
    raw = to_raw(price, PRICE_DECIMALS)
    oracle_of(node, gamma).send("setPrice", gamma.underlying, raw, sender=gamma.owner)


def report_expiry(
    node: Node, gamma: GammaDeployment, expiry: int, price: Decimal, *, final: bool = True
) -> None:
    """The underlying's price in USD at an expiry that has passed; it can be reported again until it is final."""
    oracle = oracle_of(node, gamma)
    oracle.send("setExpiryPrice", gamma.underlying, expiry, to_raw(price, PRICE_DECIMALS), sender=gamma.owner)
    if final:
        oracle.send("finaliseExpiryPrice", gamma.underlying, expiry, sender=gamma.owner)


def create_otoken(
    node: Node,
    gamma: GammaDeployment,
    strike: Decimal,
    expiry: int,
    *,
    is_put: bool,
    decimals: int = OTOKEN_DECIMALS,
    collateral: str | None = None,
) -> str:
    """A new series' address. Calls are collateralised in the underlying, puts in the strike asset, unless told."""
    backed_by = collateral or (gamma.strike_asset if is_put else gamma.underlying)
    series = STAND_IN.deploy(
        node,
        "StandInOToken",
        gamma.controller,
        backed_by,
        gamma.underlying,
        gamma.strike_asset,
        to_raw(strike, PRICE_DECIMALS),
        expiry,
        is_put,
        decimals,
        sender=gamma.owner,
    )
    return series.address


def open_covered_call(
    node: Node, gamma: GammaDeployment, writer: str, otoken: str, size: Decimal, *, buyer: str
) -> int:
    """Writes calls against as much of the underlying. Returns the new vault's number."""
    return _write(node, gamma, writer, otoken, size, buyer, gamma.underlying, size)


def open_cash_secured_put(
    node: Node, gamma: GammaDeployment, writer: str, otoken: str, size: Decimal, *, buyer: str
) -> int:
    """Writes puts against the strike's money. Returns the new vault's number."""
    strike = Contract(node, otoken, STAND_IN.interface("StandInOToken")).read("strikePrice")
    money = size * Decimal(strike).scaleb(-PRICE_DECIMALS)
    return _write(node, gamma, writer, otoken, size, buyer, gamma.strike_asset, money)


def _write(
    node: Node,
    gamma: GammaDeployment,
    writer: str,
    otoken: str,
    size: Decimal,
    buyer: str,
    asset: str,
    backing: Decimal,
) -> int:
    controller = controller_of(node, gamma)
    provide(node, gamma, asset, backing, writer)
    controller.send("openVault", sender=writer)
    number = int(controller.read("getAccountVaultCounter", writer))
    decimals = Contract(node, otoken, STAND_IN.interface("StandInOToken")).read("decimals")
    raw = to_raw(backing, _decimals(gamma, asset))
    controller.send("depositCollateral", number, asset, raw, sender=writer)
    controller.send("mintShort", number, otoken, to_raw(size, decimals), buyer, sender=writer)
    return number


def provide(node: Node, gamma: GammaDeployment, asset: str, amount: Decimal, holder: str) -> None:
    """Mints an amount of the underlying or the strike asset to a holder, who lets the controller take it."""
    raw = to_raw(amount, _decimals(gamma, asset))
    token(node, asset).send("mint", holder, raw, sender=holder)
    token(node, asset).send("approve", gamma.controller, 2**256 - 1, sender=holder)


def settle(node: Node, gamma: GammaDeployment, writer: str, number: int, *, keeper: str) -> None:
    """Settles a vault once its price is final. Where options are delivered, `keeper` brings what the writer gets.

    Reverted with CO29 while the price isn't final.
    """
    controller = controller_of(node, gamma)
    if gamma.is_physical:
        vault = controller.read("getVaultWithDetails", writer, number)[0]
        for series, raw in zip(vault["shortOtokens"], vault["shortAmounts"], strict=True):
            option = Contract(node, series, STAND_IN.interface("StandInOToken"))
            size = Decimal(raw).scaleb(-option.read("decimals"))
            if option.read("isPut"):
                provide(node, gamma, gamma.underlying, size, keeper)
            else:
                strike = Decimal(option.read("strikePrice")).scaleb(-PRICE_DECIMALS)
                provide(node, gamma, gamma.strike_asset, size * strike, keeper)
    controller.send("settleVault", writer, number, sender=keeper)


def _decimals(gamma: GammaDeployment, asset: str) -> int:
    return gamma.underlying_decimals if asset == gamma.underlying else gamma.strike_decimals
