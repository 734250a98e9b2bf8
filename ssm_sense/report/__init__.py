"""rows.jsonl to tables (CSV), figures (PNG, SVG) and one HTML page that needs nothing else.

rows         reading and checking the files of a run; their fields
scores       every kind of question, every run on it
durations    scores against the length of the stream and against bytes
controls     data sets side by side
benchmarks   a table a benchmark, with its official average
against      paired differences to a chosen policy
lengths      the longest streams against the shortest
boundaries   sources of surprise
costs        memory, time and multiplications of every run
cost_figure  bytes and milliseconds against the length of the stream
figures      timeline, counts
tables       CSV files, runs, failures
palette      a colour a policy
svg          figures that follow the page's theme
keyframes    thumbnails
page         the HTML
build        all of it in order
"""

from ssm_sense.report.build import build

__all__ = ["build"]
