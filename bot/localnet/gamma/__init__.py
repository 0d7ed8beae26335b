"""A local stand-in for Opyn Gamma and for Rysk V12, its fork that settles by delivery.

No package carries the real contracts, so these were written here, in Vyper: what the bot reads (vaults, oTokens, expiry
prices) has the real selectors and structs, so the adapter for the real contracts works on them unchanged. What writes
is the stand-in's own, for the real `operate` takes lists of actions that nothing here needs. `bytecode.json` is what
`python -m bot.localnet.gamma.compiling` makes of the sources.
"""
