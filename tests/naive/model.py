"""Plain twins of the model kernels: one value at a time, no arrays, no shortcuts."""

import math


def squeeze(x, low, width):
    u = (x - low) / width
    if math.isnan(u):
        return 0.5
    if u > 1:
        return 1 - 0.25 / (1 + 2 * (u - 1))
    if u < 0:
        return 0.25 / (1 - 2 * u)
    return 0.25 + 0.5 * u


def empirical_p(scores, half_life, bin_width, low, score):
    """Weighted share of scores in the bin of `score` or above; one row more in all, for caution."""
    newest = len(scores)
    total = above = 0.0
    for position, seen in enumerate(scores):
        weight = 2.0 ** (-(newest - position) / half_life)
        total += weight
        if math.floor((seen - low) / bin_width) >= math.floor((score - low) / bin_width):
            above += weight
    return above / (total + 1)


def deviation_p(values, value, floor, prior_rows=100.0, prior_scale=0.25):
    """P(V >= value) of one feature after `values` were learned without forgetting."""
    n = len(values)
    width = 1 / 16
    edges = [k * width for k in range(641)]

    def share_from(edge):
        return sum(v >= edge for v in values) / n if n else 0.0

    start = next(edge for edge in edges if share_from(edge) <= 0.02 or edge == edges[-1])
    over = [(math.floor(v / width) + 0.5) * width - start for v in values if v >= start]
    scale = min(max((sum(over) + 10 * prior_scale) / (len(over) + 10), 0.1), 1.0)
    data = share_from(math.floor(value / width) * width)
    if value >= start:
        data = max(data, share_from(start) * math.exp(-(value - start) / scale))
    trust = n / (n + prior_rows)
    if value <= floor:
        prior = 1 - 0.9 * value / floor
        return max(trust * data + (1 - trust) * prior, 0.1)
    prior = 0.1 * math.exp(-(value - floor) / prior_scale)
    return max(trust * data + (1 - trust) * prior, 0.1 * math.exp(-(value - floor) / 0.1))


def cauchy(ps):
    mean = sum(1 / math.tan(math.pi * min(p, 0.5)) for p in ps) / len(ps)
    fused = math.atan2(1, mean) / math.pi
    return min(fused * (1 + 2 * fused), 1.0)


def fisher(ps):
    half = -sum(math.log(p) for p in ps)
    return math.exp(-half) * sum(half**i / math.factorial(i) for i in range(len(ps)))


def tree_mass(feature, threshold, leaves, window_size, x):
    """River's sum of mass x 2^depth down one tree in heap order, with its early stop."""
    splits = len(feature)
    masses = [0] * splits + list(leaves)
    for node in reversed(range(splits)):
        masses[node] = masses[2 * node + 1] + masses[2 * node + 2]
    node = total = depth = 0
    while True:
        total += masses[node] * 2**depth
        if masses[node] < 0.1 * window_size or node >= splits:
            return total
        node = 2 * node + (1 if x[feature[node]] < threshold[node] else 2)
        depth += 1
