# pragma version 0.4.3
"""
@notice Prices as the stand-in's keeper brings them: for each token `data` is abi.encode(min, max, timestamp), in USD per
        smallest token unit and seconds. No signature and no provider is checked.
"""
import keys
import parts
import shapes

@view
def _prices(
    store: address, params: shapes.OracleParams, long_token: address, short_token: address
) -> (shapes.MarketPrices, uint256, uint256):
    """
    The market's prices, and the earliest and the latest of their timestamps.
    """
    prices: shapes.MarketPrices = empty(shapes.MarketPrices)
    earliest: uint256 = max_value(uint256)
    latest: uint256 = 0
    for i: uint256 in range(len(params.tokens), bound=4):
        price: shapes.Price = empty(shapes.Price)
        timestamp: uint256 = 0
        price.min, price.max, timestamp = abi_decode(params.data[i], (uint256, uint256, uint256))
        if timestamp + parts._uint(store, keys.MAX_ORACLE_PRICE_AGE) < block.timestamp:
            raw_revert(abi_encode(timestamp, block.timestamp, method_id=method_id("MaxPriceAgeExceeded(uint256,uint256)")))
        if params.tokens[i] == long_token:
            prices.indexTokenPrice = price
            prices.longTokenPrice = price
        elif params.tokens[i] == short_token:
            prices.shortTokenPrice = price
        earliest = min(earliest, timestamp)
        latest = max(latest, timestamp)
    if prices.indexTokenPrice.min == 0:
        raw_revert(abi_encode(long_token, method_id=method_id("EmptyPrimaryPrice(address)")))
    if prices.shortTokenPrice.min == 0:
        raw_revert(abi_encode(short_token, method_id=method_id("EmptyPrimaryPrice(address)")))
    return prices, earliest, latest
