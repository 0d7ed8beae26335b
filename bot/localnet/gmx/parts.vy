# pragma version 0.4.3
"""
@notice How the stand-in's contracts call each other, and shorthands for reading the DataStore.
"""
import shapes

interface DataStore:
    def getUint(key: bytes32) -> uint256: view
    def getInt(key: bytes32) -> int256: view
    def getBool(key: bytes32) -> bool: view
    def getAddress(key: bytes32) -> address: view
    def setUint(key: bytes32, item: uint256) -> uint256: nonpayable
    def incrementUint(key: bytes32, item: uint256) -> uint256: nonpayable
    def decrementUint(key: bytes32, item: uint256) -> uint256: nonpayable
    def applyDeltaToUint(key: bytes32, item: int256, errorMessage: String[64]) -> uint256: nonpayable
    def containsBytes32(setKey: bytes32, item: bytes32) -> bool: view
    def getBytes32ValuesAt(setKey: bytes32, start: uint256, end: uint256) -> DynArray[bytes32, 64]: view
    def getAddressValuesAt(setKey: bytes32, start: uint256, end: uint256) -> DynArray[address, 64]: view
    def containsAddress(setKey: bytes32, item: address) -> bool: view
    def standInOrder(key: bytes32) -> shapes.Order: view
    def setStandInOrder(key: bytes32, order: shapes.Order): nonpayable
    def removeStandInOrder(key: bytes32): nonpayable
    def standInPosition(key: bytes32) -> shapes.Position: view
    def setStandInPosition(key: bytes32, position: shapes.Position): nonpayable
    def removeStandInPosition(key: bytes32): nonpayable

interface Calculator:
    def accrue(prices: shapes.MarketPrices): nonpayable
    def openInterest(isLong: bool) -> uint256: view
    def nextBorrowingFactor(isLong: bool) -> uint256: view
    def nextFunding(prices: shapes.MarketPrices) -> shapes.NextFunding: view
    def baseFunding() -> shapes.BaseFunding: view
    def impact(
        index: shapes.Price, sizeInUsd: uint256, sizeInTokens: uint256, sizeDeltaUsd: int256, isLong: bool
    ) -> shapes.Impact: view
    def executionPrice(
        index: shapes.Price,
        sizeInUsd: uint256,
        sizeInTokens: uint256,
        sizeDeltaUsd: int256,
        pendingImpactAmount: int256,
        isLong: bool,
    ) -> shapes.ExecutionPriceResult: view
    def profit(index: shapes.Price, position: shapes.Position, sizeDeltaUsd: uint256) -> (int256, uint256): view
    def fees(
        position: shapes.Position, prices: shapes.MarketPrices, sizeDeltaUsd: uint256, balanceWasImproved: bool
    ) -> shapes.PositionFees: view
    def liquidatable(
        position: shapes.Position, prices: shapes.MarketPrices, withMinCollateralUsd: bool, forLiquidation: bool
    ) -> (bool, String[32], shapes.LiquidationInfo): view

interface Executor:
    def execute(key: bytes32, order: shapes.Order, prices: shapes.MarketPrices, isAdl: bool): nonpayable

interface Events:
    def orderCreated(key: bytes32, order: shapes.Order): nonpayable
    def orderExecuted(key: bytes32, account: address, secondaryOrderType: uint256): nonpayable
    def orderStopped(name: String[64], key: bytes32, account: address, reason: String[256], reasonBytes: Bytes[1024]): nonpayable
    def autoUpdated(isSize: bool, key: bytes32, old: uint256, new: uint256): nonpayable
    def positionIncrease(
        orderKey: bytes32,
        positionKey: bytes32,
        position: shapes.Position,
        index: shapes.Price,
        collateral: shapes.Price,
        change: shapes.Increased,
    ): nonpayable
    def positionDecrease(
        orderKey: bytes32,
        positionKey: bytes32,
        position: shapes.Position,
        index: shapes.Price,
        collateral: shapes.Price,
        change: shapes.Decreased,
    ): nonpayable
    def feesCollected(
        orderKey: bytes32, positionKey: bytes32, position: shapes.Position, sizeUsd: uint256, isIncrease: bool, fees: shapes.PositionFees
    ): nonpayable
    def executionFee(isRefund: bool, receiver: address, amount: uint256): nonpayable
    def fundingFeesClaimed(
        market: address, token: address, account: address, receiver: address, amount: uint256, nextPoolValue: uint256
    ): nonpayable

interface Bank:
    def recordTransferIn(token: address) -> uint256: nonpayable
    def transferOut(token: address, receiver: address, amount: uint256, shouldUnwrapNativeToken: bool): nonpayable
    def transferOutNativeToken(receiver: address, amount: uint256): nonpayable

@view
def _uint(store: address, key: bytes32) -> uint256:
    return staticcall DataStore(store).getUint(key)

@pure
def _position_key(account: address, market: address, collateral: address, is_long: bool) -> bytes32:
    return keccak256(abi_encode(account, market, collateral, is_long))

@pure
def _divide_up(numerator: uint256, denominator: uint256) -> uint256:
    return (numerator + denominator - 1) // denominator

def _next_key(store: address, nonce_key: bytes32) -> bytes32:
    """
    The next order's key: it depends on every order before it, so nobody can know it beforehand.
    """
    return keccak256(abi_encode(store, extcall DataStore(store).incrementUint(nonce_key, 1)))
