"""Compile a kernel with numba where it is installed; run it as plain Python where it is not."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any


@functools.cache
def have_numba() -> bool:
    """Is numba installed (extras ``boundaries`` and ``sharing``)?"""
    return importlib.util.find_spec('numba') is not None


def jit(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator: compile a function of arrays and numbers when it is called first.

    numba is imported then, not with this module. The machine code is kept on disk beside the
    module, or in the user's cache folder, or nowhere if neither can be written. Without numba
    the function runs as it is, slower.

    Args:
        options: Of ``numba.njit``, e.g. ``fastmath``.
    """
    return functools.partial(_compiled_at_first, options)


def _compiled_at_first(options: dict[str, Any], function: Callable) -> Callable:
    @functools.cache
    def compiled() -> Callable:
        if not have_numba():
            return function
        import numba

        try:
            return numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            return numba.njit(nogil=True, **options)(function)

    @functools.wraps(function)
    def call(*args):
        return compiled()(*args)

    return call
