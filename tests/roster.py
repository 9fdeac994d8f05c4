"""The public surface as the tests see it: what is offered, under which names, with which arguments."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optax

import momentum_optax as mo
from momentum_optax import compat, rules, schedules, sweeps, testing, wrappers
from momentum_optax.catalog import CATALOG

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "momentum_optax"
ROWS = {row.name: row for row in CATALOG}
TRANSFORMATIONS = (optax.GradientTransformation, optax.GradientTransformationExtraArgs)

# The roster. A change here is a change for users.
SIGNATURES = {
    "trace": "(beta, *, nesterov=False, dampening=0.0, state_dtype=None)",
    "ema": "(beta, *, debias=True, nesterov=False, state_dtype=None)",
    "difference": "(*, state_dtype=None)",
    "identity": "()",
    "blend": "(*parts)",
    "divide": "(numerator, by)",
    "root_mean_square": "(b2, eps=1e-08, eps_root=0.0, *, debias=True, state_dtype=None)",
    "scale_by_learning_rate": "(learning_rate)",
    "add_decayed_weights": "(weight_decay, mask=None)",
    "heavy_ball": "(learning_rate, beta=0.9, *, lr_in_velocity=False, {common})",
    "ema_momentum": "(learning_rate, beta=0.9, *, debias=False, {common})",
    "nesterov": "(learning_rate, beta=0.9, *, {common})",
    "nesterov_lookahead": "(learning_rate, beta=0.9, *, {common})",
    "qhm": "(learning_rate, beta=0.999, nu=0.7, *, {common})",
    "aggmo": "(learning_rate, betas=(0.0, 0.9, 0.99), *, {common})",
    "acc_sgd": "(learning_rate, kappa=1000.0, xi=10.0, small_const=0.7, *, {common})",
    "pid": "(learning_rate, beta=0.9, integral=5.0, derivative=10.0, *, {common})",
    "pnm": "(learning_rate, beta=0.9, beta0=1.0, *, {common})",
    "compat.torch_sgd": (
        "(learning_rate, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0, *, state_dtype=None)"
    ),
    "compat.keras_sgd": ("(learning_rate=0.01, momentum=0.0, nesterov=False, *, weight_decay=None, state_dtype=None)"),
    "convert": "(learning_rate, beta, *, source, target)",
    "lookahead": "(tx, sync_period=6, slow_step=0.5, *, velocity='keep', state_dtype=None)",
    "outer_momentum": "(tx, sync_period, *, outer_learning_rate=0.7, outer_beta=0.9, nesterov=True, inner_learning_rate=1.0, velocity='keep', axis_name=None, state_dtype=None)",
    "polyak_heavy_ball": "(f_star=0.0, *, state_dtype=None)",
    "schedules.cosine": "(start, end, steps)",
    "schedules.cyclic": "(period, base=0.95, low=0.85, pct=0.5, *, shape='linear')",
    "schedules.demon": "(beta, steps)",
    "schedules.fista_sequence": "()",
    "schedules.from_half_life": "(tokens, tokens_per_step)",
    "schedules.linear": "(start, end, steps)",
    "schedules.nesterov_sequence": "()",
    "schedules.one_cycle": "(steps, base=0.95, low=0.85, pct=0.3, *, shape='linear')",
    "schedules.piecewise": "(values, boundaries, *, steps=None)",
    "schedules.rescale_beta": "(beta, k)",
    "schedules.sutskever": "(max_beta)",
    "schedules.warm_restarts": "(learning_rate, period, *, t_mult=1.0, min_learning_rate=0.0, peak_decay=1.0, beta=0.9, end_beta=None)",
    "schedules.warmup": "(steps, start=0.85, end=0.95, *, fraction=1.0)",
    "srsgd": "(learning_rate, period=40, *, {common})",
    "wrappers.accumulate_into": "(tx, k)",
    "wrappers.clip_by_velocity": "(tx, ratio=3.0, *, per_leaf=True, decay=0.97)",
    "wrappers.guard_finite": "(tx, *, per_leaf=False, check_value=False, max_consecutive=None)",
    "wrappers.lazy": "(tx, where=None, *, mode='decay', axis=0)",
    "wrappers.restart_every": "(tx, period, *, keep=0.0, second_moments=False, counts=True)",
    "wrappers.restart_when": "(tx, when, *, keep=0.0, min_steps=None, second_moments=False, counts=None)",
    "wrappers.skip_spikes": "(tx, threshold=4.0, *, decay=0.97, warmup=20, floor=0.1, max_consecutive=5)",
    "apply_updates": "(params, updates)",
    "by_depth": "(function, order=None)",
    "describe": "(beta, params, *, count=0)",
    "eval_params": "(state, params)",
    "layerwise": "(coefficients, default='error')",
    "layerwise_chain": "(transforms, default='error')",
    "lookahead_params": "(state, params)",
    "make_step": "(loss_fn, tx, *, has_aux=False, donate=True)",
    "rescale": "(state, factor, where=None, *, group=None)",
    "reset": "(state, where=None, *, keep=0.0, second_moments=False, counts=False, group=None)",
    "reset_rows": "(state, rows, *, second_moments=False, group=None)",
    "rules.alignment": "(low=0.5, high=0.99, decay=0.9, *, each_leaf=False)",
    "rules.build": "(make, *args, **kwargs)",
    "rules.hypergradient": "(rate, start=0.9, low=0.0, high=0.999, *, each_leaf=False)",
    "rules.lipschitz_ratio": "(delta=0.001, *, each_leaf=False)",
    "rules.plateau": "(start=0.9, high=0.999, factor=0.5, patience=10, *, rtol=0.0001, atol=0.0, cooldown=0, decay=0.0)",
    "rules.yellowfin": "(learning_rate=0.0001, *, decay=0.999, window=20, eps=1e-06)",
    "transplant": "(source, target, *, scale=1.0, weight=None, second_moments=False, second_moment_weight=None, counts=False, missing='error')",
    "diverging": "(metrics, growth=1.02)",
    "metrics": "(state)",
    "oscillating": "(metrics, flips=0.5)",
    "stalled": "(metrics, ratio=1e-05)",
    "track": "(tx, *, groups=None, decay=0.98)",
}
COMMON = "weight_decay=None, mask=None, state_dtype=None"

# Rows whose reference in tests/oracles.py has another name, and rows whose equation is a line of the test named.
# (The reference of a row of `compat` is the original itself, recorded in tests/peers.)
OTHER_ORACLES = {"blend": "trace", "divide": "adam"}
OWN_REFERENCE = {
    "identity": "filters/test_blend.py",
    "scale_by_learning_rate": "optimizers/test_finish.py",
    "add_decayed_weights": "optimizers/test_finish.py",
    "by_depth": "coefficients/test_by_depth.py",
    "layerwise": "coefficients/test_layerwise.py",
    "layerwise_chain": "wrappers/test_layerwise_chain.py",
    "lookahead": "wrappers/test_lookahead.py",
    "track": "wrappers/test_track.py",
    "outer_momentum": "wrappers/test_outer_momentum.py",
    "polyak_heavy_ball": "optimizers/test_polyak_heavy_ball.py",
    "srsgd": "optimizers/test_srsgd.py",
    "rules.alignment": "rules/test_alignment.py",
    "rules.hypergradient": "rules/test_hypergradient.py",
    "rules.lipschitz_ratio": "rules/test_lipschitz_ratio.py",
    "rules.plateau": "rules/test_plateau.py",
    "rules.yellowfin": "rules/test_yellowfin.py",
    "schedules.warm_restarts": "schedules/test_warm_restarts.py",
    "wrappers.accumulate_into": "wrappers/test_accumulate_into.py",
    "wrappers.clip_by_velocity": "wrappers/test_clip_by_velocity.py",
    "wrappers.guard_finite": "wrappers/test_guard_finite.py",
    "wrappers.lazy": "wrappers/test_lazy.py",
    "wrappers.skip_spikes": "wrappers/test_skip_spikes.py",
    "wrappers.restart_every": "wrappers/test_restarts.py",
    "wrappers.restart_when": "wrappers/test_restarts.py",
}
OWN_REFERENCE |= {
    f"schedules.{name}": "schedules/test_values.py"
    for name in (
        *("linear", "cosine", "warmup", "demon", "sutskever", "nesterov_sequence", "fista_sequence", "one_cycle"),
        *("cyclic", "piecewise", "from_half_life", "rescale_beta"),
    )
}
# Rows that build an example, because the function takes other things than numbers.
EXAMPLES = {"blend", "divide", "aggmo", "polyak_heavy_ball"}
# Optimizers that are no direction with a learning rate.
WHOLE = {"polyak_heavy_ball"}


def resolve(name: str) -> Any:
    """What a row's name stands for."""
    value: Any = mo
    for part in name.split("."):
        value = getattr(value, part)
    return value


def public(module: Any, prefix: str = "") -> dict[str, Any]:
    """The functions and classes that a module offers, by name."""
    return {
        prefix + name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith("momentum_optax")
    }


SURFACE = {
    **public(mo),
    **{name: value for name, value in public(compat, "compat.").items() if value.__module__ == compat.__name__},
    **public(rules, "rules."),
    **public(schedules, "schedules."),
    **public(sweeps, "sweeps."),
    **public(wrappers, "wrappers."),
    **public(testing, "testing."),
}
FUNCTIONS = {name: value for name, value in SURFACE.items() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in SURFACE.items() if inspect.isclass(value)}
MAKERS = {name: f for name, f in FUNCTIONS.items() if inspect.signature(f).return_annotation in TRANSFORMATIONS}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.name != "self"]


def spelled(function: Callable[..., Any]) -> str:
    """The signature without types."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))
