"""The search: space, suggestions, trials, candidates, front."""
