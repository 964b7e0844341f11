"""How loops are compiled: once a machine and version of their code, kept in a folder that can be written.

The compiler's own cache looks only at the file of the function that is asked for. A change in a loop that it calls,
in another file, would go unseen and the old machine code would run. So the folder's name holds a digest of every file
with loops.

The compiler takes most of a second to start, longer than many corpora take. So it is imported where a loop is called
that has not been compiled yet, or one that is no ``entry``.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import tempfile
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from data_curation.machine_code import Code, kinds_of, load, machine_code, numbers_of

LOOPS = (
    "compiled.py", "content_loop.py", "cross_loop.py", "english_loop.py", "first_seen.py", "folding.py", "json_loop.py",
    "letters.py", "machine_code.py", "minhash.py", "near_pairs.py", "ngram_table.py", "normal_loop.py",
    "number_loop.py", "phrases.py", "repeats.py", "scan_loop.py", "sign_loop.py", "sorting.py", "text_loops.py",
    "text_measures.py", "text_statistics.py", "language.py", "mojibake.py", "normalising.py", "personal_patterns.py",
    "personal_signs.py", "vectors.py",
)  # fmt: skip
"""The files whose functions are compiled, and those whose figures stand in them."""
F = TypeVar("F", bound=Callable[..., Any])
OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy"}


class Loop:
    """A compiled function over arrays, for Python and for other loops; ``py_func`` and others are the compiler's names.

    It runs without the interpreter's lock.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self.targetoptions = options

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher(*arguments)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """What the compiler makes of the function."""
        return compiler().njit(**OPTIONS, **self.targetoptions)(self.py_func)

    @property
    def _numba_type_(self) -> Any:
        return self.dispatcher._numba_type_

    def __deepcopy__(self, _: Any) -> Loop:
        return self


class Entry(Loop):
    """A loop that Python calls through its machine code, which was kept, without the compiler.

    It takes arrays in C order and numbers, and returns nothing or an integer. It may make no array: that needs the
    compiler's own memory management.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(function, **options)
        self._codes: dict[tuple[str, ...], Code] = {}
        self._making = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        kinds = kinds_of(arguments)
        code = self._codes.get(kinds) or self._code(kinds)
        return code(*numbers_of(arguments))

    def _code(self, kinds: tuple[str, ...]) -> Code:
        with self._making:
            if kinds not in self._codes:
                name = f"{self.py_func.__module__}.{self.py_func.__name__}"
                returns = self.py_func.__annotations__["return"] not in ("None", None)
                path = cache_folder() / f"{name}-{hashlib.sha256(repr(kinds).encode()).hexdigest()[:12]}"
                self._codes[kinds] = load(path, kinds, returns, lambda: self._made(kinds, returns))
        return self._codes[kinds]

    def _made(self, kinds: tuple[str, ...], returns: bool) -> bytes:
        return machine_code(compiler(), self.dispatcher, kinds, returns, OPTIONS)


class Vector:
    """An instruction of ``vectors``, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target

        from data_curation import vectors

        cpu_target.typing_context.refresh()  # it looks for new instructions only when told
        return cpu_target.typing_context.resolve_value_type(getattr(vectors, self.name))

    def __deepcopy__(self, _: Any) -> Vector:
        return self


BLOCK = 64
"""Bytes that ``mask`` and ``copy`` take at a time; they read past what is asked for, so arrays need that much room."""
load8, mask, equal, within, copy, fold_block, lowest_bit, ones = (
    cast(Any, Vector(name)) for name in ("load8", "mask", "equal", "within", "copy", "fold_block", "lowest_bit", "ones")
)


def loop(function: F) -> F:
    """Compile a function on its first call."""
    return cast(F, Loop(function, cache=True))


def entry(function: F) -> F:
    """``loop`` for a function that Python calls and that makes no array (``Entry``)."""
    return cast(F, Entry(function))


def inlined(function: F) -> F:
    """``loop`` for a small function that takes arrays and is called for every word: written out at each call.

    A call would count the references of every array up and down, which costs more than what such a function does.
    """
    return cast(F, Loop(function, inline="always"))


@functools.cache
def compiler() -> Any:
    """The compiler, told where to keep what it makes.

    Half of its start would go to the search for garbage among its tables, of which there is none.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        import numba
        from numba.core.registry import cpu_target

        numba.config.CACHE_DIR = str(cache_folder())
        cpu_target.target_context.refresh()
    finally:
        if searching:
            gc.enable()
    return numba


@functools.cache
def cache_folder() -> Path:
    """Where compiled loops lie: beside the code, else in the user's cache, else in a folder for this process only."""
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join((here / name).read_bytes() for name in LOOPS)).hexdigest()[:12]
    told = os.environ.get("NUMBA_CACHE_DIR")  # the compiler's own variable: it cannot be asked before it is imported
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


def kept(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """A table about characters, made once a machine, version of the code and of Unicode."""
    path = cache_folder() / f"{name}-{unicodedata.unidata_version}.npy"
    try:
        found: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        found = make()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=name, delete=False) as out:
            np.save(out, found, allow_pickle=False)
        Path(out.name).replace(path)
    return found
