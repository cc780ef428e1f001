"""What the module S2LDMTranslate is made of besides its script: four packages, and above them what joins them.

- :mod:`jobs`: work in a thread of its own, which runs the engine in a process. The leaf: no Qt, no scene.
- :mod:`scene`: what is read from the MRML scene and the DICOM database, and what is put there. May import ``jobs``.
- :mod:`compare`: the views of a result beside its input. Imports none of the others.
- :mod:`setup`: which model translates, and the packages that it needs. Imports none of the others.

Above them: :mod:`dicom_export` and :mod:`translator` take a job from the scene and back into it, :mod:`texts` is what
the status line says of it, and :mod:`result_section` wires the sections Compare and Export.
"""
