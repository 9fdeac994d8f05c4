"""What one training run is."""
