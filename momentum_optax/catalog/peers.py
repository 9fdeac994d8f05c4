"""The optimizers of other frameworks, number for number."""

from .. import compat
from .._method import Hyperparameter, Method
from ._shared import LEARNING_RATE

PEERS: tuple[Method, ...] = (
    Method(
        "compat.torch_sgd", compat.torch_sgd, "optimizer", "torch.optim.SGD, number for number",
        "g <- g + weight_decay * params; velocity <- momentum * velocity + (1 - dampening) * g, undampened at first; "
        "params <- params - learning_rate * velocity",
        "torch.optim.SGD, version 2.13", "https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html",
        hyperparameters=(
            LEARNING_RATE,
            Hyperparameter("momentum", 0.9, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("dampening", 0.0, 0.0, 0.9),
        ),
        decays=("momentum",),
    ),
    Method(
        "compat.keras_sgd", compat.keras_sgd, "optimizer", "keras.optimizers.SGD, number for number",
        "velocity <- momentum * velocity - learning_rate * g; params <- params + velocity",
        "keras.optimizers.SGD, version 3", "https://keras.io/api/optimizers/sgd/",
        hyperparameters=(LEARNING_RATE, Hyperparameter("momentum", 0.9, 0.0, 0.999, "one-minus-log")),
        decays=("momentum",),
    ),
)  # fmt: skip
