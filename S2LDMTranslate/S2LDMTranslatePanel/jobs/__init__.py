"""Work that takes long: a thread for each job, which runs the engine in a process of its own and touches no node.

May import ``S2LDMLib`` and ``S2LDMSlicerLib``; never slicer, vtk or qt, and nothing else of this panel.
"""
