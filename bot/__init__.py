"""Vaultkeel keeps on-chain option vaults delta-neutral."""

import decimal

__version__ = "0.1.0"

# Python's 28 digits would round sums of 18-decimal token amounts. The first line serves threads that start later.
decimal.DefaultContext.prec = 78
decimal.getcontext().prec = 78
