"""The dataset card: statistics of the published rows, plots, and the README that holds both.

    rows of config `all` → statistics.summarise → plots.write_plots → card.render_card → README.md

Nothing is imported here; ``template.md`` is read as a resource of this package.
"""
