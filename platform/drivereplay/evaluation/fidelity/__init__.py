"""How real it looks: one metric (or a few that share their features) per module."""
