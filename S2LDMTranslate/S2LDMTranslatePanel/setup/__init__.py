"""What has to be there before a translation: Python packages and a model.

May import ``S2LDMLib`` and ``S2LDMSlicerLib``; nothing else of this panel.
"""
