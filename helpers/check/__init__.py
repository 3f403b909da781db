"""Exercises that answer back: each check prints "Right", or a hint at what to look at next, and never the solution."""

from helpers.check.lesson_01 import compares_by_distance, museum_schema, refused_rows
from helpers.check.lesson_02 import look_alike, mean_pooling, number_of_tokens
from helpers.check.lesson_03 import batches, filter_finds, second_ingest
from helpers.check.lesson_04 import blue_from_the_second, distance_to_itself, precision
from helpers.check.lesson_05 import category_of_a_part, red_but_no_mug, slider_changes_session
from helpers.check.lesson_06 import average_precision, threshold_without_alarms, width_with_four_times
from helpers.check.lesson_07 import comparisons, plan_fits, smallest_nprobe, whose_fault
from helpers.check.lesson_08 import cactus_by_name, cosine_to_the_mean, merged_ranks
from helpers.check.lesson_09 import enough_candidates, expansion, who_gains
from helpers.check.lesson_10 import (
    capstone,
    copy_threshold,
    index_choice,
    model_card,
    right_paths,
    search_quality,
    ten_queries,
    two_failures,
)
