"""Points that are asked for, batch after batch."""
