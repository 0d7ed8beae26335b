"""Paths, measures and reports of a run. Pure but for the files that a report writes."""
