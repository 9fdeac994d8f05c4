"""What several rows say alike."""

from .._method import Hyperparameter

LEARNING_RATE = Hyperparameter("learning_rate", 0.1, 1e-4, 10.0, "log")
BETA = Hyperparameter("beta", 0.9, 0.0, 0.999, "one-minus-log")

POLYAK = (
    'Polyak (1964), "Some methods of speeding up the convergence of iteration methods"',
    "https://doi.org/10.1016/0041-5553(64)90137-5",
)
ADAM = ('Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization"', "https://arxiv.org/abs/1412.6980")
PID = (
    'An et al. (2018), "A PID Controller Approach for Stochastic Optimization of Deep Networks"',
    "https://doi.org/10.1109/CVPR.2018.00889",
)
