"""Sweeps: a YAML file of commands and a grid, run cell by cell, several at a time, one line of rows.jsonl a cell.

    plan        sweep.yaml to cells and their commands     words        what stands for a placeholder
    cell        one cell, in processes of its own          collect      its result files, flattened
    local       several cells at a time on this machine    cluster      the same as Ray tasks
    rows        rows.jsonl                                 drive        all of it, with a progress bar
    table       means and intervals over seeds             figure       the same, drawn
    compare     differences to one value, seed by seed     machine      backend, device and versions of a row

docs/sweeps.md says how a sweep.yaml is written.
"""
