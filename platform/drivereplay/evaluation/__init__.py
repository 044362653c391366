"""Judging generated videos: protocol, metrics, estimators, statistics, reports. `judge` is the way in."""
