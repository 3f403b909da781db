"""Exercises that answer back: each check prints "Right", or a hint at what to look at next, and never the solution."""

from helpers.check.lesson_01 import museum_schema
from helpers.check.lesson_02 import mean_pooling
from helpers.check.lesson_03 import filter_finds
from helpers.check.lesson_04 import precision
from helpers.check.lesson_05 import red_but_no_mug
from helpers.check.lesson_06 import average_precision
from helpers.check.lesson_07 import smallest_nprobe

__all__ = [
    "average_precision",
    "filter_finds",
    "mean_pooling",
    "museum_schema",
    "precision",
    "red_but_no_mug",
    "smallest_nprobe",
]
