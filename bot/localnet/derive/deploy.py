"""The stand-in for Derive on a local node: one underlying's market, and subaccounts that hold what they are told to.

Prices, vols, confidences and sizes have 18 decimals; a smile's centre is a price, its other terms are vols.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bot.core.units import to_raw
from bot.localnet.contract import Contract
from bot.localnet.node import Node
from bot.localnet.standin import StandIn
from bot.options.derive_ids import OptionId, encode_sub_id

ONE: Final = 10**18

# Of the real feeds, as far as the stand-in uses them.
_ERRORS: Final = (
    "BLF_DataTooOld",
    "LFF_MissingExpiryData",
    "LFF_SettlementDataTooOld",
    "LVF_MissingExpiryData",
)
STAND_IN: Final = StandIn(
    "Derive",
    "bot.localnet.derive",
    tuple({"type": "error", "name": name, "inputs": []} for name in _ERRORS),
)

# Assets are told apart by their addresses alone: each is the manager's contract over again.
_CONTRACTS: Final[dict[str, str]] = {
    "sub_accounts": "StandInSubAccounts",
    "manager": "StandInManager",
    "spot_feed": "StandInSpotFeed",
    "forward_feed": "StandInForwardFeed",
    "vol_feed": "StandInVolFeed",
    "rate_feed": "StandInRateFeed",
}
ASSETS: Final = ("option_asset", "perp_asset", "cash_asset", "base_asset")


@dataclass(frozen=True)
class DeriveDeployment:
    """Addresses, with checksums, and the ids of the `accounts` that were made."""

    sub_accounts: str
    manager: str
    spot_feed: str
    forward_feed: str
    vol_feed: str
    rate_feed: str
    option_asset: str
    perp_asset: str
    cash_asset: str
    base_asset: str
    accounts: tuple[int, ...]


def derive_contract(node: Node, deployment: DeriveDeployment, field: str) -> Contract:
    """The contract behind one field of the deployment, whose errors the node can then describe."""
    shape = STAND_IN.interface(_CONTRACTS[field])
    shape.teach_errors(node)
    return Contract(node, getattr(deployment, field), shape)


def deploy_derive(node: Node, price: Decimal, *, owner: str, accounts: int = 1) -> DeriveDeployment:
    """Deploys the stand-in at this spot in USD, with so many empty subaccounts. `owner` pays for it."""

    def create(name: str, *arguments: Any) -> Contract:
        return STAND_IN.deploy(node, name, *arguments, sender=owner)

    ledger, manager = create("StandInSubAccounts"), create("StandInManager")
    spot = create("StandInSpotFeed", to_raw(price, 18))
    forward = create("StandInForwardFeed", spot.address)
    for _ in range(accounts):
        ledger.send("createAccount", owner, manager.address, sender=owner)
    return DeriveDeployment(
        sub_accounts=ledger.address,
        manager=manager.address,
        spot_feed=spot.address,
        forward_feed=forward.address,
        vol_feed=create("StandInVolFeed").address,
        rate_feed=create("StandInRateFeed").address,
        **{asset: create("StandInManager").address for asset in ASSETS},
        accounts=tuple(range(1, accounts + 1)),
    )


@dataclass(frozen=True)
class Smile:
    """One expiry as the stand-in's feeds tell it: the forward's difference to the spot and the smile's centre in USD,
    `level`, `skew` and `curvature` of the vol in (strike ÷ centre − 1), and an annual interest rate.
    """

    centre: Decimal
    difference: Decimal = Decimal(0)
    level: Decimal = Decimal("0.8")
    skew: Decimal = Decimal(0)
    curvature: Decimal = Decimal(0)
    rate: Decimal = Decimal(0)


class DeriveHand:
    """Whoever sets what the stand-in says: feeds, balances, settlements."""

    def __init__(self, node: Node, deployment: DeriveDeployment, owner: str) -> None:
        self.node = node
        self.at = deployment
        self._owner = owner

    def spot(self, price: Decimal, confidence: Decimal = Decimal(1)) -> None:
        """A new spot in USD."""
        self._send("spot_feed", "setStandInSpot", to_raw(price, 18), to_raw(confidence, 18))

    def expiry(self, expiry: int, smile: Smile, confidence: Decimal = Decimal(1)) -> None:
        """What the forward, vol and rate feeds say of one expiry from now on."""
        sure = to_raw(confidence, 18)
        curve = (to_raw(part, 18) for part in (smile.centre, smile.level, smile.skew, smile.curvature))
        self._send("forward_feed", "setStandInForward", expiry, to_raw(smile.difference, 18), sure)
        self._send("vol_feed", "setStandInSmile", expiry, *curve, sure)
        self._send("rate_feed", "setStandInRate", expiry, to_raw(smile.rate, 18), sure)

    def hold(self, account: int, asset: str, size: Decimal, sub_id: int = 0) -> None:
        """A subaccount's balance of the asset at one address."""
        self._send("sub_accounts", "setStandInBalance", account, asset, sub_id, to_raw(size, 18))

    def hold_option(self, account: int, option: OptionId, size: Decimal) -> None:
        """A subaccount's balance of one option."""
        self.hold(account, self.at.option_asset, size, encode_sub_id(option))

    def mark(self, account: int, usd: Decimal) -> None:
        """What the manager says that a subaccount is worth."""
        self._send("manager", "setStandInMark", account, to_raw(usd, 18))

    def settle(self, expiry: int, price: Decimal) -> None:
        """The price that settles an expiry which has passed. Nothing is paid out."""
        self._send("forward_feed", "settleStandIn", expiry, to_raw(price, 18))

    def _send(self, field: str, function: str, *arguments: Any) -> None:
        derive_contract(self.node, self.at, field).send(function, *arguments, sender=self._owner)
