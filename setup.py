"""The packages of both modules are found; pyproject.toml says everything else.

The bundled model lies among the module's resources, where Slicer looks for it; in a wheel it lies inside the library.
"""

from setuptools import find_packages, setup

LIBRARIES = {"S2LDMTranslate": "S2LDMLib", "S2LDMTrainer": "S2LDMTrainerLib"}

folders = {
    package: f"{module}/{package.replace('.', '/')}"
    for module, library in LIBRARIES.items()
    for package in find_packages(module, include=[library, f"{library}.*"])
}
folders["S2LDMLib.bundled"] = "S2LDMTranslate/Resources/Models"
setup(packages=list(folders), package_dir=folders)
