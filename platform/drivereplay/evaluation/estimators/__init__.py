"""Instruments that read motion off a generated video beside the real one; the metrics are made from what they say."""
