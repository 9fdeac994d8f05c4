"""An update by torch's optimizers, beside which ours are timed."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from methods import LR


def torch_steppers(name: str, arguments: dict[str, Any], params: Any, gradients: Any) -> dict[str, Callable]:
    """Torch's implementations as functions without arguments that make one update of their own copy of the params.

    None where torch is not installed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # or torch's idle threads spin into the next one's time
    try:
        import torch
    except ImportError:
        return {}

    def copies(tree):
        return [torch.from_numpy(np.array(x, np.float32)).to(getattr(torch, x.dtype.name)) for x in tree]

    shared, runs, optimizer = copies(gradients), {}, getattr(torch.optim, name)
    kinds = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    for kind, flag in kinds.items():
        if not flag.keys() <= inspect.signature(optimizer).parameters.keys():
            continue  # not every optimizer is fused
        leaves = copies(params)
        for leaf, gradient in zip(leaves, shared, strict=True):
            leaf.requires_grad_().grad = gradient
        runs[f"torch {kind}"] = optimizer(leaves, lr=LR, **arguments, **flag).step
    return runs
