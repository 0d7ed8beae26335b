"""The one way that a numeric function is compiled: for one thread, in strict IEEE arithmetic, kept on disk."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """`function` compiled at its first call and kept beside its source, so that later starts load it.

    No fast-math: a replay of a recorded decision must give the same bits.
    """
    return cast(F, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def compiled_anew(function: F) -> F:
    """`function` compiled in every process: for one that calls compiled functions of other files.

    The copy on disk is renewed when the function's own file changes, and not when a file that it calls into does.
    """
    return cast(F, numba.njit(error_model="numpy", nogil=True)(function))


def inlined(function: F) -> F:
    """`function` compiled into each of its callers, so that a loop over it can run several elements at once."""
    return cast(F, numba.njit(cache=True, error_model="numpy", nogil=True, forceinline=True)(function))
