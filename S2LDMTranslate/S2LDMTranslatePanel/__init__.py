"""What the module S2LDMTranslate is made of besides its panel: one idea a file.

A translation is a job (:mod:`translation_job`) in a thread that runs the engine in a process of its own
(:mod:`engine_process`) and touches no node; the scene's side of it is in :mod:`source_volume`, :mod:`result_nodes` and
:mod:`region_box`.
"""
