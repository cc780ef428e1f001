"""The comparison: linked views of NCCT and synthetic CECT, blend, difference map, and the notice over each result.

May import ``S2LDMLib``; nothing else of this panel.
"""
