"""Which files of a run tell about it, and which hold its rows."""

from __future__ import annotations

from deepwriting.remote.folder import Entry

#: The file of a stage that tells one beginning of it from another; it stands for all that a machine has of the stage.
LIFE = "life"
#: Folders of a stage that may be as large as the run itself.
LARGE = frozenset(("shards", "rejects", "journal", "work"))
#: A file that only tells is not larger (bytes), but for logs of long runs, of which nobody needs more than the end.
LARGEST_SMALL = 4 * 2**20


def is_small(path: str, entry: Entry) -> bool:
    """Whether a file is one of those that tell how a run is doing.

    Args:
        path: its path in the run's folder.
        entry: what the store says about it.
    """
    from deepwriting.stages import STAGE_NAMES

    top, _, rest = path.partition("/")
    if not rest:
        return top in ("recipe.yaml", ".running.json")
    inside = rest.partition("/")[0]
    if top not in STAGE_NAMES or rest == LIFE or inside in LARGE or path.endswith((".pik", ".pkl")):
        return top in STAGE_NAMES and inside == "work" and path.count("/") == 2 and path.endswith(".json")
    return entry.size <= LARGEST_SMALL or "/logs/" not in path
