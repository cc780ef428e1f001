"""What the module S2LDMTrainer is made of besides its panel: one idea a file, none with Qt.

A run is a process of its own (:mod:`run_process`) that leaves its traces in a folder (:mod:`run_monitor`), from which
the loss curves are drawn (:mod:`loss_plots`). So a run does not care whether the panel or Slicer is open.
"""
