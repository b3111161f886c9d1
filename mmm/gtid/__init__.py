"""Who has which transactions: what servers say of it, and arithmetic on that. Pure; deciders may import it."""
