"""What the store has, as the answers that every surface shows."""
