"""Whether the camera moves where it should: one metric, or a few that share an estimate, per module."""
