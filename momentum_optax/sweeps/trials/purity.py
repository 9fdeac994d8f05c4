"""Whether a function is pure: gives the same program each time, and changes nothing outside of itself."""

import functools
import inspect
import pickle
import random
import re
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..values import listing

MOST = 3_000
"""How many objects are looked at, the nearest first."""

SMALL = 4_096
"""Bytes of the largest NumPy array that is looked into."""

_REMEDY = (
    "In a sweep it is called once, for all runs and steps. What changes must be part of the state, and what is random "
    "must be drawn from a key."
)
_PLAIN = (str, bytes, int, float, complex, type(None))
_CLOSED = (*_PLAIN, type, types.ModuleType, jax.Array, Tracer)


def trace(name: str, function: Callable[..., Any], call: Callable[..., Any], *arguments: Any) -> Any:
    """Traces a function twice, which computes and compiles nothing, and fails if it is not pure.

    The program must be the same both times, and nothing outside of the function may change that it refers to. What it
    prints, or writes to a file, is not seen.

    Args:
      name: of the function, for messages.
      function: what is to be looked at.
      call: calls it with the arguments, and returns what it returns.
      *arguments: arrays, or their shapes and dtypes.

    Returns:
      Shapes and dtypes of what it returns.

    Raises:
      ValueError: it is not pure.
    """

    def once() -> tuple[Any, Any, Any]:
        # A function of its own, for JAX remembers what it has traced.
        program, result = jax.make_jaxpr(lambda *args: call(*args), return_shape=True)(*arguments)
        return program, result, surroundings(function)

    leaked = (
        f"{name} is not pure: it uses a traced value that an earlier call left somewhere (a leaked tracer). {_REMEDY}"
    )
    where = f"This happened in `{name}` of the trial, while it was traced."
    try:
        (first, result, before), (second, _, after) = once(), once()
        changed = changes(before, after)
        if changed:  # Was it someone else, in another thread?
            again = changes(after, once()[2])
            changed = {what: traced for what, traced in changed.items() if what in again}
    except jax.errors.UnexpectedTracerError as error:
        raise ValueError(leaked) from error
    except jax.errors.ConcretizationTypeError as error:
        error.add_note(
            f"{where} Numbers that the points give as floats are traced, and so is all that depends on them. Decide by "
            "`jnp.where`, or give an integer, a string or a boolean, which are part of the program."
        )
        raise
    except Exception as error:
        error.add_note(where)
        raise
    if changed:
        leak = " It leaves a traced value there (a leaked tracer)." if any(changed.values()) else ""
        raise ValueError(f"{name} is not pure: each call changes {listing(list(changed))}.{leak} {_REMEDY}")
    if any(isinstance(constant, Tracer) for constant in second.consts):
        raise ValueError(leaked)
    if not _same(first, second):
        raise ValueError(
            f"{name} is not pure: traced twice, it gives two different programs, as if it asked for the time, counted "
            f"its calls or drew numbers without a key. {_REMEDY}"
        )
    # Without weak types, those of Python's numbers: a state that was saved and loaded has none.
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), result)


def _same(a: Any, b: Any) -> bool:
    """Whether two traces are the same program, with the same constants."""
    texts = (re.sub(r"0x[0-9a-f]+", "", str(program)) for program in (a, b))  # addresses of functions
    return len(set(texts)) == 1 and all(
        x is y or jnp.issubdtype(x.dtype, jax.dtypes.extended) or np.array_equal(x, y, equal_nan=_is_float(x))
        for x, y in zip(a.consts, b.consts, strict=True)
    )


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


def surroundings(function: Callable[..., Any]) -> dict[str, tuple[str, Any]]:
    """What a function refers to: variables outside of it, what those hold, and the generators of random numbers.

    Args:
      function: what is to be looked at, with the functions of the same module that it refers to, and those it closes
        over, from wherever.

    Returns:
      What there is, and what a reader would call it or its holder, by a unique path.
    """
    found: dict[str, tuple[str, Any]] = {}
    seen: dict[int, Any] = {}  # holds what was seen, so that no id comes twice
    module = getattr(inspect.unwrap(function), "__globals__", None)
    todo: deque[tuple[str, str, Any]] = deque([("", "", function)])
    while todo and len(seen) < MOST:
        path, known, value = todo.popleft()
        # JAX keeps what it has traced, here and there.
        if isinstance(value, _CLOSED) or id(value) in seen or str(getattr(value, "__module__", "")).startswith("jax"):
            continue
        seen[id(value)] = value
        for name, child in _children(value, module):
            # What is in a list is known by the list, and a variable by its own name, wherever it is used.
            attribute = known and not isinstance(value, types.FunctionType)
            child_known = known if name.startswith("[") else f"{known}{name}" if attribute else name.lstrip(".")
            found[path + name] = child_known, child
            todo.append((path + name, child_known, child))
    found["random"] = ("the generator of the module random", hash(random.getstate()))
    found["numpy"] = ("the generator of numpy.random", pickle.dumps(np.random.get_state(legacy=False)))
    return found


def changes(before: Mapping[str, tuple[str, Any]], after: Mapping[str, tuple[str, Any]]) -> dict[str, bool]:
    """What of the surroundings has changed, by the name for a reader, and whether a traced value is there now."""
    found: dict[str, bool] = {}
    nothing = ("", object())
    for path in {**before, **after}:
        (was_named, was), (named, now) = before.get(path, nothing), after.get(path, nothing)
        if was is now or (type(was) is type(now) and isinstance(was, _PLAIN) and was == now):
            continue
        name = named or was_named
        found[name] = found.get(name, False) or isinstance(now, Tracer)
    return found


def _children(value: Any, module: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, and by which name."""
    if isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        # A cell is empty while the variable is not yet set.
        yield from ((f".{name}", cell.cell_contents) for name, cell in cells if _full(cell))
        if value.__globals__ is module:
            yield from ((f".{name}", module[name]) for name in _names(value.__code__) if name in module)
    elif isinstance(value, types.MethodType):
        yield from ((".self", value.__self__), (".function", value.__func__))
    elif isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, np.ndarray):
        yield from [("[]", value.tobytes())] if value.nbytes <= SMALL else []
    elif isinstance(value, np.random.Generator | np.random.RandomState):
        yield "[]", pickle.dumps(value)
    elif isinstance(value, random.Random):
        yield "[]", hash(value.getstate())
    elif isinstance(value, dict):
        yield from ((f"[key {i}]", key) for i, key in enumerate(value))
        yield from ((f"[{i}]", child) for i, child in enumerate(value.values()))
    elif isinstance(value, Sequence | AbstractSet):
        yield "[len]", len(value)
        yield from ((f"[{i}]", child) for i, child in zip(range(MOST), value, strict=False))
    else:
        yield from ((f".{name}", child) for name, child in getattr(value, "__dict__", {}).items())


def _full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _names(code: types.CodeType) -> list[str]:
    """The names of globals (and attributes) in a function and in those defined inside of it."""
    inner = [name for inside in code.co_consts if isinstance(inside, types.CodeType) for name in _names(inside)]
    return [*code.co_names, *inner]
