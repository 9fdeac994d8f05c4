"""Operations on the memory inside a state, of any Optax optimizer, between two updates."""
