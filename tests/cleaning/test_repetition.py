from __future__ import annotations

from collections.abc import Callable

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import find_all_duplicate, find_top_duplicate, get_n_grams
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.cleaning.repetition import RepeatBounds, Repetition

A1 = "The river keeps the names we gave away,"
A2 = "and says them to the stones when it is late."
#: A villanelle: two lines return in every stanza and close the poem together.
VILLANELLE = f"""{A1}
though none of us had asked it to be kind,
{A2}

We drew our maps in chalk one summer day,
and rain undid the roads we had designed.
{A1}

The heron on its post would never weigh
what boys may lose and what the waters find,
{A2}

My brother shouted his across the bay;
no echo came, but something in the wind.
{A1}

The ferry left. I was too young to stay,
too old to wave at what I left behind,
{A2}

So if you walk there when the light is grey
and hear a word that nobody has signed:
{A1}
{A2}"""
#: A pantoum: the second and fourth line of a stanza are the first and third of the next.
PANTOUM_LINES = [
    "The kettle starts to sing before the dawn,", "my mother counts the plates against the wall,",
    "the coats are on the hooks of those now gone,", "and nobody remembers whose they all",
    "were, or the winter when we heard them call.", "A stair still answers when the wind is strong,",
    "the dust lies soft and level in the hall,", "the clock has had the hour always wrong,",
    "but keeps it company the whole night long.",
]  # fmt: skip
PANTOUM = "\n\n".join(
    "\n".join(PANTOUM_LINES[i % 9] for i in (start, start + 1, start + 2, start + 3)) for start in (0, 1, 3, 5)
)
SONG_VERSES = (
    "I packed my father's tractor keys and left before the rain,\nthe dog ran half a mile, then walked home again.",
    "The city has a thousand lights and not a single field,\nthe rent is due on Friday and the contract isn't sealed.",
    "My sister wrote a postcard with a picture of the weir,\nshe said the plums are early and they taste of last year.",
)
CHORUS = "Turn around, turn around, says the road to me,\nthere is bread on the table and a seat left free."
SONG = "\n\n".join(f"{verse}\n\n{CHORUS}" for verse in SONG_VERSES)
DIALOGUE = "\n".join(
    line for pair in zip(
        ("Did you see him?", "Are you sure?", "In the dark?", "With a lamp?", "And the boat?", "Was it ours?", "Far?"),
        ("Yes.", "Yes.", "No.", "No.", "Yes.", "Yes.", "No."), strict=True,
    ) for line in pair
)  # fmt: skip
CHINESE = (
    "下雨了，书店的灯比街灯先亮。晴天不打折，雨越大，书越便宜：小雨九折，中雨八折，雨声盖过说话声，七折。\n\n伞放进门口的铁桶，鞋上的泥不用管。"
    "靠窗那把藤椅总是最先有人坐，来晚了就坐楼梯，第三级不会响。天气预报常常不准，我们的地址很准：槐树巷尽头，雨声最响的那一间。"
)
PROSE = VILLANELLE.replace("\n", " ").replace(A1, "").replace(A2, "")

CASES = [
    (VILLANELLE, None),
    (PANTOUM, None),
    (SONG, None),
    (DIALOGUE, None),
    (CHINESE, None),
    ("Round and round", None),
    ("The lamp went out and nobody said a word about it.\n" * 12, "repeated_lines"),
    ("灯灭了，谁也没有说一句话。\n" * 12, "repeated_lines"),
    ("\n\n".join(["The lamp went out.\nNobody said a word.\nIt was late in the year."] * 8), "repeated_paragraphs"),
    ("ha ha " * 60, "repeated_phrase"),
    ("Haha!\n" * 120, "repeated_phrase"),
    ("哈哈" * 100, "repeated_phrase"),
    (PROSE + " We went round the old house again and again, as we had always done before." * 4, "repeated_phrases"),
    (CHINESE + "我们又绕着老房子走了一圈，就像从前那样。" * 4, "repeated_phrases"),
]


@pytest.mark.parametrize(("text", "reason"), CASES)
def test_loops_are_found_and_verse_and_dialogue_pass(
    cleaned: Callable[..., Document], text: str, reason: str | None
) -> None:
    assert cleaned(Repetition, text).metadata.get("reject") == reason


def test_thresholds_are_the_recipes(cleaned: Callable[..., Document]) -> None:
    assert cleaned(Repetition, VILLANELLE, max_duplicate_lines=0.3).metadata["reject"] == "repeated_lines"
    assert cleaned(Repetition, SONG, repetition_scale=0.1).metadata["reject"].startswith("repeated_phrase")
    assert "reject" not in cleaned(Repetition, "ha ha " * 60, repetition=False).metadata


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["the", "a", "tide", "came", "in", "over", "an", "gate"]), min_size=12, max_size=120))
def test_the_bounds_are_never_below_the_measures(words: list[str]) -> None:
    bounds = RepeatBounds(words)
    for n in (2, 3, 4):
        measure = find_top_duplicate(get_n_grams(words, n))
        assert all(bounds.top(n, enough) >= measure for enough in (measure, 1.5 * measure, len(words) * 8))
        assert bounds.top(n) == measure
    assert all(bounds.duplicate(5) >= find_all_duplicate(words, n) for n in range(5, 11))
    assert bounds.characters == len("".join(words))
