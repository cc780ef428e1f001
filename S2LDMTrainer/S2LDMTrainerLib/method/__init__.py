"""The parts of the paper that only training needs, each in a file of its own. Source: arXiv 2406.13977."""
