"""What a chat template puts around the user's message, up to where the model's answer begins."""

import re
from collections.abc import Container
from datetime import datetime
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import _compile_jinja_template

from retrieval_heads.data.encoding import chat_templates
from retrieval_heads.errors import StudyError

# Stand for message and reply. What escapes, trims or folds a text changes the signs between the words.
_MESSAGE, _REPLY = (f"\x00{word}  <&é>\"'\\\n\n{{{{x}}}}\x00" for word in ("UserMessage", "GivenReply"))
_CORE = re.compile("UserMessage", re.IGNORECASE)

# Templates that can open a thought are asked not to; others have no such variables.
_NO_THOUGHT: dict[str, Any] = {"enable_thinking": False, "thinking": False}
# A tag such as <think>, [THINK], </think>, <|START_THINKING|> or <|end_of_thought|>.
_THOUGHT = re.compile(
    r"([<\[◁][|｜]?)(/?)([\w:.-]*(?:think|thought|reason|analysis|scratchpad|inner_)[\w:.-]*)([|｜]?[>\]▷])",
    re.IGNORECASE,
)
_ENDS = re.compile(r"^no|end|stop|close|suffix|off", re.IGNORECASE)
_OPPOSITES = (("START", "END"), ("start", "end"), ("BEGIN", "END"), ("begin", "end"), ("prefix", "suffix"))
_CHANNEL = "<|channel|>"


def chat_frame(tokenizer: PreTrainedTokenizerBase, model: str, date: str) -> tuple[str, str]:
    """The text before the user's message, and the text from there to where the answer begins.

    The answer begins outside any thought: one that the template opens is closed at once and stays empty; and where the
    template puts something before a reply that it does not put at the end of a prompt, such as the channel of final
    answers, it is put there too.

    Parameters
    ----------
    tokenizer : one with a chat template.
    model : the model's key in the config, for the message.
    date : the day that the template takes for today, as YYYY-MM-DD.

    Raises
    ------
    StudyError
        when there is no template, or one by which no prompt can be built around a single message of the user.
    """
    if not (templates := chat_templates(tokenizer)):
        raise StudyError(f"prompts.chat_template: the tokenizer of {model} has no chat template; set it to false.")
    user, reply = {"role": "user", "content": _MESSAGE}, {"role": "assistant", "content": _REPLY}
    try:
        asked = _render(tokenizer, [user], date, add_generation_prompt=True)
    except _FAILURES as error:
        raise _refused(model, f"fails on a message of the user without others ({error})") from error
    if (uses := len(_CORE.findall(asked))) != 1:
        raise _refused(model, f"uses the message {uses} times" if uses else "leaves the message out")
    if _MESSAGE not in asked:
        raise _refused(model, "changes the message, as by escaping it")
    opening, prompt = asked.split(_MESSAGE)
    try:
        replied = _render(tokenizer, [user, reply], date, add_generation_prompt=False)
    except _FAILURES:
        replied = ""  # some take no reply at the end
    given = replied.partition(_MESSAGE)[2].partition(_REPLY)
    before_reply = given[0] if given[1] else prompt
    return opening, _answerable(prompt, before_reply, templates, tokenizer.get_vocab(), model)


_FAILURES = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _render(tokenizer: PreTrainedTokenizerBase, messages: list[dict], date: str, add_generation_prompt: bool) -> str:
    """A chat as text on a day, which templates take from ``strftime_now``, or from ``date_string`` as Llama's do.

    As ``apply_chat_template`` renders it, which has no way to tell the day: its ``strftime_now`` reads the clock.
    """
    today = datetime.fromisoformat(date)
    return _compile_jinja_template(tokenizer.get_chat_template()).render(
        messages=messages,
        tools=None,
        documents=None,
        add_generation_prompt=add_generation_prompt,
        strftime_now=today.strftime,
        date_string=today.strftime("%d %b %Y"),
        **_NO_THOUGHT,
        **tokenizer.special_tokens_map,
    )


def _answerable(prompt: str, before_reply: str, template: str, vocabulary: Container[str], model: str) -> str:
    """The end of a prompt, changed so that an answer may follow.

    prompt is how the template ends a prompt, before_reply what it puts between a message and a reply.
    """
    more = before_reply.startswith(prompt) and before_reply.removeprefix(prompt).strip()
    if more or (_CHANNEL in template and f"{_CHANNEL}final" in before_reply):
        prompt = before_reply
    if _CHANNEL in template and prompt.rpartition(_CHANNEL)[2].partition("<")[0].strip() != "final":
        raise _refused(model, "wants a channel, and puts no reply into the final one")
    tags = list(_THOUGHT.finditer(prompt))
    if not tags or tags[-1][2] or _ENDS.search(tags[-1][3]):
        return prompt
    opened, (left, _, name, right) = tags[-1][0], tags[-1].groups()
    closing = [f"{left}/{name}{right}", *(left + name.replace(*pair) + right for pair in _OPPOSITES)]
    found = next((tag for tag in closing if tag != opened and (tag in template or tag in vocabulary)), None)
    # Where the template puts something else before a reply, only it could tell what belongs behind the thought.
    if found is None or not prompt.startswith(before_reply.rstrip()):
        raise _refused(model, f"begins the reply with a thought ({opened}) and does not show how to end it")
    return f"{prompt.rstrip()}\n\n{found}\n\n"


def _refused(model: str, why: str) -> StudyError:
    return StudyError(
        f"prompts.chat_template: the chat template of {model} {why}; set it to false or choose another model."
    )
