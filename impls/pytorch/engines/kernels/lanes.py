"""Element-wise passes inside compiled kernels, in vector instructions.

Arrays might overlap, so that of a loop over many of them the compiler need not make vector code. `lanewise` writes
the loop in LLVM IR instead, a vector register at a time, from an expression over `Lanes`. Sizes are multiples of a
register: `layout.py` pads them.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def vector_bytes() -> int:
    """The size of this machine's vector registers."""
    return 64 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 32


def spread(builder: Any, number: Any, vector: Any) -> Any:
    """The number in every lane of a vector of this LLVM type."""
    undefined, word = ir.Constant(vector, ir.Undefined), ir.IntType(32)
    single = builder.insert_element(undefined, number, ir.Constant(word, 0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(word, vector.count), [0] * vector.count))


def fused(builder: Any, one: Any, other: Any, addend: Any) -> Any:
    """`one · other + addend`, rounded once where the machine has such an instruction, and never as the compiler likes.

    Left to the compiler, which products are fused would depend on where a function is copied to: the same source gave
    other bits freshly compiled than from the cache.
    """
    if not _has_fused():
        return builder.fadd(builder.fmul(one, other), addend)
    kind = addend.type
    name = f"llvm.fma.v{kind.count}{kind.element.intrinsic_name}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [one, other, addend])


@functools.cache
def _has_fused() -> bool:
    return platform.machine().lower() not in ("x86_64", "amd64") or bool(
        llvmlite.binding.get_host_cpu_features().get("fma", False)
    )


class Lanes:
    """Neighbouring numbers in one vector register, as an operand of expressions that become LLVM IR.

    A product waits for what follows: where that is a sum, both are one instruction.
    """

    def __init__(self, builder: Any, value: Any = None, *, factors: tuple[Any, Any] | None = None) -> None:
        self.builder = builder
        self._value = value
        self._factors = factors

    @property
    def value(self) -> Any:
        """The numbers in LLVM."""
        if self._value is None:
            assert self._factors is not None
            self._value = self.builder.fmul(*self._factors)
        return self._value

    def _waiting(self) -> tuple[Any, Any] | None:
        """The factors of a product that nothing has asked for yet."""
        return self._factors if self._value is None else None

    @property
    def is_single(self) -> bool:
        """Whether these are float32."""
        return isinstance(self.value.type.element, ir.FloatType)

    def as_double(self) -> Lanes:
        """The same numbers as float64."""
        if not self.is_single:
            return self
        kind = ir.VectorType(ir.DoubleType(), self.value.type.count)
        return Lanes(self.builder, self.builder.fpext(self.value, kind))

    def constant(self, number: float) -> Lanes:
        """The number in every lane."""
        kind = self.value.type
        return Lanes(self.builder, ir.Constant(kind, [ir.Constant(kind.element, float(number))] * kind.count))

    def _other(self, other: Lanes | float) -> Any:
        return other.value if isinstance(other, Lanes) else self.constant(other).value

    def __add__(self, other: Lanes | float) -> Lanes:
        if factors := self._waiting():
            return Lanes(self.builder, fused(self.builder, *factors, self._other(other)))
        if isinstance(other, Lanes) and (factors := other._waiting()):
            return Lanes(self.builder, fused(self.builder, *factors, self.value))
        return Lanes(self.builder, self.builder.fadd(self.value, self._other(other)))

    def __sub__(self, other: Lanes | float) -> Lanes:
        if isinstance(other, Lanes) and (factors := other._waiting()):
            one, another = factors
            return Lanes(self.builder, fused(self.builder, self.builder.fneg(one), another, self.value))
        if factors := self._waiting():
            return Lanes(self.builder, fused(self.builder, *factors, self.builder.fneg(self._other(other))))
        return Lanes(self.builder, self.builder.fsub(self.value, self._other(other)))

    def __mul__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, factors=(self.value, self._other(other)))

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fdiv(self.value, self._other(other)))

    def __rsub__(self, other: float) -> Lanes:
        return self.constant(other) - self

    def __rtruediv__(self, other: float) -> Lanes:
        return self.constant(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Lanes:
        return Lanes(self.builder, self.builder.fneg(self.value))

    def where(self, comparison: str, bound: float, other: Lanes | float) -> Lanes:
        """`other` in the lanes where `self <comparison> bound` holds; NaN stays NaN."""
        chosen = self.builder.fcmp_ordered(comparison, self.value, self.constant(bound).value)
        return Lanes(self.builder, self.builder.select(chosen, self._other(other), self.value))

    def where_positive(self, values: Lanes) -> Lanes:
        """These where `values > 0`, else 0."""
        chosen = self.builder.fcmp_ordered(">", values.value, self.constant(0).value)
        return Lanes(self.builder, self.builder.select(chosen, self.value, self.constant(0).value))

    def rounded(self) -> Lanes:
        """The nearest whole numbers, as floats."""
        kind = self.value.type
        name = f"llvm.rint.v{kind.count}{kind.element.intrinsic_name}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind]), name)
        return Lanes(self.builder, self.builder.call(function, [self.value]))

    def power_of_two(self) -> Lanes:
        """`2^k` for whole float32 from −127, whose power is 0, to 127, by writing the exponent's bits."""
        count = self.value.type.count
        words = ir.VectorType(ir.IntType(32), count)
        exponent = self.builder.fptosi(self.value, words)
        biased = self.builder.add(exponent, ir.Constant(words, [127] * count))
        bits = self.builder.shl(biased, ir.Constant(words, [23] * count))
        return Lanes(self.builder, self.builder.bitcast(bits, self.value.type))

    def sum(self) -> Any:
        """The sum of all lanes, one number: halves are added until one lane is left."""
        result, count = self.value, self.value.type.count
        while count > 1:
            count //= 2
            kind = ir.VectorType(ir.IntType(32), count)
            low, high = (
                self.builder.shuffle_vector(result, result, ir.Constant(kind, list(range(first, first + count))))
                for first in (0, count)
            )
            result = self.builder.fadd(low, high)
        return self.builder.extract_element(result, ir.Constant(ir.IntType(32), 0))

    def by_library(self, name: str) -> Lanes:
        """The mathematical library's function of each lane."""
        element = self.value.type.element
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(element, [element]), name)
        result = self.value
        for lane in range(self.value.type.count):
            index = ir.Constant(ir.IntType(32), lane)
            called = self.builder.call(function, [self.builder.extract_element(self.value, index)])
            result = self.builder.insert_element(result, called, index)
        return Lanes(self.builder, result)


