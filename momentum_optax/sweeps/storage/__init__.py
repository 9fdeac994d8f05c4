"""What is kept in a folder."""
