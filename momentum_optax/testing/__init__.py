"""The laws that every transformation here obeys, for holding your own against them.

    from momentum_optax import testing
    testing.check(my_transformation, {"beta": 0.9}, decays=("beta",))

`LAWS` has them one by one, for use as parameters of a test. They need `momentum_optax[test]` (Flax, Orbax and equinox
for the laws about containers and checkpoints) and two devices or more.
"""

import dataclasses
from collections.abc import Callable, Mapping

import optax

from . import (
    _arguments,
    _composition,
    _memory,
    _numerics,
    _persistence,
    _sharding,
    _transforms,
    _trees,
    _types,
)
from ._case import Case as Case


@dataclasses.dataclass(frozen=True)
class Law:
    """One promise.

    Attributes:
      name: by which a case may declare an exception.
      holds: raises an AssertionError that says what is wrong with a case.
      applies: whether the promise says anything about a case.
      needs_devices: whether it takes two devices or more to see.
    """

    name: str
    holds: Callable[[Case], None]
    applies: Callable[[Case], bool]
    needs_devices: bool = False


def _has_decays(case: Case) -> bool:
    return bool(case.decays)


def _always(case: Case) -> bool:
    del case
    return True


def _law(
    holds: Callable[[Case], None], applies: Callable[[Case], bool] = _always, *, needs_devices: bool = False
) -> tuple[str, Law]:
    return holds.__name__, Law(holds.__name__, holds, applies, needs_devices)


LAWS: Mapping[str, Law] = dict(
    [
        _law(_types.types_are_a_fixed_point),
        _law(_types.types_are_a_fixed_point_in_x64),
        _law(_types.init_needs_only_shapes),
        _law(_transforms.jit_and_scan_change_nothing),
        _law(_transforms.vmap_equals_single_runs),
        _law(_transforms.vmap_equals_single_runs_in_bfloat16),
        _law(_trees.missing_gradients_sit_out),
        _law(_trees.odd_trees_work),
        _law(_trees.containers_do_not_matter),
        _law(_composition.extra_arguments_are_accepted),
        _law(_composition.masks_and_partitions_work),
        _law(_composition.injected_hyperparameters_change_nothing),
        _law(_composition.multi_steps_accumulate),
        _law(_composition.skipped_steps_leave_the_state_alone),
        _law(_composition.param_leaves_can_be_mapped),
        _law(_memory.beta_matters, _has_decays),
        _law(_memory.forgets, _has_decays),
        _law(_memory.debiasing_is_exact, lambda case: case.debiased),
        _law(_memory.unused_memory_costs_nothing, _has_decays),
        _law(_numerics.finite_stays_finite),
        _law(_numerics.non_finite_is_seen_and_contained),
        _law(_numerics.meta_gradients_are_finite),
        _law(_numerics.complex_leaves_work),
        _law(_persistence.bytes_restore_the_run),
        _law(_persistence.checkpoints_restore_the_run),
        _law(_sharding.state_is_sharded_as_the_params_are, needs_devices=True),
        _law(_sharding.explicit_shardings_are_kept, needs_devices=True),
        _law(_sharding.donation_never_aliases),
        _law(_arguments.bad_arguments_are_refused, lambda case: bool(case.hyperparameters)),
    ]
)


def laws_of(case: Case) -> list[Law]:
    """The laws that apply to the case, without its exceptions.

    Raises:
      ValueError: an exception names no law.
    """
    unknown = set(case.exceptions) - set(LAWS)
    if unknown:
        raise ValueError(f"exceptions must name laws: {', '.join(LAWS)}; got {', '.join(sorted(unknown))}.")
    return [law for law in LAWS.values() if law.applies(case) and law.name not in case.exceptions]


def check(
    build: Callable[..., optax.GradientTransformation],
    hyperparameters: Mapping[str, float] | None = None,
    *,
    decays: tuple[str, ...] = (),
    debiased: bool = False,
    exceptions: Mapping[str, str] | None = None,
) -> list[str]:
    """Holds a transformation against every law.

    Args:
      build: makes the transformation from the hyperparameters, by keyword.
      hyperparameters: the numbers that `build` takes, at values worth testing.
      decays: names of those that say how much of the past survives, in [0, 1); at 0 the method forgets.
      debiased: whether a constant gradient gives a constant update, whatever the decays do.
      exceptions: names of laws that do not hold, and why.

    Returns:
      The names of the laws that hold.

    Raises:
      AssertionError: one or more laws are broken; the message names each and says how.
      RuntimeError: there is only one device, and the laws about sharding are no exceptions.
      ValueError: an exception names no law.
    """
    name = getattr(build, "__name__", repr(build))
    case = Case(name, build, hyperparameters or {}, decays, debiased, exceptions or {})
    laws = laws_of(case)
    if any(law.needs_devices for law in laws):
        _sharding.two_or_more_devices()
    held, broken = [], []
    for law in laws:
        try:
            law.holds(case)
            held.append(law.name)
        except Exception as error:
            broken.append(f"{law.name}: {type(error).__name__}: {error}")
    if broken:
        raise AssertionError(f"{name} breaks {len(broken)} of {len(held) + len(broken)} laws:\n" + "\n".join(broken))
    return held
