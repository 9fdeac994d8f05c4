"""What happens between the rungs of a sweep: what is written down, told, stopped and copied."""
