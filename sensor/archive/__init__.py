"""Flow records to files, for people and for training.

In: `FLOW` records. Out: one row a flow, as JSON lines, CSV or Parquet, with
means and deviations in place of sums, addresses and times as text, and the
Community ID.

Rules: memory does not grow with the number of flows; nothing that came from
the network can change the shape of a file, or run in a spreadsheet.
"""
