"""The optimizers of other frameworks, number for number."""

from .keras import keras_nadam as keras_nadam
from .keras import keras_rmsprop as keras_rmsprop
from .keras import keras_sgd as keras_sgd
from .torch import torch_nadam as torch_nadam
from .torch import torch_rmsprop as torch_rmsprop
from .torch import torch_sgd as torch_sgd
