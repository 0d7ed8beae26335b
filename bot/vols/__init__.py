"""Where vols come from: each source has a `name`, and `read(now)` gives a `bot.pricing.surface.Surface`.

`now` is in Unix seconds; the surface's `at` is the time of the source's data, whose age the caller judges.
"""
