"""Asking for memory before it is needed.

A tile reads a few kilobytes of each of some forty columns, too little for a processor to predict where
it will read next: without prefetching, a walk over columns in main memory waits for a fourteenth to
more than a quarter of its time, depending on the processor.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from kernels.compiling import lean_inner

_CACHE_LINE = 64
_FOR_READING, _TO_KEEP, _DATA = 0, 3, 1


@intrinsic
def _prefetch_at(_, array, index):
    """LLVM's `llvm.prefetch` of an element of a contiguous array; the index must exist."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
        how = [flag(value) for value in (_FOR_READING, _TO_KEEP, _DATA)]
        builder.call(prefetch, [address, *how])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@lean_inner
def prefetch(column: np.ndarray, start: int, stop: int) -> None:
    """Ask for rows start to stop of a column, as far as they exist."""
    for row in range(start, min(stop, column.size), _CACHE_LINE // column.itemsize):
        _prefetch_at(column, row)
