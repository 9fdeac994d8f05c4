"""Coefficients that watch the training: each decides its value at every update, from what it sees."""

from .alignment import alignment as alignment
from .build import build as build
