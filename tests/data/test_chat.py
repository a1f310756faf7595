"""Chat templates: small ones in the manner of those that are in use, and some that cannot frame a prompt."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils import chat_template_utils

from planted import planted_tokenizer
from retrieval_heads.data.chat import chat_frame
from retrieval_heads.errors import StudyError

DAY = "2024-07-26"


@pytest.fixture(scope="module")
def tokenizer():
    tokenizer = planted_tokenizer("a company in Ohio")
    tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer


@pytest.fixture
def frame(tokenizer):
    def frame(template, date=DAY):
        tokenizer.chat_template = template
        return chat_frame(tokenizer, "small", date)

    return frame


def turns(before, after, reply=""):
    """A template whose turns begin with a role, and whose prompt ends as given, with something before each reply."""
    return (
        "{%- for m in messages %}{%- if m.role == 'user' %}{{ '" + before + "' + m.content + '<|end|>' }}"
        "{%- else %}{{ '" + reply + "' + m.content + '<|end|>' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}" + after + "{%- endif %}"
    )


ASSISTANT = r"{{ '<|assistant|>\n' }}"
# Qwen 3: an empty thought where it is told not to think, and before each reply that has none.
QWEN3 = turns(
    r"<|user|>\n",
    ASSISTANT
    + r"{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}",
    r"<|assistant|>\n<think>\n\n</think>\n\n",
)
# SmolLM 3: the same, but replies of old have no thought.
SMOLLM3 = turns(
    r"<|user|>\n",
    "{%- if enable_thinking %}"
    + ASSISTANT
    + "{%- else %}"
    + r"{{ '<|assistant|>\n<think>\n\n</think>\n' }}{%- endif %}",
    r"<|assistant|>\n",
)
QWEN3_THINKING = turns(r"<|user|>\n", r"{{ '<|assistant|>\n<think>\n' }}", r"<|assistant|>\n<think>\n\n</think>\n\n")
# DeepSeek-R1: replies of old have lost their thoughts.
R1 = (
    "{{ bos_token }}{%- for m in messages %}{%- if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{%- else %}"
    "{% set content = m.content %}{% if '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{%- endif %}{%- endfor %}"
    r"{%- if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{%- endif %}"
)
# DeepSeek-V3.1: thinks when asked to.
V31 = turns(
    "<｜User｜>",
    "{{ '<｜Assistant｜>' }}"
    "{%- if thinking is defined and not thinking %}{{ '</think>' }}{% else %}{{ '<think>' }}{% endif %}",
    "<｜Assistant｜></think>",
)
GLM = (
    r"{%- for m in messages %}{%- if m.role == 'user' %}{{ '<|user|>\n' + m.content }}"
    "{{ '/nothink' if enable_thinking is defined and not enable_thinking }}"
    r"{%- else %}{{ '<|assistant|>\n<think></think>\n' + m.content }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|assistant|>' }}"
    r"{{ '\n<think></think>' if enable_thinking is defined and not enable_thinking }}{%- endif %}"
)
# gpt-oss: every reply has a channel, and the model chooses it.
HARMONY = (
    "{{ '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') }}"
    r"{{ '\n\n# Valid channels: analysis, final.<|end|>' }}"
    "{%- for m in messages %}{%- if m.role == 'user' %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}"
    "{%- else %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|start|>assistant' }}{%- endif %}"
)
ANALYSIS = HARMONY.replace("{{ '<|start|>assistant' }}", "{{ '<|start|>assistant<|channel|>analysis<|message|>' }}")
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
RESPONSE = turns("<|USER|>", "{{ '<|CHATBOT|>' }}", "<|CHATBOT|><|START_RESPONSE|>")
NO_REPLIES = (
    "{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('users only') }}{% endif %}"
    "{{ '<|user|>' + m.content }}{% endfor %}{{ '<|assistant|>' }}"
)

ENDS = {  # what stands between the message and the answer
    "a plain one": (turns(r"<|user|>\n", ASSISTANT, r"<|assistant|>\n"), "<|end|><|assistant|>\n"),
    "one without replies": (NO_REPLIES, "<|assistant|>"),
    "one that puts a blank before replies": (LLAMA2, " [/INST]"),
    "one that does not begin the reply": (turns("<|user|>", "", "<|assistant|>"), "<|end|><|assistant|>"),
    "thoughts that can be switched off": (QWEN3, "<|end|><|assistant|>\n<think>\n\n</think>\n\n"),
    "the same, not kept": (SMOLLM3, "<|end|><|assistant|>\n<think>\n\n</think>\n"),
    "another switch": (V31, "<|end|><｜Assistant｜></think>"),
    "a switch in the message": (GLM, "/nothink<|assistant|>\n<think></think>"),
    "an empty thought in replies alone": (
        turns("<|user|>", "{{ '<|assistant|>' }}", "<|assistant|><think></think>"),
        "<|end|><|assistant|><think></think>",
    ),
    "a thought that is opened": (QWEN3_THINKING, "<|end|><|assistant|>\n<think>\n\n</think>\n\n"),
    "a thought that is opened and not kept": (R1, "<｜Assistant｜><think>\n\n</think>\n\n"),
    "a thought that is opened before replies too": (
        turns("<|user|>", r"{{ '<|assistant|><think>\n' }}", r"<|assistant|><think>\n"),
        "<|end|><|assistant|><think>\n\n</think>\n\n",
    ),
    "a thought with words in it": (
        turns("<|user|>", r"{{ '<|assistant|><think>\nOkay, ' }}", "<|assistant|>"),
        "<|end|><|assistant|><think>\nOkay,\n\n</think>\n\n",
    ),
    "other tags": (
        turns("<|user|>", "{#[/THINK]#}{{ '<|assistant|>[THINK]' }}", "<|assistant|>"),
        "<|end|><|assistant|>[THINK]\n\n[/THINK]\n\n",
    ),
    "tags with names of their own": (
        turns("<|user|>", "{#<|end_of_thought|>#}{{ '<|assistant|><|begin_of_thought|>' }}", "<|assistant|>"),
        "<|end|><|assistant|><|begin_of_thought|>\n\n<|end_of_thought|>\n\n",
    ),
    "a channel": (HARMONY, "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "a channel for thoughts": (ANALYSIS, "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "a mark before each reply": (RESPONSE, "<|end|><|CHATBOT|><|START_RESPONSE|>"),
}


@pytest.mark.parametrize(("template", "expected"), ENDS.values(), ids=ENDS)
def test_the_answer_begins_outside_any_thought(frame, template, expected):
    assert frame(template)[1] == expected


REFUSED = {
    "no template": (None, "the tokenizer of small has no chat template"),
    "the message twice": ("{{ messages[0].content }} {{ messages[0].content }}", "uses the message 2 times"),
    "the message and its upper case": (
        "{{ messages[0].content }} {{ messages[0].content | upper }}",
        "uses the message 2 times",
    ),
    "no message": ("<|user|>", "leaves the message out"),
    "messages in parts": (
        "{% for part in messages[0].content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
        "leaves the message out",
    ),
    "escaped": ("{{ messages[0].content | e }}", "changes the message"),
    "as JSON": ("{{ messages | tojson }}", "changes the message"),
    "in lower case": ("{{ messages[0].content | lower }}", "changes the message"),
    "in one line": ("{{ messages[0].content.split() | join(' ') }}", "changes the message"),
    "a system message": (
        "{% if messages[0].role != 'system' %}{{ raise_exception('Begin with a system message.') }}{% endif %}",
        r"fails on a message of the user without others \(Begin with a system message\.\)",
    ),
    "a second message": ("{{ messages[1].content.strip() }}", "fails on a message of the user without others"),
    "a template with a fault": ("{% for m in messages %}{{ m.content }}", "fails on a message of the user"),
    "a type error": ("{{ messages[0].content + 1 }}", "fails on a message of the user"),
    "several, none by default": (
        {"tools": "{{ messages[0].content }}", "search": "{{ messages[0].content }}"},
        "fails on a message of the user",
    ),
    "a thought without an end": (
        turns("<|user|>", "{{ '<|assistant|><reasoning>' }}", "<|assistant|>"),
        r"begins the reply with a thought \(<reasoning>\) and does not show how to end it",
    ),
    "a thought and then something else": (
        turns("<|USER|>", "{#<|END_THINKING|>#}{{ '<|CHATBOT|><|START_THINKING|>' }}", "<|CHATBOT|><|START_RESPONSE|>"),
        r"begins the reply with a thought \(<\|START_THINKING\|>\)",
    ),
    "a channel that no reply is in": (
        HARMONY.replace("<|channel|>final", "<|channel|>commentary"),
        "wants a channel, and puts no reply into the final one",
    ),
}


@pytest.mark.parametrize(("template", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_frame_a_prompt_is_refused(frame, template, sentence):
    with pytest.raises(StudyError, match=rf"^prompts\.chat_template: .*{sentence}.*set it to false") as error:
        frame(template)
    assert str(error.value).count("small") == 1


DATED = {
    "the clock": ("{{ strftime_now('%d %B %Y') }}: {{ messages[0].content }}", "26 July 2024: "),
    "the clock, to the second": ("{{ strftime_now('%F %T') }} {{ messages[0].content }}", "2024-07-26 00:00:00 "),
    "Llama 3": (
        "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{%- endif %}"
        "{{ 'Today Date: ' + date_string + ' ' + messages[0].content }}",
        "Today Date: 26 Jul 2024 ",
    ),
    "behind the message": ("{{ 'On: ' + messages[0].content + strftime_now('%Y') }}", "On: "),
}


@pytest.mark.parametrize(("template", "expected"), DATED.values(), ids=DATED)
def test_the_day_is_pinned_whatever_the_clock_says(frame, monkeypatch, template, expected):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moved

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)
    frames = []
    for days in (0, 1, 400):
        moved = datetime(2026, 3, 1, 12, 34, 56) + timedelta(days)
        frames.append(frame(template))
    # The clock has moved: without the pin the template says so.
    assert moved.strftime("%Y") == chat_template_utils.datetime.now().strftime("%Y") == "2027"
    assert frames == [frames[0]] * 3
    assert frames[0][0] == expected


def test_another_day_makes_other_prompts(frame):
    template = DATED["Llama 3"][0]
    assert frame(template, "2025-01-02")[0] == "Today Date: 02 Jan 2025 "


@given(text=st.text(max_size=40))
@settings(max_examples=40)
@pytest.mark.parametrize("template", [QWEN3, R1, LLAMA2], ids=["Qwen 3", "R1", "Llama 2"])
def test_a_frame_is_what_the_template_makes_of_any_message(tokenizer, template, text):
    tokenizer.chat_template = template
    opening, closing = chat_frame(tokenizer, "small", DAY)
    whole = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert (opening + text + closing).startswith(whole)
