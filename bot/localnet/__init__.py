"""A local chain with the real protocol contracts on it, and a market that moves them."""
