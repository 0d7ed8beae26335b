"""A local stand-in for HyperCore and for what HyperEVM shows of it: CoreWriter and the read precompiles.

The real ones are part of Hyperliquid's node, which is not public. The contracts here speak their documented interface
at their documented addresses; behind it, `engine` is a small exchange in Python: one maker's book around the mark
price, margin, funding and liquidation by the documented rules, and every refusal as silent as the real one's.
`bytecode.json` is what `python -m bot.localnet.hypercore.compiling` makes of the sources, so that nobody needs the
compiler.
"""
