"""One module for each group of Lima's verbs.

``listing`` and ``entering`` are on the hot path: they import neither YAML nor pathlib.
"""
