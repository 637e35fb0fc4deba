"""How the kernels are compiled: to the same bits each time, with a cache on disk that knows when it is out of date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from impls import reference


def _stamp() -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of every file that kernels are made from."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(str(reference.__file__))]
    return tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in files)


def compiled(*, from_python: bool = False, inlined: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function at its first call, without holding Python's lock, and caches it on disk.

    Every operation is rounded as it is written, sums in the order that they are written in: what the compiler may
    reorder it reorders differently where it compiles and where it finds its work in the cache. A division by zero gives
    an infinity, since the check for it would be a branch.

    Args:
        from_python: whether it is called from Python, and not by compiled code alone; the way in takes long to compile.
        inlined: copied into its callers. Arrays are passed number by number, a hundred for a tape, so that a call for
            every update would cost more than many an update does.
    """
    wrappers = {} if from_python else {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    if inlined:
        wrappers["forceinline"] = True

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = njit(cache=True, nogil=True, error_model="numpy", **wrappers)(function)  # type: ignore[call-overload]
        # Numba would look at the function's own file alone, and run old copies of what it calls in the others.
        dispatcher._cache._cache_file._source_stamp = _stamp()
        return dispatcher

    return decorate


@intrinsic
def borrowed(typingctx: Any, value: Any) -> Any:
    """The same array, or named tuple with arrays, whose references compiled code does not count.

    Every slice counts a reference to the memory behind it, and workers that slice the same arrays spend longer
    on those counts than on the slices. The caller keeps the memory alive.
    """

    def of_array(context: Any, builder: Any, kind: Any, array: Any) -> Any:
        view = context.make_array(kind)(context, builder, array)
        view.meminfo = view.meminfo.type(None)
        return view._getvalue()

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (result,) = arguments
        if isinstance(value, types.Array):
            return of_array(context, builder, value, result)
        for index, kind in enumerate(value.types):
            if isinstance(kind, types.Array):
                member = of_array(context, builder, kind, builder.extract_value(result, index))
                result = builder.insert_value(result, member, index)
        return result

    return value(value), generate
