"""Which leaves to compute in blocks."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import Var

from .._cores import cpu_count
from .equations import Equations, is_dear, is_elementwise, is_plain_sum, is_reshape, is_sum, is_written, shape_of

LEAST = 1 << 17
"""The least numbers of a leaf in blocks. Smaller ones stay in the processor's caches anyway."""

BLOCK = 1 << 13
"""The most numbers of a block: with it, a dozen float32 arrays fit into a second-level cache of half a megabyte."""

SMALLEST_BLOCK = 1 << 10
"""The least numbers of a block, for a loop has its own cost."""

SAVES = 1.1
"""How many times as much XLA must read and write of a leaf on its own: for less, compiling does not pay."""

MOST = 256
"""The most leaves in blocks, for the time in which XLA compiles loops grows with the square of their number."""


class Output(NamedTuple):
    """A result that takes the place of an argument.

    Attributes:
      place: the place of both.
      old: the argument.
      new: the result.
      equations: the places of what it is computed of, number by number.
      back: whether later outputs read it where it is written, instead of computing it once more.
      again: whether it computes what takes long, as an earlier output does: perhaps the same.
    """

    place: int
    old: Var
    new: Var
    equations: list[int]
    back: bool
    again: bool


class Leaf(NamedTuple):
    """What is computed together in one loop: the new params of a leaf and its memories.

    Attributes:
      outputs: in the order in which they are computed.
      arrays: what is read, of the same shape.
      few: what is read, too, of fewer numbers.
      after: numbers that are made before the loop of what it overwrites.
      plain: arrays that are read or written if each output is computed on its own.
      view: the shape as which the arrays are seen; blocks are parts of its first axis.
      rows: how many are a block, which all of them are a multiple of.
    """

    outputs: list[Output]
    arrays: set[Var]
    few: set[Var]
    after: list[Var]
    plain: int
    view: tuple[int, ...]
    rows: int

    @property
    def once(self) -> int:
        """Numbers that must be read or written."""
        return (len(self.arrays) + len(self.outputs)) * math.prod(self.view)

    @property
    def read(self) -> list[Var]:
        """All that must be known before the loop."""
        return [*self.arrays, *self.few, *self.after, *(output.old for output in self.outputs)]


def leaves(of: Equations, overwritten: int, *, every: bool) -> list[Leaf]:
    """The leaves that are computed in blocks.

    Args:
      of: what the function computes.
      overwritten: so many results take the places of as many arguments.
      every: those, too, that save little or would keep the other cores waiting, and however many there are.
    """
    found = [leaf for slices in _together(of, overwritten) if (leaf := _leaf(of, slices)) is not None]
    if not every:
        found = [leaf for leaf in found if leaf.plain * math.prod(leaf.view) >= SAVES * leaf.once]
        # Each loop has one core; without, XLA divides such a loop among as many as the root of their number.
        share = sum(leaf.once for leaf in found) / math.ceil(math.sqrt(cpu_count()))
        found = [leaf for leaf in found if leaf.once <= share]
        if len(found) > MOST:
            found = sorted(found, key=lambda leaf: leaf.once, reverse=True)[:MOST]
    while True:
        rest, results = apart(of, found), {v for v in others(of, found).values() if isinstance(v, Var)}
        again = _computed_again(of, rest)
        kept = [_after(of, leaf, rest, results) for leaf in found if again.isdisjoint(o.new for o in leaf.outputs)]
        kept = [leaf for leaf in kept if leaf is not None]
        if len(kept) == len(found):
            return kept
        found = kept


def apart(of: Equations, found: list[Leaf]) -> set[int]:
    """The places of the equations that are not computed in blocks."""
    return of.behind([*others(of, found).values(), *(v for leaf in found for v in leaf.read)], effects=True)


def others(of: Equations, found: list[Leaf]) -> dict[int, Any]:
    """The results that are not computed in blocks, by their places."""
    within = {output.place for leaf in found for output in leaf.outputs}
    return {place: v for place, v in enumerate(of.outputs) if place not in within}


class _Slice(NamedTuple):
    """What an array is computed of, number by number; see `Leaf`."""

    equations: set[int]
    arrays: set[Var]
    few: set[Var]


def _slice(of: Equations, variable: Var, known: Iterable[Var]) -> _Slice:
    """What a variable is computed of, up to what is known."""
    out = _Slice(set(), set(), set())
    wanted: list[Any] = [variable]
    while wanted:
        v = wanted.pop()
        place = of.maker.get(v) if isinstance(v, Var) else None
        if not isinstance(v, Var) or place in out.equations:
            continue
        if shape_of(v) != shape_of(variable):
            out.few.add(v)
        elif v in known or place is None or not is_elementwise(of.steps[place]):
            out.arrays.add(v)
        else:
            out.equations.add(place)
            wanted += of.steps[place].invars
    return out


def _together(of: Equations, overwritten: int) -> list[dict[int, _Slice]]:
    """Slices of results that read the same arrays, or what others overwrite, by the results' places."""
    written = _written(of)
    groups: list[tuple[set[Var], dict[int, _Slice]]] = []
    for place, (old, new) in enumerate(zip(of.inputs[:overwritten], of.outputs, strict=False)):
        if not isinstance(new, Var) or new is old or (new in of.maker and new in written):
            continue
        if _kind(new) != _kind(old) or math.prod(shape_of(old)) < LEAST:
            continue
        slice = _slice(of, new, written)
        if not slice.equations and new in of.maker:
            continue  # the result of a branch or a loop would only be copied
        touched, slices = {old, *slice.arrays}, {place: slice}
        for group in [group for group in groups if group[0] & touched]:
            groups.remove(group)
            touched |= group[0]
            slices |= group[1]
        groups.append((touched, slices))
    within = {place for _, slices in groups for place in slices}
    pairs = zip(of.inputs[:overwritten], of.outputs, strict=False)
    elsewhere = {old for place, (old, new) in enumerate(pairs) if place not in within and new is not old}
    return [slices for touched, slices in groups if touched.isdisjoint(elsewhere)]


