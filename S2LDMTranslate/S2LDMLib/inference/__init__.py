"""What happens between a volume and its translation: prepared, encoded, sampled, decoded in exact tiles, finished.

May import ``networks``, ``volume`` and ``model``.
"""
