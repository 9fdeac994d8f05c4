"""Three optimizers that nobody has named: composed from parts, held against the laws, raced against Adam.

    cautious_bank     three averages of different length over Yogi's second moment, masked where the gradient disagrees
    soft_sign_pnm     a smooth sign of positive-negative momentum
    belief_mix        a quick and a slow average over the deviation from the average, extrapolated once more

Each is one expression. What a part promises (dtypes, schedules, a beta for each layer, missing gradients, sharding),
the whole keeps: `testing.check` holds it against the same laws as the methods that have names.

    python examples/14_three_new_optimizers.py        # needs the extra `test` for the laws
"""

import jax
import numpy as np
import optax

import momentum_optax as mo
from momentum_optax.problems import digits
from momentum_optax.sweeps import cross_entropy, grid, supervised, sweep

RATES = [0.001, 0.003, 0.01, 0.03]


def cautious_bank(learning_rate, beta):
    velocity = mo.bank((0.5, 0.9, beta))
    direction = mo.divide(velocity, by=mo.root_yogi(0.99))
    return mo.cautious(optax.chain(direction, mo.scale_by_learning_rate(learning_rate)))


def soft_sign_pnm(learning_rate, beta):
    return optax.chain(mo.scale_by_pnm(beta), mo.sign(smoothing=0.001), mo.scale_by_learning_rate(learning_rate))


def belief_mix(learning_rate, beta):
    velocity = mo.blend((1.0, mo.ema(0.9)), (2.0, mo.ema(beta)))
    direction = mo.divide(velocity, by=mo.root_deviation(0.9, 0.99, eps=1e-6))
    return mo.ema_nesterov(optax.chain(direction, mo.scale_by_learning_rate(learning_rate)))


COMPOSED = {"cautious_bank": cautious_bank, "soft_sign_pnm": soft_sign_pnm, "belief_mix": belief_mix}


def laws() -> dict[str, list[str]]:
    """The names of the laws that hold, for each; raises if one does not."""
    from momentum_optax import testing

    return {name: testing.check(build, {"learning_rate": 0.01, "beta": 0.99}) for name, build in COMPOSED.items()}


def main(steps: int = 300, seeds: int = 3) -> dict[str, float]:
    """The test accuracy on the digits at the best learning rate, the mean over the seeds."""
    found = {}
    for name, build in {"adam": lambda rate, beta: mo.adam(rate), **COMPOSED}.items():
        trial = supervised(
            digits.MLP,
            cross_entropy,
            digits.load(),
            optimizer=lambda hp, build=build: build(hp["learning_rate"], hp["beta"]),
        )
        result = sweep(trial, grid(learning_rate=RATES, beta=[0.97]), seeds=seeds, steps=steps)
        accuracy = np.nan_to_num(result.final().mean(axis=1))
        found[name] = float(accuracy.max())
        print(f"{name:14} learning rate {RATES[int(accuracy.argmax())]:<6} test accuracy {found[name]:.3f}")
    return found


if __name__ == "__main__":
    # The laws about sharding need two devices or more; on a CPU, JAX makes as many as it is asked for.
    jax.config.update("jax_num_cpu_devices", 8)
    main()
    print({name: f"{len(names)} laws hold" for name, names in laws().items()})
