"""Coefficients that watch the training: each decides its value at every update, from what it sees."""
