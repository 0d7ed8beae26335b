"""Price feeds beside the protocols' own, and whether an L2's sequencer runs."""
