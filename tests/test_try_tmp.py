import time
from pathlib import Path
from deepwriting.pipeline import run_recipe
from deepwriting.stages.rows import stage_documents
from deepwriting.rundir import RunFolder
def test_it(pocket_model, own_pairs, write_lines, recipe_for, tmp_path, capfd):
    path = write_lines(tmp_path/"pairs.jsonl", *own_pairs(12))
    recipe, text = recipe_for(path, pocket_model)
    t=time.time()
    recs = run_recipe(recipe, text, tmp_path/"run")
    o=capfd.readouterr()
    for r in recs: print(r.stage, round(r.seconds,2), r.counts, r.facts)
    for d in stage_documents(RunFolder(tmp_path/"run"), "search"):
        m=d["metadata"]; print(m["source_id"], m["steps"], m["accepted_edits"], m["stop_reason"], m["score_no_thinking"],m["score_before"],m["score_after"], repr(m["thinking"]))
    for d in stage_documents(RunFolder(tmp_path/"run"), "search", "rejects"): print(d["metadata"])
    print(repr(o.err), repr(o.out))
