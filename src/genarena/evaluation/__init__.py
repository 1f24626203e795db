"""The evaluation suite: evidence, features, protocol, cost."""
