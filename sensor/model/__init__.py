"""Feature matrices to scores. Knows nothing of networks.

In: float64 matrices, one row an observation, columns in a fixed order. Out:
p-values. Rules: River's `HalfSpaceTrees` is the model of record; non-finite
rows are refused and counted; a score is never given as a fact before the model
is ready; every random choice takes a seed; no clock.
"""
