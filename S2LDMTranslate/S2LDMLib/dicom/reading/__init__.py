"""A CT series of any folder, judged by its headers and read as one volume in HU. May import ``volume``."""
