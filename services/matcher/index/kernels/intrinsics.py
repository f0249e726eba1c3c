"""How loops are compiled, and the machine's instructions that numba has no word for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]  # has no types
from numba import njit, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])
Words = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


def kernel(function: Function) -> Function:
    return cast(Function, njit(nogil=True, cache=True, boundscheck=False)(function))


def _as_intrinsic(function: Callable[..., Any]) -> Any:
    return intrinsic(function)


def _popcount(_context: Any, word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _prefetch(_context: Any, array: Any, row: Any) -> Any:
    """Asks for the cache line of element `row` of a one-dimensional array, or row `row` of one of four columns."""
    row_bytes = array.dtype.bitwidth // 8 * (4 if array.ndim == 2 else 1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, word = ir.IntType(8), ir.IntType(32)
        start = builder.bitcast(view.data, byte.as_pointer())
        place = builder.gep(
            start, [builder.mul(arguments[1], ir.Constant(ir.IntType(64), row_bytes))], source_etype=byte
        )
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte.as_pointer()], ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word, word, word])
        )
        builder.call(function, [place, ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


def _trailing_zeros(_context: Any, word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


def _leading_zeros(_context: Any, word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


popcount = _as_intrinsic(_popcount)
prefetch = _as_intrinsic(_prefetch)
trailing_zeros = _as_intrinsic(_trailing_zeros)
leading_zeros = _as_intrinsic(_leading_zeros)
