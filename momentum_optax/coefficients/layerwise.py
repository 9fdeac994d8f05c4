"""A coefficient for each layer, by the path of the leaf."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .._coefficient import is_single
from .._paths import Pattern, assign, check_pattern, spelled
from .._plan import ByPath, Entry
from .._types import Coefficient


class _Layerwise(ByPath):
    def __init__(self, coefficients: Mapping[Pattern, Any], default: Any):
        self.coefficients, self.default = dict(coefficients), default

    def __repr__(self) -> str:
        rules = ", ".join(f"{spelled(pattern)}: {c!r}" for pattern, c in self.coefficients.items())
        return f"layerwise({{{rules}}}, default={self.default!r})"

    @property
    def has_default(self) -> bool:
        return not (isinstance(self.default, str) and self.default == "error")

    def examples(self) -> dict[str, Any]:
        found = {p if isinstance(p, str) else spelled(p): c for p, c in self.coefficients.items()}
        return found | ({"default": self.default} if self.has_default else {})

    def assign(self, name: str, paths: Sequence[str], absent: Sequence[bool]) -> list[Entry]:
        patterns, values = list(self.coefficients), list(self.coefficients.values())
        labels = [p if isinstance(p, str) else spelled(p) for p in patterns]
        if self.has_default:
            labels.append("default")
            values.append(self.default)
        # -1 is the default, or, for a leaf that is masked out, whatever there is.
        return [(labels[i], values[i]) for i in assign(name, patterns, paths, absent, default=self.has_default)]


def layerwise(coefficients: Mapping[Pattern, Coefficient], default: Coefficient | Literal["error"] = "error") -> ByPath:
    """A coefficient by the path of the leaf, as in `layerwise({"embed": 0.0, "layers/*": 0.9}, default=0.95)`.

    The path is that of the param, its names joined by `/` whatever the container: `layers/0/kernel`. The result stands
    wherever a coefficient does, and becomes a tree of them at `init`: one pass over the params, one memory, one kernel
    for all layers of a shape.

    Args:
      coefficients: by a glob or a compiled regular expression: numbers, schedules or rules. A glob names a leaf or a
        branch (`*` also stands for `/`); a regular expression is searched for in the path of the leaf.
      default: for leaves that nothing names; `"error"` for none.

    Returns:
      A coefficient. (Where a whole branch of the updates is None, `update` needs the params, to know what is in it.)

    Raises:
      TypeError: it is no mapping, or a key neither a glob nor a regular expression, or a value another tree.
      ValueError: there is nothing in it, or two keys are spelled alike, or one is `default` and there is a default; at
        `init`, a leaf is named twice or not at all, or a key names no leaf.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> params = {"embed": jnp.zeros(2), "layers": [jnp.zeros(2), jnp.zeros(2)]}
      >>> beta = mo.layerwise({"embed": 0.0, "layers/0": 0.5}, default=0.9)
      >>> print(mo.describe(beta, params))
      embed     0
      layers/0  0.5
      layers/1  0.9
      >>> mo.heavy_ball(0.1, beta).init(params)[0].velocity["embed"]
      NoMemory()
    """
    if not isinstance(coefficients, Mapping):
        raise TypeError(f"layerwise needs a mapping from globs to coefficients; got {coefficients!r}.")
    if not coefficients:
        raise ValueError("layerwise needs at least one glob or regular expression; got none.")
    for pattern in coefficients:
        check_pattern("a key of layerwise", pattern)
    rules = _Layerwise(coefficients, default)
    if len(rules.examples()) < len(coefficients) + rules.has_default:
        raise ValueError(f"layerwise needs another name for each group; got {list(coefficients)} and 'default'.")
    for name, value in rules.examples().items():
        if isinstance(value, ByPath) or not (value is None or is_single(value)):
            raise TypeError(f"layerwise needs a number, schedule or rule for {name!r}; got {value!r}.")
    return rules
