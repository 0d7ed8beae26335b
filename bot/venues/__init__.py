"""Perpetual-futures venues, one file each, and paper trading around any of them."""
