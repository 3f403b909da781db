"""Which tests run where: what `make test` leaves to `make test-all`, and which tests share a process.

`make test` runs everything without the mark `thorough`; `pytest -m thorough` runs what `make test-all` adds.
"""

from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from tests.execute_notebooks import MEASURED, edited

# Of these files `make test` runs only the tests that are named: the rest needs a browser, or many processes.
ONLY = {
    "tests/browser/test_panel.py": [
        "test_a_picture_from_the_gallery_finds_what_the_search_finds",
        "test_an_uploaded_picture_is_searched_by_also_when_chosen_again",
        "test_the_keyboard_alone_is_enough",
    ],
    "tests/browser/test_class_page.py": [],
    "tests/browser/test_page.py": [],
    "tests/browser/test_site.py": [],
    "tests/local_memora/test_durability.py": [],
    "tests/local_memora/test_durability_disk.py": [],
    "tests/local_memora/test_durability_two_stores.py": [
        "test_a_lost_catalogue_is_named_and_rebuilt_from_the_tables",
        "test_a_damaged_table_is_named_with_what_to_do_and_others_go_on",
        "test_a_file_system_without_hard_links_is_refused_at_first",
    ],
    "tests/local_memora/test_classroom.py": [
        "test_no_call_reaches_another_students_project",
        "test_the_shared_project_refuses_every_write_with_a_sentence",
        "test_every_student_reads_the_shared_project",
        "test_the_teachers_key_opens_no_students_project",
        "test_another_key_opens_nothing",
        "test_keys_are_kept_nowhere_but_on_the_slips",
        "test_a_page_elsewhere_whose_name_leads_here_is_refused",
        "test_the_teacher_sees_how_far_each_is_and_which_mistakes_are_made",
        "test_a_wrong_command_is_told_in_one_line",
    ],
    "tests/local_memora/test_serve.py": [
        "test_stdout_has_the_three_lines_and_they_make_a_client",
        "test_a_wrong_option_is_told_in_one_line",
        "test_an_insert_half_sent_at_sigterm_is_read_to_its_end_and_stored",
    ],
    "tests/test_benchmarks.py": [],
    "tests/teaching/test_shared.py": ["test_a_folder_without_a_class_is_named_and_not_made"],
    "tests/teaching/test_hub.py": [],
    "tests/teaching/test_progress.py": [
        "test_right_tried_and_empty_are_told_apart",
        "test_where_the_network_stays_on_python_s_connections_are_refused",
        "test_students_are_named_by_their_folder_or_their_file",
        "test_a_folder_without_notebooks_is_named",
        "test_only_what_an_answer_needs_is_run_before_it",
    ],
}
# Of these it runs all but the tests that are named. Every test on a Milvus server is left to `make test-all` too.
ALL_BUT = {
    "tests/explore/test_panel.py": [
        "test_another_network_searches_the_collection_of_its_own_vectors",
    ],
    "tests/indexing/test_compress.py": [
        "test_codes_for_many_vectors_leave_a_small_machine_its_memory",
    ],
    "tests/test_search.py": [
        "test_a_replaced_collection_is_searched_with_its_own_fields[another client]",
    ],
    "tests/test_jupyter.py": [
        "test_a_cell_run_first_after_a_restart_says_to_run_the_first_cell[in a function]",
    ],
    "tests/test_project.py": [
        "test_an_installed_wheel_has_every_file_and_can_be_imported",
        "test_types_and_spelling_are_right",
    ],
    "tests/test_ingest.py": [
        "test_two_processes_that_ingest_the_same_folder_at_once_store_it_once",
        "test_kill_9_in_the_middle_loses_nothing_stored_and_doubles_nothing",
    ],
    "tests/local_memora/test_client_and_server.py": [
        "test_pages_repeat_no_row_and_leave_none_out[IVF_FLAT-L2-None]",
        "test_pages_repeat_no_row_and_leave_none_out[HNSW-COSINE-None]",
        "test_pages_repeat_no_row_and_leave_none_out[HNSW-L2-params4]",
        "test_pages_repeat_no_row_and_leave_none_out[IVF_FLAT-COSINE-params2]",
    ],
    "tests/indexing/test_size.py": [
        "test_the_embedded_engine_takes_the_disk_that_was_calculated",
    ],
    "tests/quality/test_improve.py": [
        "test_places_weighted_by_strength_tell_kinds_apart_better_than_equal_ones",
        "test_a_learned_projection_helps_kinds_it_saw_and_hurts_others",
    ],
    "tests/features/test_clip.py": ["test_clip_in_its_full_size_has_the_real_shapes"],
    "tests/features/test_extractors.py": [
        "test_fewer_bits_and_openvino_need_no_folder_of_the_kit",
        "test_extractors_of_other_precision_or_backend_are_others",
        "test_vectors_of_two_networks_have_nothing_in_common",
        "test_the_untrained_model_has_the_real_shapes_and_is_saved_once",
        "test_vectors_equal_the_networks_own_recipe_one_picture_at_a_time[lite2]",
        "test_a_user_s_own_setting_of_torch_s_threads_is_kept",
        "test_fewer_bits_are_used_only_where_they_pay_and_agree",
        "test_the_batch_size_does_not_change_the_vectors",
        "test_bfloat16_changes_at_most_one_hit_of_precision_at_5",
        "test_no_progress_bar_is_shown_when_the_untrained_model_is_loaded",
        "test_openvino_gives_the_same_vectors_and_maps",
        "test_openvino_reports_to_nobody",
    ],
    "tests/teaching/test_editions.py": ["test_the_student_s_edition_runs_the_demo_by_itself"],
    "tests/teaching/test_pack.py": [
        "test_a_class_sets_up_from_a_pack_with_the_network_really_off",
        "test_a_pack_has_packages_edition_instructions_and_a_manifest",
        "test_each_platform_gets_its_own_packages_and_those_that_they_require",
        "test_a_package_that_is_missing_for_a_platform_is_named",
    ],
    "tests/teaching/test_handouts.py": [
        "test_each_sheet_fits_on_one_page_and_each_slide_on_one",
        "test_the_slides_turn_and_show_their_notes",
    ],
    "tests/features/test_words.py": ["test_words_of_the_larger_network_find_pictures_too"],
    "tests/test_connect.py": [
        "test_a_milvus_server_gets_its_token_from_the_settings",
        "test_a_playground_in_a_folder_that_is_given_leaves_it_to_its_owner",
        "test_a_served_playground_answers_and_goes_on_though_it_logs_much",
        "test_a_served_playground_ends_with_a_kernel_that_is_killed",
    ],
    "tests/test_demo.py": [
        "test_folders_of_ones_own_work_without_metadata_and_do_not_mix",
        "test_a_limit_that_finds_nothing_is_told_in_a_sentence",
        "test_a_folder_without_pictures_is_told_in_a_sentence",
    ],
    "tests/test_plan.py": ["test_a_process_that_crashes_costs_one_test"],
    "tests/test_lessons.py": [
        "test_in_reverse_on_a_served_memora_solutions_are_right_and_trying_is_safe",
        "test_after_all_lessons_each_picture_is_stored_once_and_nothing_on_the_learner_s_machine",
    ],
    "tests/test_notebooks.py": [
        "test_your_own_pictures_are_measured_with_and_without_sub_folders",
        "test_a_folder_without_metadata_becomes_a_report_of_its_own",
    ],
}


