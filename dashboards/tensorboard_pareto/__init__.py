"""A TensorBoard tab for Pareto fronts. Two lines of code put a candidate on it:

from tensorboard_pareto import add_candidate
add_candidate(writer, {"learning_rate": 1e-4}, {"fvd": 231.0, "ade": 0.12})
"""

from tensorboard_pareto.video import add_video
from tensorboard_pareto.writer import add_candidate, add_setup

__all__ = ["add_candidate", "add_setup", "add_video"]
