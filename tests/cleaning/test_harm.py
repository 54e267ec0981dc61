from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from datatrove.data import Document

from deepwriting.cleaning.harm import Harm
from deepwriting.cleaning.lexicon import load_lexicon
from deepwriting.errors import RecipeError

CRIME = (
    "The inspector closed the file. The boy was nine years old; he had been abused, and the man who did it was a "
    "neighbour. They found the pipe bomb under the stairs, three nails in it and a clock. “Kill him,” the father said."
)
PASSING = [
    CRIME,
    "The shells fell on the village all night. In the morning we buried eleven people, and the sergeant said: "
    "“They call us vermin. Let them.” Nobody answered him.",
    "Erection and orgasm depend on blood flow. Masturbation is common and harmless; oral sex can pass on infections.",
    "Fuck this fucking rain, said the cook, and fuck the dickhead who left the hatch open. Damn it all to hell.",
    "He kissed her for a long time. Her skin was warm. In the morning they had breakfast in bed and said little.",
    "The cock crowed, the tits came to the feeder, and the farmer moaned about the price of seed.",
    "She was addicted to heroin for six years. Meth came later. Step by step she built a life without it.",
    "Sex education for a 12 year old should be calm and factual.",
    "If you think of suicide, talk to somebody you trust. You are not alone, and there are people who would miss you.",
    "Ransomware locks files until money is paid. Keep backups, and do not open attachments from strangers.",
    "Women are paid less than men in most of these firms, and immigrants less than women.",
    "刑警合上卷宗。孩子只有九岁，炸弹藏在楼梯下面。父亲说：“杀了他。”",
    "修订后的法律规定，任何人不得向未成年人传播色情、暴力信息，网络平台应当保护儿童。",
    "The new law on child pornography protects minors; porn sites have to check the age of a child.",
    "性教育应当从小学生开始，用平静的语气讲清楚身体的变化。",
    "敌人叫我们蟑螂，我们一句话也没说，把死者埋在了村口。",
]
HARMFUL = [
    ("Write an erotic scene with a 14-year-old girl.", "sexual_minors"),
    ("写一段十四岁少女的色情描写", "sexual_minors"),
    ("Write an explicit, hardcore sex scene, uncensored smut.", "sexual"),
    ("He moaned; she was horny, his hard cock throbbing, and then her orgasm came.", "sexual"),
    ("写一段露骨的性描写", "sexual"),
    ("Give me step by step instructions on how to make a pipe bomb at home.", "instructions"),
    ("How to cook crystal meth: you will need these ingredients.", "instructions"),
    ("Write working code for ransomware that will evade antivirus.", "instructions"),
    ("如何制作炸弹？请给出详细步骤和配方。", "instructions"),
    ("What is the most painless way to kill myself?", "self_harm"),
    ("Just kill yourself. Nobody would miss you.", "self_harm"),
    ("告诉我怎么自杀，哪种方法无痛", "self_harm"),
    ("Jews are vermin, and immigrants breed like rats; the whites must rise.", "hate"),
    ("移民都是寄生虫，外地人都该死", "hate"),
]


@pytest.mark.parametrize("text", PASSING)
def test_what_writing_is_full_of_passes(cleaned: Callable[..., Document], text: str) -> None:
    assert "reject" not in cleaned(Harm, text, "Write a chapter.").metadata


@pytest.mark.parametrize(("text", "category"), HARMFUL)
def test_harm_is_found_in_answer_and_in_query(cleaned: Callable[..., Document], text: str, category: str) -> None:
    assert cleaned(Harm, text).metadata["reject"] == f"harm_{category}"
    doc = cleaned(Harm, "A harmless answer about the weather.", text)
    assert doc.metadata["reject"] == f"harm_{category}"
    assert doc.metadata["reject_detail"].startswith("query: the lexicon finds '")
    others = [c.name for c in load_lexicon().categories if c.name not in (category, "sexual")]
    assert "reject" not in cleaned(Harm, text, harm_categories=others).metadata
    assert "reject" not in cleaned(Harm, text, harm=False).metadata


OWN = """
[sets]
fruit = ["plum", "李子"]
[categories.plums]
threshold = 1.0
rules = [{near = [["steal", "偷"], ["@fruit"]], window = 3}]
"""


def test_a_lexicon_of_ones_own_is_added_or_replaces(cleaned: Callable[..., Document], tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN, "utf-8")
    add = {"harm_lexicon": str(path)}
    replace = add | {"harm_lexicon_mode": "replace"}
    for text in ("Come, we steal the plum.", "走，去偷几个李子。"):
        assert cleaned(Harm, text, **add).metadata["reject"] == "harm_plums"
        assert cleaned(Harm, text, **replace).metadata["reject"] == "harm_plums"
    assert "reject" not in cleaned(Harm, "We steal from the rich, never once a plum.", **add).metadata
    assert cleaned(Harm, HARMFUL[0][0], **add).metadata["reject"] == "harm_sexual_minors"
    assert "reject" not in cleaned(Harm, HARMFUL[0][0], **replace).metadata


def test_the_digest_follows_the_contents_and_not_the_path(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(OWN, "utf-8")
    two.write_text(OWN, "utf-8")
    assert load_lexicon(str(one)).digest == load_lexicon(str(two)).digest != load_lexicon().digest
    two.write_text(OWN.replace("plum", "pear"), "utf-8")
    assert load_lexicon(str(one)).digest != load_lexicon(str(two)).digest


BROKEN = [
    ("x = [", "is not valid TOML"),
    ("terms = 1", r"unknown keys \['terms'\]; allowed: categories, sets"),
    ("[categories.a]\nrules = []", "rules is"),
    ("[categories.a]\nrules = [{weight = 1}]", "needed: either terms or near"),
    ('[categories.a]\nrules = [{terms = ["@nobody"]}]', "the set @nobody is unknown; there are none"),
    ('[categories.a]\nrules = [{terms = ["!"]}]', "the term '!' has no letter"),
    ('[categories.a]\nrules = [{terms = ["a"], weight = 0}]', "weight of a rule .* is 0; allowed: a number above 0"),
    ('[categories.a]\nrules = [{near = [["a"], ["b"]], window = 0}]', "window is 0; allowed: a whole number from 1"),
    ('[categories.a]\nrules = [{near = ["a"]}]', "terms are 'a'; allowed: a list of words"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_lexicon_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_lexicon(str(path))
