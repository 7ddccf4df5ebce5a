"""Measurements of paired.py, a file each: step, all_reduce, start, memory; beside them what they share."""
