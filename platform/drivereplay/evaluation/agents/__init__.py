"""Whether the other road users move where they should: one metric, or a few that share an estimate, per module."""
