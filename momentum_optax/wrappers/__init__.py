"""What happens around a step: transformations of transformations."""
