"""One transformation for the matrices of a model, and another for the rest (after Jordan, 2024)."""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._paths import Pattern, assign, check_pattern, listed, matches
from .._transformation import extended
from .._types import Mask
from ._groups import shared_out

Matrices: TypeAlias = Sequence[Pattern] | Mask | None
"""Which leaves are matrices; see `for_matrices`."""

# Names of leaves that are vectors whatever their shape: by heads, or stacked by layers. Boxed params of linen end in
# `value`.
VECTORS: tuple[Pattern, ...] = (
    re.compile(r"(?i)(bias|scale)(/value)?$"),
    re.compile(r"(?i)norm(_?\d+)?/(weight|gain|gamma|beta|offset)$"),
)
# Names of whole branches or leaves, as models of Flax, equinox and others have them.
EMBEDDINGS: tuple[Pattern, ...] = (
    re.compile(r"(?i)(^|/)([^/]*embed[^/]*|[^/]*embs?(_?\d+)?|emb_[^/]*|wte|wpe)(/|$)"),
    re.compile(r"(?i)(^|/)(cls|mask|register)_tokens?(/|$)"),
)
HEADS: tuple[Pattern, ...] = (
    re.compile(r"(?i)(^|/)((lm|output|policy|value|classification)?head|classifier|([^/]*_)?logits(_[^/]*)?)(/|$)"),
    # But the heads of an attention are matrices.
    re.compile(
        r"(?i)(^|/)(?!([^/]*_)?(multi|attn|attention)_head)(heads|[^/]*_heads?(_?\d+)?)"
        r"(?!(/\d+)?/(query|key|value)(/|$))(/|$)"
    ),
)
EMBEDDINGS_AND_HEADS = (*EMBEDDINGS, *HEADS)


def for_matrices(
    tx: optax.GradientTransformation,
    rest: optax.GradientTransformation,
    matrices: Matrices = None,
    *,
    exclude: Sequence[Pattern] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gives the matrices of a model to one transformation and all other leaves to another.

    By default a leaf of two axes or more is a matrix, unless its path says, in any case of letters, that it is

        a bias or a scale   the path ends in `bias` or `scale`, or in `weight`, `gain`, `gamma`, `beta` or `offset` of a
                            component that ends in `norm`: (heads, head_dim) in Flax's attention, (layers, n) in stacks
        of an embedding     a component with `embed` in it, or that ends in `emb` or starts with `emb_` (`tok_emb`,
                            `pos_emb_0`, `emb_in`), or is `wte`, `wpe`, `cls_token`, `mask_token` or `register_tokens`
        of a head           a component that is `head`, `heads`, `classifier` or `logits`, ends in `_head`, `_heads` or
                            `_logits` (`lm_head`, `cls_head`, `q_head_1`), or starts with `logits_` (`logits_dense`);
                            but not the heads of an attention: `attention_heads`, `multi_head`, `heads/0/query`

    A projection that is called `out` or `output` is a matrix: attentions and MLPs have one. Every leaf gets exactly one
    of the two transformations.

    Args:
      tx: for the matrices, `orthogonal_factor` after a velocity, for example.
      rest: for all other leaves.
      matrices: which leaves are matrices, instead of that rule: globs for the paths of leaves or branches, or compiled
        regular expressions, as in `layerwise`; or a tree or tree prefix of bools, or a function of the params giving
        one. A function may find none, for models that have none.
      exclude: the paths that the rule leaves to the rest in the place of embeddings and heads; `()` for none. Biases
        and scales are matrices only where `matrices` says so.

    Returns:
      A transformation. Its state is a tuple of two `optax.MaskedState`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: at `init`, no leaf is a matrix, or a glob names no leaf or one that another names.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.wrappers.for_matrices(mo.orthogonal_factor(), rest=mo.trace(0.9))
      >>> params = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "head": jnp.ones((3, 2))}
      >>> updates, state = tx.update(params, tx.init(params))
      >>> print(updates["head"][0], updates["dense"]["kernel"][0].round(2))
      [1. 1.] [0.28 0.28 0.28]

    References:
      Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
      https://kellerjordan.github.io/posts/muon/
    """
    parts = [extended(tx), extended(rest, "rest")]
    excluded = _checked("exclude", EMBEDDINGS_AND_HEADS if exclude is None else exclude)
    named = None
    if isinstance(matrices, list | tuple) and all(isinstance(m, str | re.Pattern) for m in matrices):
        named = _checked("matrices", matrices)
        if not named:
            raise ValueError("matrices must name at least one leaf; got none. None stands for the rule by shape.")
    elif isinstance(matrices, str | re.Pattern):
        raise TypeError(f"matrices must be a sequence of globs, not one; got {matrices!r}.")

    def choose(tree: Any, where: list[str], leaves: list[Any], absent: list[bool]) -> list[int]:
        if named is not None:
            return [0 if number >= 0 else -1 for number in assign("matrices", named, where, absent, default=True)]
        if matrices is None:
            chosen = [
                not out and jnp.ndim(leaf) >= 2 and not any(matches(p, path) for p in (*VECTORS, *excluded))
                for path, leaf, out in zip(where, leaves, absent, strict=True)
            ]
        else:
            chosen = _by_mask(matrices, tree)
        if not any(chosen) and not any(absent) and leaves and not coefficient.is_schedule(matrices):
            raise ValueError(
                f"for_matrices: no leaf is a matrix. The leaves are {listed(where)}; name some by `matrices`, or use "
                "the transformation of the rest alone."
            )
        return [0 if one else -1 for one in chosen]

    return shared_out(parts, choose)


def _checked(name: str, patterns: Any) -> list[Pattern]:
    if not isinstance(patterns, list | tuple):
        raise TypeError(f"{name} must be a sequence of globs or compiled regular expressions; got {patterns!r}.")
    for pattern in patterns:
        check_pattern(f"a pattern of {name}", pattern)
    return list(patterns)


def _by_mask(mask: Any, tree: Any) -> list[bool]:
    """Which leaves a tree of bools, or a function giving one, says are matrices."""
    bools = mask(tree) if coefficient.is_schedule(mask) else mask
    for leaf in jax.tree.leaves(bools):
        if not isinstance(leaf, bool | np.bool_):
            raise TypeError(f"matrices must be globs, a tree of bools, or a function giving one; got {leaf!r} in it.")
    grouping.fit("matrices", bools, tree)
    return [one is not None and bool(one) for one in grouping.spread(bools, tree, grouping.is_absent)]
