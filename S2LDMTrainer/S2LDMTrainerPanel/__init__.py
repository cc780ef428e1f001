"""What the module S2LDMTrainer is made of besides its script: one idea a file, none with Qt.

A run is a process of its own (:mod:`run_process`) that leaves its traces in a folder (:mod:`progress_reader` reads
them, :mod:`run_monitor` knows what they mean), from which the loss curves are drawn (:mod:`loss_plots`). So a run does
not care whether the panel or Slicer is open. :mod:`headless` is the command line without a panel, and :mod:`packages`
says what both need. May import ``S2LDMSlicerLib``; nothing else of the extension.
"""
