"""Fine-tuning: objective, loop, workers, checkpoints, retention."""
