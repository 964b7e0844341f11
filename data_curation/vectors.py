"""Instructions that the compiler's own language lacks: unaligned words, and 64 bytes looked at in one go.

Loops take them from ``compiled``, which imports this file, and with it the compiler, only where something is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from data_curation.compiled import BLOCK
from data_curation.letters import DIGIT, SPACE, WORD


@intrinsic  # type: ignore[untyped-decorator]
def load8(context: Any, data: Any, position: Any) -> Any:
    """The eight bytes of a uint8 array from ``position`` on, as one little-endian uint64; no bounds are checked."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.intp), generate


VECTOR = ir.VectorType(ir.IntType(8), BLOCK)
ZEROS = ir.Constant(VECTOR, [0] * BLOCK)


def _vector(target: Any, builder: Any, kind: Any, array: Any, position: Any) -> Any:
    place = builder.gep(target.make_array(kind)(target, builder, array).data, [position])
    return builder.bitcast(place, VECTOR.as_pointer())


def _lanes(byte: int) -> Any:
    return ir.Constant(VECTOR, [byte] * BLOCK)


def _everywhere(builder: Any, byte: Any) -> Any:
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
    return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), lanes)


@intrinsic  # type: ignore[untyped-decorator]
def mask(context: Any, data: Any, position: Any, bits: Any) -> Any:
    """Which of 64 bytes of a uint8 array have one of ``bits`` set: a uint64, the first byte its lowest bit."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_vector(target, builder, signature.args[0], *arguments[:2]), align=1)
        found = builder.icmp_unsigned("!=", builder.and_(loaded, _everywhere(builder, arguments[2])), ZEROS)
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(data, types.intp, types.uint8), generate


@intrinsic  # type: ignore[untyped-decorator]
def equal(context: Any, data: Any, position: Any, byte: Any) -> Any:
    """Which of 64 bytes of a uint8 array are ``byte``: a uint64 like that of ``mask``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_vector(target, builder, signature.args[0], *arguments[:2]), align=1)
        found = builder.icmp_unsigned("==", loaded, _everywhere(builder, arguments[2]))
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(data, types.intp, types.uint8), generate


@intrinsic  # type: ignore[untyped-decorator]
def within(context: Any, data: Any, position: Any, first: Any, count: Any) -> Any:
    """Which of 64 bytes of a uint8 array are among ``count`` from ``first`` on: a uint64 like that of ``mask``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_vector(target, builder, signature.args[0], *arguments[:2]), align=1)
        above = builder.sub(loaded, _everywhere(builder, arguments[2]))
        found = builder.icmp_unsigned("<", above, _everywhere(builder, arguments[3]))
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(data, types.intp, types.uint8, types.uint8), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy(context: Any, to: Any, at: Any, data: Any, position: Any) -> Any:
    """Copy 64 bytes of a uint8 array into another."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_vector(target, builder, signature.args[2], *arguments[2:]), align=1)
        builder.store(loaded, _vector(target, builder, signature.args[0], *arguments[:2]), align=1)
        return target.get_dummy_value()

    return types.void(to, types.intp, data, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fold_block(context: Any, data: Any, position: Any, out: Any, kinds: Any) -> Any:
    """Write 64 bytes, their case folded, to the same place of ``out`` and what each is (``letters``) to ``kinds``.

    Returns which bytes are not plain, a uint64 like that of ``mask``.
    """

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, to, classes = arguments
        kind = signature.args
        loaded = builder.load(_vector(target, builder, kind[0], array, place), align=1)

        def among(bytes_: Any, first: str, last: str) -> Any:
            above = builder.sub(bytes_, _lanes(ord(first)))
            return builder.icmp_unsigned("<=", above, _lanes(ord(last) - ord(first)))

        def either(one: Any, *others: Any) -> Any:
            for other in others:
                one = builder.or_(one, other)
            return one

        small = builder.or_(loaded, _lanes(ord("a") - ord("A")))
        space = either(among(loaded, " ", " "), among(loaded, "\t", "\r"), among(loaded, "\x1c", "\x1f"))
        digit = among(loaded, "0", "9")
        word = either(among(small, "a", "z"), digit, among(loaded, "_", "_"))
        folded = builder.select(among(loaded, "A", "Z"), small, loaded)
        bits = ((word, WORD), (space, SPACE), (digit, DIGIT))
        kinds_found = either(*(builder.select(one, _lanes(bit), ZEROS) for one, bit in bits))
        builder.store(
            builder.select(space, _lanes(ord(" ")), folded), _vector(target, builder, kind[2], to, place), align=1
        )
        builder.store(kinds_found, _vector(target, builder, kind[3], classes, place), align=1)
        return builder.bitcast(builder.icmp_signed("<", loaded, ZEROS), ir.IntType(64))

    return types.uint64(data, types.intp, out, kinds), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(context: Any, value: Any) -> Any:
    """The place of the lowest bit that is set in a uint64; 64 where none is."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def ones(context: Any, value: Any) -> Any:
    """How many bits of a uint64 are set."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.intp(types.uint64), generate
