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
    "root_mean_square": "(b2, eps=1e-08, eps_root=0.0, *, debias=True, initial=0.0, state_dtype=None)",
    "root_maximum": "(b2, eps=1e-08, eps_root=0.0, *, debias=True, raw_maximum=False, state_dtype=None)",
    "root_yogi": "(b2, eps=0.001, eps_root=0.0, *, initial=1e-06, debias=True, state_dtype=None)",
    "root_deviation": "(b1, b2, eps=1e-16, eps_root=1e-16, *, debias=True, state_dtype=None)",
    "root_variance": "(b2, eps=1e-08, eps_root=0.0, *, debias=True, initial=0.0, state_dtype=None)",
    "root_factored": "(b2, eps=0.0, eps_root=1e-30, *, min_dim_size_to_factor=128, debias=True, state_dtype=None)",
    "cube_root_sum": "(scale=1.0, eps=1e-06, *, state_dtype=None)",
    "rmsprop": "(learning_rate, decay=0.9, eps=1e-08, initial_scale=0.0, eps_in_sqrt=True, centered=False, momentum=None, nesterov=False, bias_correction=False, *, {common})",
    "madgrad": "(learning_rate, momentum=0.9, weight_decay=0.0, eps=1e-06, *, mask=None, state_dtype=None)",
    "msvag": "(learning_rate, beta=0.9, *, {common})",
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
    "adam": "(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype=None, *, nesterov=False, {common})",
    "adamw": "(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype=None, weight_decay=0.0001, mask=None, *, nesterov=False, state_dtype=None)",
    "amsgrad": "(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype=None, bias_correction_mu=True, bias_correction_nu=True, *, {common})",
    "nadam": "(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype=None, *, nesterov=True, {common})",
    "nadamw": "(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype=None, weight_decay=0.0001, mask=None, *, nesterov=True, state_dtype=None)",
    "adabelief": "(learning_rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, *, nesterov=False, {common})",
    "yogi": "(learning_rate, b1=0.9, b2=0.999, eps=0.001, *, {common})",
    "qhadam": "(learning_rate, b1=0.995, b2=0.999, nu1=0.7, nu2=1.0, eps=1e-08, eps_root=0.0, *, {common})",
    "adan": "(learning_rate, b1=0.98, b2=0.92, b3=0.99, eps=1e-08, eps_root=1e-08, weight_decay=0.0, mask=None, *, state_dtype=None)",
    "laprop": "(learning_rate, b1=0.9, b2=0.999, eps=1e-15, *, {common})",
    "ademamix": "(learning_rate, b1=0.9, b2=0.999, b3=0.9999, alpha=5.0, eps=1e-08, eps_root=0.0, mu_dtype=None, weight_decay=0.0, mask=None, *, state_dtype=None)",
    "simplified_ademamix": "(learning_rate, b1=0.99, b2=0.95, alpha=0.0, eps=1e-08, eps_root=0.0, weight_decay=0.0, mask=None, *, state_dtype=None)",
    "adai": "(learning_rate, b0=0.1, b2=0.99, eps=0.001, *, {common})",
    "bank": "(betas, weights=(), *, debias=True, state_dtype=None)",
    "ema_nesterov": "(tx, beta=0.5, gamma=0.99, *, state_dtype=None)",
    "log_spaced_betas": "(number, shortest, longest)",
    "mean_age_weights": "(betas, age, end=None, steps=None, *, begin=0)",
    "schedules.ademamix_alpha": "(alpha, steps)",
    "schedules.ademamix_b3": "(b3, steps, b1=0.9)",
    "sign": "(smoothing=0.0)",
    "signum": "(learning_rate, beta=0.9, accumulator_dtype=None, *, {common})",
    "lion": "(learning_rate, b1=0.9, b2=0.99, mu_dtype=None, weight_decay=0.001, mask=None, *, state_dtype=None)",
    "tiger": "(learning_rate, beta=0.965, *, vectors=0.5, rows='*embedding*', min_scale=0.001, {common})",
    "add_cautious_decayed_weights": "(weight_decay, mask=None)",
    "cautious": "(tx, eps=0.001, *, downhill=True)",
    "grams": "(tx, *, downhill=True)",
    "torque_aware": "(tx, decay=0.9, eps=1e-08, *, downhill=False)",
    "orthogonal_to_params": "(tx, delta=0.1, *, output_axis=-1)",
    "orthograd": "()",
    "centralize": "(output_axis=-1, *, mask=None)",
    "orthogonalize": "(x, steps=5, coefficients='quintic', *, eps=1e-08, dtype=None, gram=None)",
    "orthogonal_factor": "(ns_coeffs='quintic', ns_steps=5, eps=1e-08, *, shape_factor=None, layout='io', ns_dtype=None, gram=None, strategy='auto', stack_axis=None)",
    "wrappers.for_matrices": "(tx, rest, matrices=None, *, exclude=None)",
    "muon": "(learning_rate, ns_coeffs='quintic', ns_steps=5, beta=0.95, eps=1e-08, weight_decay=0.0, weight_decay_mask=None, mu_dtype=None, *, nesterov=True, adam_b1=0.9, adam_b2=0.999, adam_eps_root=0.0, adam_weight_decay=0.0, adam_learning_rate=None, rest=None, matrices=None, exclude=None, shape_factor='original', layout='io', ns_dtype=None, strategy='auto', stack_axis=None, state_dtype=None)",
    "normuon": "(learning_rate, ns_coeffs='quintic', ns_steps=5, beta=0.95, b2=0.95, eps=1e-08, weight_decay=0.0, weight_decay_mask=None, mu_dtype=None, *, nesterov=True, adam_b1=0.9, adam_b2=0.999, adam_eps_root=0.0, adam_weight_decay=0.0, adam_learning_rate=None, rest=None, matrices=None, exclude=None, shape_factor='original', layout='io', ns_dtype=None, strategy='auto', stack_axis=None, state_dtype=None)",
    "scion": "(learning_rate, beta=0.9, radius=50.0, rest_radius=3000.0, ns_coeffs='quintic', ns_steps=5, eps=1e-08, *, matrices=None, exclude=None, layout='io', ns_dtype=None, strategy='auto', stack_axis=None, weight_decay=1.0, mask=None, state_dtype=None)",
    "compat.torch_sgd": (
        "(learning_rate, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0, *, state_dtype=None)"
    ),
    "compat.keras_sgd": ("(learning_rate=0.01, momentum=0.0, nesterov=False, *, weight_decay=None, state_dtype=None)"),
    "compat.torch_nadam": "(learning_rate=0.002, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, momentum_decay=0.004, decoupled_weight_decay=False, *, state_dtype=None)",
    "compat.torch_rmsprop": "(learning_rate=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0, centered=False, *, state_dtype=None)",
    "compat.keras_nadam": "(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, *, weight_decay=None, state_dtype=None)",
    "compat.keras_rmsprop": "(learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-07, centered=False, *, weight_decay=None, state_dtype=None)",
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
    "schedule_free": "(tx, learning_rate, b1=0.9, weight_lr_power=2.0, state_dtype=None, *, r=0.0)",
    "schedule_free_sgd": "(learning_rate=1.0, warmup_steps=None, b1=0.9, weight_decay=None, weight_lr_power=2.0, state_dtype=None, *, r=0.0, mask=None)",
    "schedule_free_adamw": "(learning_rate=0.0025, warmup_steps=None, b1=0.9, b2=0.999, eps=1e-08, weight_decay=0.0, weight_lr_power=2.0, state_dtype=None, *, r=0.0, mask=None)",
    "nigt": "(learning_rate, beta=0.9, *, state_dtype=None)",
    "two_point_difference": "()",
    "gradient_correction": "(beta=0.95, gamma=0.025, *, max_norm=1.0, approximate=False, state_dtype=None)",
    "mars": "(learning_rate, b1=0.95, b2=0.99, eps=1e-08, gamma=0.025, *, max_norm=1.0, approximate=False, {common})",
    "storm": "(learning_rate, a=0.1, *, {common})",
    "adaptive_storm": "(k=0.1, w=0.1, c=10.0, *, state_dtype=None)",
    "previous_params": "(state, params)",
    "two_point_gradients": "(loss_fn, *, has_aux=False)",
    "apply_updates": "(params, updates)",
    "by_depth": "(function, order=None)",
    "describe": "(beta, params, *, count=0)",
    "eval_params": "(state, params, *, missing='error')",
    "layerwise": "(coefficients, default='error')",
    "layerwise_chain": "(transforms, default='error')",
    "lookahead_params": "(state, params)",
    "make_step": "(loss_fn, tx, *, has_aux=False, donate=True)",
    "make_update": "(tx, *, donate=True, blocks=None)",
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
    "adan": "optimizers/test_relatives.py",
    "laprop": "optimizers/test_relatives.py",
    "ademamix": "optimizers/test_relatives.py",
    "simplified_ademamix": "optimizers/test_relatives.py",
    "adai": "optimizers/test_relatives.py",
    "bank": "filters/test_bank.py",
    "ema_nesterov": "wrappers/test_ema_nesterov.py",
    "schedules.ademamix_alpha": "schedules/test_ademamix.py",
    "schedules.ademamix_b3": "schedules/test_ademamix.py",
    "adam": "optimizers/test_adams.py",
    "adamw": "optimizers/test_adams.py",
    "amsgrad": "optimizers/test_adams.py",
    "nadam": "optimizers/test_adams.py",
    "nadamw": "optimizers/test_adams.py",
    "adabelief": "optimizers/test_adams.py",
    "yogi": "optimizers/test_adams.py",
    "qhadam": "optimizers/test_adams.py",
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
OWN_REFERENCE["orthogonal_factor"] = "directions/test_orthogonalize.py"
OWN_REFERENCE |= dict.fromkeys(("muon", "normuon", "scion", "wrappers.for_matrices"), "optimizers/test_muon.py")
OWN_REFERENCE |= dict.fromkeys(
    ("schedule_free", "schedule_free_sgd", "schedule_free_adamw"), "wrappers/test_schedule_free.py"
)
OWN_REFERENCE |= dict.fromkeys(("storm", "adaptive_storm"), "optimizers/test_storm.py")
OWN_REFERENCE |= dict.fromkeys(("mars", "gradient_correction", "two_point_difference"), "optimizers/test_mars.py")
OWN_REFERENCE["nigt"] = "optimizers/test_nigt.py"
OWN_REFERENCE |= {
    f"schedules.{name}": "schedules/test_values.py"
    for name in (
        *("linear", "cosine", "warmup", "demon", "sutskever", "nesterov_sequence", "fista_sequence", "one_cycle"),
        *("cyclic", "piecewise", "from_half_life", "rescale_beta"),
    )
}
OWN_REFERENCE |= {
    **dict.fromkeys(("root_maximum", "root_yogi", "root_deviation", "root_variance"), "directions/test_roots.py"),
    **dict.fromkeys(("root_factored", "cube_root_sum"), "directions/test_roots.py"),
    **dict.fromkeys(("rmsprop", "madgrad", "msvag"), "optimizers/test_quotients.py"),
    "sign": "directions/test_sign.py",
    "signum": "optimizers/test_signum.py",
    "lion": "optimizers/test_lion.py",
    "tiger": "optimizers/test_tiger.py",
    "add_cautious_decayed_weights": "directions/test_add_cautious_decayed_weights.py",
    "cautious": "wrappers/test_cautious.py",
    "grams": "wrappers/test_grams.py",
    "torque_aware": "wrappers/test_torque_aware.py",
    "orthogonal_to_params": "wrappers/test_orthogonal_to_params.py",
    "orthograd": "directions/test_orthograd.py",
    "centralize": "directions/test_centralize.py",
}
# Rows that build an example, because the function takes other things than numbers.
EXAMPLES = {"bank", "blend", "divide", "aggmo", "polyak_heavy_ball", "root_factored", "rmsprop", "compat.torch_nadam"}
EXAMPLES |= {"two_point_difference", "gradient_correction", "mars", "storm", "adaptive_storm"}
EXAMPLES |= {"orthogonal_factor", "muon", "normuon", "scion"}
# Optimizers that are no direction with a learning rate.
WHOLE = {"polyak_heavy_ball", "madgrad"}
WHOLE |= {"schedule_free_sgd", "schedule_free_adamw", "nigt", "adaptive_storm"}
WHOLE |= {"muon", "normuon", "scion"}  # for the matrices, with another optimizer for the rest


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
    **public(compat, "compat."),
    **public(rules, "rules."),
    **public(schedules, "schedules."),
    **public(sweeps, "sweeps."),
    **public(sweeps.distributed, "sweeps.distributed."),
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
