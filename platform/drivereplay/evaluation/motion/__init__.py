"""How much moves, whatever it is: one metric, or a few that share an estimate, per module."""
