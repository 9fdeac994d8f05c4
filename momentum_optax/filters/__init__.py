"""How the past is remembered: linear maps from the stream of gradients to a velocity."""
