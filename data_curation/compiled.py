"""How loops are compiled: once a machine and version of their code, kept in a folder that can be written.

The compiler's own cache looks only at the file of the function that is asked for. A change in a loop that it calls,
in another file, would go unseen and the old machine code would run. So the folder's name holds a digest of every file
with loops.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

LOOPS = (
    "compiled.py", "content_loop.py", "cross_loop.py", "english_loop.py", "first_seen.py", "folding.py", "json_loop.py",
    "letters.py", "minhash.py", "near_pairs.py", "ngram_table.py", "normal_loop.py", "number_loop.py", "phrases.py",
    "repeats.py", "scan_loop.py", "sign_loop.py", "sorting.py", "text_loops.py", "text_measures.py",
    "text_statistics.py", "language.py", "mojibake.py", "normalising.py", "personal_patterns.py", "personal_signs.py",
)  # fmt: skip
"""The files whose functions are compiled, and those whose figures stand in them."""
F = TypeVar("F", bound=Callable[..., Any])


def loop(function: F) -> F:
    """Compile a function over arrays on its first call; it runs without the interpreter's lock."""
    compiled: F = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")(function)
    return compiled


def inlined(function: F) -> F:
    """``loop`` for a small function that takes arrays and is called for every word: written out at each call.

    A call would count the references of every array up and down, which costs more than what such a function does.
    """
    compiled: F = numba.njit(inline="always", nogil=True, boundscheck=False, error_model="numpy")(function)
    return compiled


def cache_folder() -> Path:
    """Where compiled loops lie: beside the code, else in the user's cache, else in a folder for this process only."""
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join((here / name).read_bytes() for name in LOOPS)).hexdigest()[:12]
    told = numba.config.CACHE_DIR
    places = [Path(told)] if told else [here / "__pycache__", Path.home() / ".cache" / "stillroom"]
    for place in places:
        folder = place / f"loops-{digest}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    return Path(tempfile.mkdtemp(prefix="stillroom-loops-"))


numba.config.CACHE_DIR = str(cache_folder())


def kept(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """A table about characters, made once a machine, version of the code and of Unicode."""
    path = Path(numba.config.CACHE_DIR) / f"{name}-{unicodedata.unidata_version}.npy"
    try:
        found: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        found = make()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=name, delete=False) as out:
            np.save(out, found, allow_pickle=False)
        Path(out.name).replace(path)
    return found


@intrinsic  # type: ignore[untyped-decorator]
def load8(context: Any, data: Any, position: Any) -> Any:
    """The eight bytes of a uint8 array from ``position`` on, as one little-endian uint64; no bounds are checked."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.intp), generate


BLOCK = 64
"""Bytes that ``mask`` and ``copy`` take at a time; they read past what is asked for, so arrays need that much room."""


VECTOR = ir.VectorType(ir.IntType(8), BLOCK)
ZEROS = ir.Constant(VECTOR, [0] * BLOCK)


def _vector(target: Any, builder: Any, kind: Any, array: Any, position: Any) -> Any:
    place = builder.gep(target.make_array(kind)(target, builder, array).data, [position])
    return builder.bitcast(place, VECTOR.as_pointer())


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
