"""What is made of a velocity."""