def lanewise(kinds: int = 1, **parts: int) -> Callable[[Callable[..., Mapping[str, Any]]], Any]:
    """Makes a pass over arrays, for compiled code, out of an expression over their lanes.

    The decorated function takes the kind, then by name the lanes of the arrays that it reads, and returns by name
    those to write: of an array with one part `Lanes`, with several a tuple of them; of one number, what is summed over
    all lanes and added to it, in float64 where it is. The result is called with the
    kind, a number below `kinds`, and a tuple of all arrays in the order of `parts`.

    Args:
        kinds: how many variants there are; the choice is outside of the loop.
        parts: each array's parts, of equal width, one after the other; 0 for one number that every lane gets.
    """
    names = list(parts)

    def decorate(expression: Callable[..., Mapping[str, Any]]) -> Any:
        reads = expression.__code__.co_varnames[1 : expression.__code__.co_argcount]

        @intrinsic
        def run(typingctx: Any, kind: Any, arrays: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                chosen, bundle = arguments
                structs = [
                    context.make_array(of)(context, builder, builder.extract_value(bundle, at))
                    for at, of in enumerate(arrays.types)
                ]
                bases = dict(zip(names, (struct.data for struct in structs), strict=True))
                sizes = [cgutils.unpack_tuple(builder, struct.shape, 1)[0] for struct in structs]
                whole = next(at for at, name in enumerate(names) if parts[name])
                word = sizes[whole].type
                width = builder.udiv(sizes[whole], ir.Constant(word, parts[names[whole]]))
                element = context.get_value_type(arrays.types[0].dtype)
                bytes_each = arrays.types[0].dtype.bitwidth // 8
                lanes = vector_bytes() // bytes_each
                vector = ir.VectorType(element, lanes)

                def zeros(of: Any) -> Any:
                    return ir.Constant(ir.VectorType(of, lanes), [0.0] * lanes)

                def place(name: str, part: int, index: Any) -> Any:
                    at = builder.add(builder.mul(width, ir.Constant(word, part)), index)
                    return builder.bitcast(builder.gep(bases[name], [at]), vector.as_pointer())

                def load(name: str, part: int, index: Any) -> Lanes:
                    loaded = builder.load(place(name, part, index))
                    loaded.align = bytes_each
                    return Lanes(builder, loaded)

                def loop(number: int) -> None:
                    numbers = {
                        name: Lanes(builder, spread(builder, builder.load(bases[name]), vector))
                        for name in reads
                        if not parts[name]
                    }
                    sums = {
                        name: cgutils.alloca_once_value(builder, zeros(bases[name].type.pointee))
                        for name in names
                        if not parts[name] and name not in reads
                    }
                    steps = builder.udiv(width, ir.Constant(word, lanes))
                    with cgutils.for_range(builder, steps) as step:
                        index = builder.mul(step.index, ir.Constant(word, lanes))
                        taken: dict[str, Any] = {}
                        for name in reads:
                            several = tuple(load(name, part, index) for part in range(parts[name]))
                            taken[name] = numbers.get(name) or (several[0] if parts[name] == 1 else several)
                        for name, results in expression(number, **taken).items():
                            if name in sums:
                                total = Lanes(builder, builder.load(sums[name])) + results
                                builder.store(total.value, sums[name])
                                continue
                            for part, result in enumerate((results,) if parts[name] == 1 else results):
                                stored = builder.store(result.value, place(name, part, index))
                                stored.align = bytes_each

                    for name, total in sums.items():
                        result = builder.fadd(builder.load(bases[name]), Lanes(builder, builder.load(total)).sum())
                        builder.store(result, bases[name])

                if kinds == 1:
                    loop(0)
                for number in range(kinds if kinds > 1 else 0):
                    with builder.if_then(builder.icmp_signed("==", chosen, ir.Constant(chosen.type, number))):
                        loop(number)
                return context.get_dummy_value()

            return types.void(types.intp, arrays), generate

        return run

    return decorate
