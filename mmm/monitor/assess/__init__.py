"""What the world's values mean: who has which transactions, who is lost, who may be promoted. Pure."""
