"""Lyra Avalon's own default parameters, in its units: 1e18 for ratios and money, seconds for times."""

from decimal import Decimal
from typing import Any, Final

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
MONTH: Final = 28 * DAY

MAX_UINT: Final = 2**256 - 1
ZERO_ADDRESS: Final = "0x" + "00" * 20
SECURITY_MODULE: Final = "0xEfeefEEfeeFEEfeefeEfEEfEeFEefeefEEfeeFeE"


def wei(amount: str | int | Decimal) -> int:
    """An amount as the protocol keeps it: 18 decimals."""
    return int(Decimal(amount) * 10**18)


BASE_EXCHANGE_FEE: Final = wei("0.0075")
QUOTE_EXCHANGE_FEE: Final = wei("0.005")
SHORT_BUFFER: Final = wei(2)

MARKET: Final[dict[str, Any]] = {
    "maxBoardExpiry": 12 * MONTH,
    "securityModule": SECURITY_MODULE,
    "feePortionReserved": wei("0.1"),
    "staticBaseSettlementFee": BASE_EXCHANGE_FEE,
}

POOL: Final[dict[str, Any]] = {
    "minDepositWithdraw": wei(1),
    "depositDelay": WEEK,
    "withdrawalDelay": WEEK,
    "withdrawalFee": wei("0.01"),
    "liquidityCBThreshold": wei("0.01"),
    "liquidityCBTimeout": 3 * DAY,
    "ivVarianceCBThreshold": wei("0.1"),
    "skewVarianceCBThreshold": wei("0.35"),
    "ivVarianceCBTimeout": 12 * HOUR,
    "skewVarianceCBTimeout": 12 * HOUR,
    "guardianMultisig": ZERO_ADDRESS,
    "guardianDelay": 2 * WEEK,
    "boardSettlementCBTimeout": 6 * HOUR,
    "maxFeePaid": wei("0.01"),
}

HEDGER: Final[dict[str, Any]] = {"interactionDelay": DAY, "hedgeCap": MAX_UINT}

GREEK_CACHE: Final[dict[str, Any]] = {
    "maxStrikesPerBoard": 30,
    "acceptableSpotPricePercentMove": wei("0.05"),
    "staleUpdateDuration": 3 * HOUR,
    "varianceIvGWAVPeriod": DAY,
    "varianceSkewGWAVPeriod": 3 * DAY,
    "optionValueIvGWAVPeriod": DAY,
    "optionValueSkewGWAVPeriod": 3 * DAY,
    "gwavSkewFloor": wei("0.5"),
    "gwavSkewCap": wei(2),
    "rateAndCarry": wei("0.05"),
}

MINIMUM_COLLATERAL: Final[dict[str, Any]] = {
    "minStaticQuoteCollateral": wei(200),
    "minStaticBaseCollateral": wei("0.2"),
    "shockVolA": wei("2.5"),
    "shockVolPointA": 2 * WEEK,
    "shockVolB": wei("1.8"),
    "shockVolPointB": 8 * WEEK,
    "callSpotPriceShock": wei("1.2"),
    "putSpotPriceShock": wei("0.8"),
}

FORCE_CLOSE: Final[dict[str, Any]] = {
    "ivGWAVPeriod": 12 * HOUR,
    "skewGWAVPeriod": DAY,
    "shortVolShock": wei("1.2"),
    "shortPostCutoffVolShock": wei("1.4"),
    "longVolShock": wei("0.8"),
    "longPostCutoffVolShock": wei("0.5"),
    "liquidateVolShock": wei("1.3"),
    "liquidatePostCutoffVolShock": wei("1.6"),
    "shortSpotMin": wei("0.01"),
    "liquidateSpotMin": wei("0.02"),
}

PRICING: Final[dict[str, Any]] = {
    "optionPriceFeeCoefficient": wei("0.01"),
    "optionPriceFee1xPoint": 6 * WEEK,
    "optionPriceFee2xPoint": 16 * WEEK,
    "spotPriceFeeCoefficient": wei("0.01"),
    "spotPriceFee1xPoint": 6 * WEEK,
    "spotPriceFee2xPoint": 12 * WEEK,
    "vegaFeeCoefficient": wei(100),
    "standardSize": wei(5),
    "skewAdjustmentFactor": wei("0.75"),
}

TRADE_LIMITS: Final[dict[str, Any]] = {
    "minDelta": wei("0.15"),
    "minForceCloseDelta": wei("0.25"),
    "tradingCutoff": DAY // 2,
    "minBaseIV": wei("0.35"),
    "maxBaseIV": wei(2),
    "minSkew": wei("0.5"),
    "maxSkew": wei("1.5"),
    "minVol": wei("0.55"),
    "maxVol": wei(3),
    "absMinSkew": wei("0.15"),
    "absMaxSkew": wei(5),
    "capSkewsToAbs": False,
}

VARIANCE_FEE: Final[dict[str, Any]] = {
    "defaultVarianceFeeCoefficient": wei("0.25"),
    "forceCloseVarianceFeeCoefficient": wei("0.25"),
    "skewAdjustmentCoefficient": wei(3),
    "referenceSkew": wei(1),
    "minimumStaticSkewAdjustment": wei(1),
    "vegaCoefficient": wei("0.01"),
    "minimumStaticVega": 0,
    "ivVarianceCoefficient": wei("1.5"),
    "minimumStaticIvVariance": wei(1),
}

PARTIAL_COLLATERAL: Final[dict[str, Any]] = {
    "penaltyRatio": wei("0.2"),
    "liquidatorFeeRatio": wei("0.4"),
    "smFeeRatio": wei("0.3"),
    "minLiquidationFee": wei(15),
}
