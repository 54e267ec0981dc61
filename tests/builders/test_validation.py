from __future__ import annotations

import random

from deepwriting.builders.validation import query_groups, query_key, validation_places

TOPICS = ("harbours", "ladders", "winter", "bread", "clocks", "letters", "gardens", "trains", "salt", "paper")


def queries(count: int) -> list[str]:
    rng = random.Random(3)
    return [
        f"Write text {n} about {' and '.join(rng.sample(TOPICS, 4))} with a {rng.choice(TOPICS)}." for n in range(count)
    ]


def test_key_sees_words_alone() -> None:
    assert query_key("Write  a Poem, please!") == query_key("write a poem please")
    assert query_key("写一首诗。") == query_key("写一首诗")
    assert query_key("Write a poem") != query_key("Write two poems")
    assert query_key("???") != query_key("!!!")


def test_equal_and_nearly_equal_queries_are_one_group() -> None:
    long = "Write a story about a lamp that outlives two houses and a family that moves away before the winter comes"
    found = query_groups(
        [long, "Write a poem about bread", long.upper() + "!", long + " again", "Write a poem about salt"]
    )
    assert found == [0, 1, 0, 0, 4]


def test_a_shared_beginning_does_not_make_two_queries_one() -> None:
    shared = "Please write a compelling short story that takes up this writing prompt: "
    endings = ("a dragon learns to knit for its village", "the last train never stops at our station any more")
    assert query_groups([shared + ending for ending in endings]) == [0, 1]


def test_groups_and_splits_do_not_depend_on_order() -> None:
    texts = queries(200)
    texts += [text.upper() for text in texts[:50]]
    held = {texts[place] for place in validation_places(texts, [True] * 250, share=0.2)}
    random.Random(1).shuffle(texts)
    again = {texts[place] for place in validation_places(texts, [True] * 250, share=0.2)}
    assert held == again
    assert 20 <= len(held) <= 80
    keys = {query_key(text) for text in held}
    assert not keys & {query_key(text) for text in texts if text not in held}


def test_a_new_version_moves_no_query() -> None:
    old, more = queries(100), queries(140)
    held = {old[place] for place in validation_places(old, [True] * 100, share=0.2)}
    later = {more[place] for place in validation_places(more, [True] * 140, share=0.2)}
    assert later & set(old) == held


def test_a_number_of_rows_counts_kept_ones_and_is_never_exceeded() -> None:
    texts = queries(30)
    rows = [text for text in texts for _ in range(3)]
    kept = [place % 3 < 2 for place in range(90)]
    held = validation_places(rows, kept, rows=7)
    assert sum(kept[place] for place in held) == 6
    assert len(held) == 9