def _written(of: Equations) -> set[Var]:
    """What is read by others than sums and what goes number by number."""
    found = {v for v in of.outputs if isinstance(v, Var) and v in of.maker and is_reshape(of.steps[of.maker[v]])}
    for place in sorted(of.behind(of.outputs, effects=True), reverse=True):
        equation = of.steps[place]
        passes = is_elementwise(equation) or is_sum(equation)
        if is_reshape(equation):
            passes = equation.outvars[0] not in found
        if not passes:
            found.update(v for v in equation.invars if isinstance(v, Var))
    return found


def _kind(variable: Any) -> tuple[tuple[int, ...], Any]:
    return variable.aval.shape, variable.aval.dtype


def _is_narrow(variable: Any) -> bool:
    return jnp.issubdtype(variable.aval.dtype, jnp.inexact) and variable.aval.dtype.itemsize < 4


def _leaf(of: Equations, slices: dict[int, _Slice]) -> Leaf | None:
    """One loop for these results; `None` where there can be none."""
    arrays, few = (set[Var]().union(*(getattr(s, name) for s in slices.values())) for name in ("arrays", "few"))
    if not all(is_written(v, of) for v in arrays):
        return None  # XLA would compute it where it is used
    if any(_is_narrow(v) for v in (*arrays, *(of.outputs[place] for place in slices))):
        return None  # XLA would make them float32, whole, before the loop and turn them back after it
    shape: tuple[int, ...] = shape_of(of.inputs[next(iter(slices))])
    if shape[-1:] == (1,):
        return None  # XLA takes it for transposed, and would copy it
    if all(shape_of(v) == () for v in few):
        row = next(n for n in range(min(BLOCK, math.prod(shape)), 0, -1) if math.prod(shape) % n == 0)
        view, rows = (math.prod(shape) // row, row), 1
    else:
        row = math.prod(shape[1:])
        view, rows = shape, max(n for n in range(1, max(1, BLOCK // row) + 1) if shape[0] % n == 0)
    if not SMALLEST_BLOCK <= rows * row <= 8 * BLOCK:
        return None
    places = sorted(slices, key=lambda place: of.maker.get(of.outputs[place], -1))
    outputs = _ordered(of, places, arrays)
    if outputs is None:
        return None
    known, plain = {*arrays}, 0
    for output in outputs:
        plain += 1 + len(_slice(of, output.new, known).arrays)
        known.add(output.new)
    return Leaf(outputs, arrays, few, [], plain, view, rows)


def _ordered(of: Equations, places: list[int], arrays: set[Var]) -> list[Output] | None:
    """The results in these places, in this order; `None` if one needs what another has overwritten by then.

    Each is in the end a loop of its own over a block, which overwrites it at once. What is computed again for another
    output must not need what is overwritten by then: it is read where it was written.
    """
    outputs: list[Output] = []
    dear_before = False
    for i, place in enumerate(places):
        back = [output for output in outputs if output.back]
        alone = _slice(of, of.outputs[place], {*arrays, *(output.new for output in back)})
        if not alone.arrays.isdisjoint(output.old for output in back):
            return None
        dear = any(is_dear(of.steps[at]) for at in alone.equations)
        waits = not alone.arrays.isdisjoint(of.inputs[later] for later in places[i + 1 :])
        outputs.append(
            Output(
                place,
                old=of.inputs[place],
                new=of.outputs[place],
                equations=sorted(alone.equations),
                back=dear or waits,
                again=dear and dear_before,
            )
        )
        dear_before |= dear
    return outputs


def _computed_again(of: Equations, rest: set[int]) -> set[Var]:
    """What plain sums are computed of, number by number: results among it are not read, but computed once more."""
    summed = {v for place in rest if is_plain_sum(of.steps[place]) for v in of.steps[place].invars}
    wanted, found = [v for v in summed if isinstance(v, Var)], set[Var]()
    while wanted:
        v = wanted.pop()
        if v not in found and v in of.maker and is_elementwise(of.steps[of.maker[v]]):
            found.add(v)
            wanted += [x for x in of.steps[of.maker[v]].invars if isinstance(x, Var)]
    return found


def _after(of: Equations, leaf: Leaf, rest: set[int], results: set[Var]) -> Leaf | None:
    """The leaf, told what to wait for; `None` if others than sums read what it overwrites, and need not come first.

    XLA does not see that they could, and would keep a copy.

    Args:
      of: what the function computes.
      leaf: one of its leaves.
      rest: the places of what is not computed in blocks.
      results: those of the function that are among it.
    """
    old, after = {output.old for output in leaf.outputs}, []
    for equation in (of.steps[place] for place in sorted(rest - of.behind([*leaf.arrays, *leaf.few]))):
        if old.isdisjoint(v for v in equation.invars if isinstance(v, Var)):
            continue
        if is_sum(equation) and all(shape_of(v) == () for v in equation.outvars):
            after += equation.outvars
        elif (is_elementwise(equation) or is_reshape(equation)) and results.isdisjoint(equation.outvars):
            old.update(equation.outvars)
        else:
            return None
    return leaf._replace(after=after)
