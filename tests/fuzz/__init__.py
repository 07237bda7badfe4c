"""Inputs that are wrong, odd or damaged, thousands of them: `make fuzz`.

Whatever is given, a command ends: with 0, with 1 where what it looked at failed, or with 2, one message and a folder
that is as it was. It prints no traceback, and answers or hears Ctrl-C. Cases follow from a seed and their number.
"""
