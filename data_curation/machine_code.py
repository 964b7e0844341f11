"""Machine code of a compiled loop, kept in a file and called without the compiler that made it.

The compiler (numba) makes a function with C's calling convention: each array as its address and lengths, numbers as
they are. Its object code is what LLVM can load by itself (https://llvmlite.readthedocs.io, ``add_object_file``).
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

Code = Callable[..., Any]
NAME = "entry"
C_TYPES = {"b1": ctypes.c_bool, "i8": ctypes.c_int64, "u8": ctypes.c_uint64, "f8": ctypes.c_double}
NUMBERS = {bool: "b1", int: "i8", float: "f8"}
DESTRUCTOR = "NRT_MemInfo_call_dtor"
"""Frees an array that a loop has made. It is named where an array's references are counted, but Python's have none."""
LIBRARY = frozenset({"memcpy", "memmove", "memset", "log2", "bcmp"})
"""What machine code may call: functions of C's library."""


def kinds_of(arguments: Sequence[Any]) -> tuple[str, ...]:
    """What each argument is: ``u4x2`` is an array of uint32 with two axes, ``i8`` a number."""
    return tuple(
        f"{one.dtype.kind}{one.itemsize}x{one.ndim}" if isinstance(one, np.ndarray)
        else NUMBERS.get(type(one)) or f"{one.dtype.kind}{one.dtype.itemsize}"
        for one in arguments
    )  # fmt: skip


def numbers_of(arguments: Sequence[Any]) -> list[Any]:
    """Arguments as C takes them. Raises ValueError for an array that is not in C order."""
    numbers: list[Any] = []
    for one in arguments:
        if isinstance(one, np.ndarray):
            if not one.flags.c_contiguous:
                raise ValueError("array: must be in C order")
            numbers.append(one.__array_interface__["data"][0])
            numbers.extend(one.shape)
        else:
            numbers.append(one)
    return numbers


def load(path: Path, kinds: tuple[str, ...], returns: bool, make: Callable[[], bytes]) -> Code:
    """The function whose object code lies at ``path``, for this machine's processor; made where there is none."""
    path = path.with_name(f"{path.name}-{_processor()}.o")
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = make()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as out:
            out.write(found)
        Path(out.name).replace(path)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(found))
    engine.finalize_object()
    made = ctypes.CFUNCTYPE(ctypes.c_int64 if returns else None, *_c_types(kinds))
    code = made(engine.get_function_address(NAME))
    code.engine = engine  # type: ignore[attr-defined]  # the code lives as long as what has loaded it
    return code


def machine_code(numba: Any, function: Any, kinds: tuple[str, ...], returns: bool, options: dict[str, Any]) -> bytes:
    """Object code of a compiled function under the name ``NAME``. Raises TypeError where it makes arrays or raises."""
    arguments = []
    for kind in kinds:
        number, _, axes = kind.partition("x")
        of = numba.from_dtype(np.dtype(number))
        arguments += [numba.types.CPointer(of), *[numba.int64] * int(axes)] if axes else [of]
    signature = (numba.int64 if returns else numba.void)(*arguments)
    names: dict[str, Any] = {"function": function, "carray": numba.carray}
    exec(_interface(kinds), names)  # noqa: S102 - made of numbers alone
    options = {name: value for name, value in options.items() if name != "nogil"}
    compiled = numba.cfunc(signature, **options)(names["interface"])
    module = llvm.parse_assembly(compiled.inspect_llvm())
    module.link_in(llvm.parse_assembly(f"define void @{DESTRUCTOR}(ptr %0) {{ ret void }}"))
    for one in module.functions:  # only so is it seen that none can fail, and what handles failures goes
        if not one.is_declaration and one.name != compiled.native_name:
            one.linkage = llvm.Linkage.internal
    target = _target()
    passes = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    needed = {one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")}
    if needed - LIBRARY:
        raise TypeError(f"{function.__name__}: must make no array, got a call of {', '.join(sorted(needed - LIBRARY))}")
    module.get_function(compiled.native_name).name = NAME
    made: bytes = target.emit_object(module)
    return made


def _interface(kinds: tuple[str, ...]) -> str:
    """A function of addresses, lengths and numbers that calls ``function`` with arrays and numbers."""
    taken, given = [], []
    for number, kind in enumerate(kinds):
        taken.append(f"a{number}")
        given.append(f"a{number}")
        if axes := kind.partition("x")[2]:
            lengths = [f"a{number}_{axis}" for axis in range(int(axes))]
            taken += lengths
            given[-1] = f"carray(a{number}, ({', '.join(lengths)},))"
    return f"def interface({', '.join(taken)}):\n    return function({', '.join(given)})\n"


def _c_types(kinds: tuple[str, ...]) -> list[Any]:
    types: list[Any] = []
    for kind in kinds:
        number, _, axes = kind.partition("x")
        types += [ctypes.c_void_p, *[ctypes.c_int64] * int(axes)] if axes else [C_TYPES[number]]
    return types


@functools.cache
def _features() -> str:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return str(llvm.get_host_cpu_features().flatten())


@functools.cache
def _processor() -> str:
    """A digest of what machine code depends on: the processor and the version of LLVM."""
    told = f"{llvmlite.__version__} {llvm.get_host_cpu_name()} {_features()}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _target() -> Any:
    features = _features()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )
