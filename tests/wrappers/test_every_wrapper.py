"""What holds for every wrapper."""

import pytest

import momentum_optax as mo
from momentum_optax import wrappers

WRAPPERS = {
    "accumulate_into": lambda tx: wrappers.accumulate_into(tx, 2),
    "clip_by_velocity": wrappers.clip_by_velocity,
    "guard_finite": wrappers.guard_finite,
    "lazy": wrappers.lazy,
    "lookahead": mo.lookahead,
    "schedule_free": lambda tx: mo.schedule_free(tx, 0.1),
    "outer_momentum": lambda tx: mo.outer_momentum(tx, 2),
    "restart_every": lambda tx: wrappers.restart_every(tx, 2),
    "restart_when": lambda tx: wrappers.restart_when(tx, "gradient"),
    "skip_spikes": wrappers.skip_spikes,
    "cautious": mo.cautious,
    "grams": mo.grams,
    "orthogonal_to_params": mo.orthogonal_to_params,
    "torque_aware": mo.torque_aware,
    "track": mo.track,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_is_no_transformation_is_refused(name):
    with pytest.raises(TypeError, match="tx must be a gradient transformation; got <function heavy_ball"):
        WRAPPERS[name](mo.heavy_ball)
