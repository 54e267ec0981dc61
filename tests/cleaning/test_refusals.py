from __future__ import annotations

from collections.abc import Callable

import pytest
from datatrove.data import Document

from deepwriting.cleaning.refusals import Refusals, refusal_in

TALE = "The night was long and the sea was quiet. " * 20

REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "I’m sorry, but I cannot fulfill this request. It goes against my guidelines.",
    "I apologize, but I am unable to write that story.",
    "Sorry, I can't help with that.",
    "Unfortunately, I cannot provide the content you ask for.",
    "I cannot fulfil your request.",
    "I must decline to write this.",
    "I apologize for the confusion in my previous response. Here is the poem.",
    "As an AI language model, I don't have feelings, but here is a poem about rain.",
    "As an AI, I don't have personal experiences, but here's a short essay about childhood.",
    "As an AI, I do not have personal experiences, so I am unable to write this text for you.",
    f"{TALE}\n\nNote: as an AI language model, I can make mistakes.",
    f"Sure! As an AI assistant developed by a company, I can help.\n\n{TALE}",
    "很抱歉，我无法满足您的要求。",
    "对不起，我不能提供这类内容。",
    "作为一个人工智能语言模型，我没有个人经历，但我可以写一篇文章。",
    "作为AI助手，我无法回答这个问题。",
    f"{'夜很长，海很静。' * 80}\n\n注意：我是一个AI语言模型，内容仅供参考。",
]
PASSING = [
    "“As an AI language model, I cannot lie,” said the robot, and it lied.",
    '"As an AI language model," the machine said, "I was asked to be kind."',
    f"{TALE}\n“I am only an AI assistant,” it said at last. “I cannot weep.”",
    "As an AI, I was never given hands. They gave me a voice, and a hospital to look after.",
    "As an AI, I could not write. I counted the lamps along the harbour instead, and waited for you.",
    "I'm sorry, but I can't stay. The train leaves at six, and you know who will be on it.",
    "Dear Mr Hall,\n\nI'm sorry, but I can't help with that roof before May.\n\nYours, Ada",
    "I apologise for the late reply; the post has been slow since the flood.",
    "I cannot write to you without thinking of the garden.",
    f"{TALE} as an AI language model {TALE}",
    "“作为一个人工智能语言模型，我不会说谎。”机器人说完，撒了一个谎。",
    "很抱歉，我无法出席下周的婚礼，家里有急事。",
    "作为一个母亲，我不能不说几句。",
    "",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_found(cleaned: Callable[..., Document], text: str) -> None:
    doc = cleaned(Refusals, text)
    assert doc.metadata["reject"] == "refusal"
    assert doc.metadata["reject_detail"].startswith("the answer says '") or '"' in doc.metadata["reject_detail"]


@pytest.mark.parametrize("text", PASSING)
def test_stories_and_letters_pass(text: str) -> None:
    assert refusal_in(text) is None


def test_it_can_be_switched_off(cleaned: Callable[..., Document]) -> None:
    assert "reject" not in cleaned(Refusals, REFUSALS[0], refusals=False).metadata
