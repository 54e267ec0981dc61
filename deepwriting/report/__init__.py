"""What became of the rows: the funnel from raw records to selected pairs, with every reason.

    run = RunFolder.existing("mine")
    report = gather(run)                          # one pass over the rows
    page = render(report)                         # one self-contained HTML file
    report.as_dict()                              # plain values

``gather`` is in ``deepwriting.report.gather``, ``render`` in ``deepwriting.report.html``. Nothing is imported here: the
processes that read the rows need little of it.
"""
