from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Verdicts = dict[str, tuple[str | None, str | None]]
QUERY = "Write a scene in which the ferry captain waits for one last passenger on a cold evening in March"


def by_id(found: Verdicts) -> dict[str, tuple[str | None, str | None]]:
    return {name.split("/")[1]: verdict for name, verdict in found.items()}


@pytest.fixture
def answers(
    tmp_path: Path, deduped: Any, row: Any, prose: Any
) -> Callable[..., dict[str, tuple[str | None, str | None]]]:
    """Verdicts about answers to one query, given as id and score: all different texts."""

    def run(*scored: tuple[str, Any], queries: dict[str, str] | None = None, **settings: Any) -> Any:
        rows = []
        for source_id, score in scored:
            provenance = {} if score is None else {"score": score}
            rows.append(row("own", source_id, (queries or {}).get(source_id, QUERY), prose(source_id), **provenance))
        return by_id(deduped(tmp_path / f"run{len(list(tmp_path.iterdir()))}", [rows], **settings))

    return run


def test_the_best_answers_stay_by_score_then_in_order(answers: Any) -> None:
    found = answers(("1", None), ("2", 5), ("3", None), ("4", 90.5), ("5", 5), max_answers_per_query=3)
    rejected = ("enough_answers", "3 better answers to the query of own/4")
    assert found == {"2": (None, None), "4": (None, None), "5": (None, None), "1": rejected, "3": rejected}


@pytest.mark.parametrize("score", ["many", True, float("nan"), float("inf"), [3], None])
def test_what_is_no_score_counts_as_none(answers: Any, score: Any) -> None:
    found = answers(("1", score), ("2", 0), max_answers_per_query=1)
    assert found["2"] == (None, None)
    assert found["1"][0] == "enough_answers"


def test_any_number_of_answers(answers: Any) -> None:
    found = answers(*((str(number), number) for number in range(9)), max_answers_per_query=None)
    assert set(found.values()) == {(None, None)}


def test_nearly_equal_queries_share_their_answers_and_are_no_duplicates_in_themselves(answers: Any) -> None:
    queries = {
        "1": QUERY,
        "2": f"Please: {QUERY.lower()}!",
        "3": QUERY + " and tell it in the present tense, from the ferry",
    }
    scored = [("1", 3), ("2", 9), ("3", 1)]
    assert set(answers(*scored, queries=queries).values()) == {(None, None)}
    found = answers(*scored, queries=queries, max_answers_per_query=1)
    assert found == {
        "1": ("enough_answers", "1 better answer to the query of own/2"), "2": (None, None), "3": (None, None),
    }  # fmt: skip
    apart = answers(*scored, queries=queries, max_answers_per_query=1, near_duplicate_queries=False)
    assert set(apart.values()) == {(None, None)}


def test_answers_that_are_duplicates_take_no_place(tmp_path: Path, deduped: Any, row: Any, prose: Any) -> None:
    text = prose("one", 90)
    rows = [
        row("own", "1", QUERY, text),
        row("own", "2", QUERY, text + " More.", score=99),
        row("own", "3", QUERY, prose("two"), score=1),
        row("other", "1", "Another request", text + " More."),
    ]
    found = deduped(tmp_path, [rows], max_answers_per_query=2)
    verdicts = {name.rsplit("/", 1)[0]: verdict for name, verdict in found.items()}
    # other/1 has the answer of own/2, which is itself removed: what it names is the row that stays.
    assert verdicts == {
        "own/1": (None, None), "own/3": (None, None),
        "own/2": ("near_duplicate_answer", "near-duplicate (0.99) of own/1"),
        "other/1": ("near_duplicate_answer", "near-duplicate (0.99) of own/1"),
    }  # fmt: skip


def test_chinese_answers_are_compared_by_characters(tmp_path: Path, deduped: Any, row: Any) -> None:
    text = (
        "渡船六点准备开船。船长望着空空的路，没有敲钟。风从北边来，"
        "码头上的灯一盏一盏亮了。最后一位客人提着旧箱子，慢慢走下台阶。"
    )
    rows = [
        row("own", "1", "写一个渡口的场景", text),
        row("own", "2", "写一段关于渡口的文字", text.replace("北边", "南边")),
        row(
            "own",
            "3",
            "写一段关于渡口的短文",
            "她把信放在桌上，窗外下着雨。邻居的梯子还靠在棚子后面，谁也没有去动它，樱桃已经熟透了。",
        ),
    ]
    found = by_id(deduped(tmp_path, [rows]))
    assert found["2"] == ("near_duplicate_answer", "near-duplicate (0.81) of own/1")
    assert found["1"] == found["3"] == (None, None)


def test_the_threshold_is_the_recipes(tmp_path: Path, deduped: Any, row: Any, prose: Any) -> None:
    text = prose("long", 100)
    middle = text.split()
    middle[50] = "otherwise"  # 91 of 101 shingles: 0.90
    rows = [row("own", "1", "a", text), row("own", "2", "b", " ".join(middle))]
    for similarity, reason in ((0.88, "near_duplicate_answer"), (0.92, None)):
        found = by_id(deduped(tmp_path / str(similarity), [rows], answer_similarity=similarity))
        assert found["2"][0] == reason