# Both run this one; `make test-all` lets hypothesis make up so many times as many inputs.
BOTH, TIMES = "tests/local_memora/test_generated.py", 3
_times = 1


def examples(few: int) -> int:
    """Return how many inputs hypothesis is to make up: few in `make test`, else many."""
    return few * _times


def pytest_configure(config: pytest.Config) -> None:
    """Look which of the two commands runs."""
    global _times
    _times = 1 if config.option.markexpr == "not thorough" else TIMES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the thorough tests, make large sizes in notebooks smaller, and let what takes long begin."""
    items.sort(key=place)
    for item in items:
        file, _, test = item.nodeid.partition("[")[0].partition("::")
        one = item.nodeid.partition("::")[2]  # with its parameters
        left_out = not {test, one}.isdisjoint(ALL_BUT.get(file, [])) or test not in ONLY.get(file, [test])
        if left_out or (file == BOTH and _times > 1) or "milvus_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.thorough)
        if isinstance(item, IPyNbCell):
            item.cell.source = edited(item.path.stem, item.cell.source)
            item.options["check"] &= MEASURED not in item.cell.metadata.get("tags", [])


# What takes long begins first, so that no process is left alone with it at the end.
LONG = (
    "notebooks",
    "milvus",
    "tests/browser/test_panel.py",
    "tests/test_lessons.py",
    "tests/teaching/test_pack.py",
    "tests/test_benchmarks.py",
)


def together(nodeid: str) -> str:
    """Return what a test shares a process with: its file.

    The notebooks go to one process, as they build on each other; so do the tests that share a Milvus server.
    """
    if "milvus" in nodeid:
        return "milvus"
    return "notebooks" if nodeid.startswith("notebooks/") else nodeid.partition("::")[0]


def place(item: pytest.Item) -> int:
    """Return where a test stands in `LONG`; all others come after it."""
    scope = together(item.nodeid)
    return LONG.index(scope) if scope in LONG else len(LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out among the processes of `pytest -n 2`."""
    from xdist.scheduler import LoadFileScheduling

    class Scopes(LoadFileScheduling):
        """One unit of work for all tests that go together."""

        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

        def remove_node(self, node: Any) -> str | None:
            """Forget a process; if it crashed, return the test it crashed in, which is not run again."""
            units = self.assigned_work.pop(node)
            left = [(unit, nodeid) for unit in units.values() for nodeid, done in unit.items() if not done]
            if not left:
                return None
            unit, crashed = left[0]
            unit[crashed] = True
            self.workqueue.update({name: unit for name, unit in units.items() if not all(unit.values())})
            for other in self.nodes:
                self._reschedule(other)
            return crashed

    config.option.loadscopereorder = False  # by `LONG`, and not by how many tests go together
    return Scopes(config, log)
