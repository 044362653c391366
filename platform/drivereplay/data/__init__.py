"""From videos to batches: index, plan, decoding, stream, cache."""
