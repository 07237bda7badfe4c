"""A model and a task for sleepbench, to copy: `model.py` and `task.py` are one file each, entry points name them."""
