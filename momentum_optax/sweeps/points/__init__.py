"""Which hyperparameters to try."""
