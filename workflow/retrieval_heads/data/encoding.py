"""Text to token ids, by which text stays text: what looks like a control token in it is spelt out."""

import copy
import re
import secrets
from collections.abc import Mapping

from transformers import AddedToken, PreTrainedTokenizerBase

from retrieval_heads.errors import StudyError

# Unicode keeps the two ends for a program's own use. A text may hold them all the same, but not what is drawn anew in
# each process; no token id depends on it.
_OPEN, _CLOSE = f"\ufdd0{secrets.token_hex(8)}", "\ufdd1"
_BRACKETED = re.compile(r"<.+>|\[.+\]|\{.+\}|◁.+▷", re.DOTALL)


class Encoder:
    """Encodes texts alone, without special tokens added, with a model's tokenizer, which it leaves as it is.

    A control token is an added token that is special, or written in brackets (``<think>``), or part of the chat
    template; white space is none. In text, none of them is recognised. A template's own are, where :meth:`control` has
    marked them.

    Parameters
    ----------
    tokenizer : a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._control = control_tokens(tokenizer)
        backend = tokenizer.backend_tokenizer
        self._unknown = {tokenizer.unk_token_id, backend.token_to_id(getattr(backend.model, "unk_token", None) or "")}
        # The tokenizer passes over special tokens when it is told to, so in this copy all control tokens are special;
        # and each has a stand-in that is not, with a number of its own, under a name that no text holds.
        self._tokenizer = copy.deepcopy(tokenizer)
        self._tokenizer.split_special_tokens = True
        control = self._control.values()
        self._tokenizer.add_tokens([AddedToken(t.content, special=True) for t in control], special_tokens=True)
        self._tokenizer.add_tokens(
            [
                AddedToken(_stand_in(t.content), lstrip=t.lstrip, rstrip=t.rstrip, normalized=False, special=False)
                for t in control
            ]
        )
        self._meant = {
            self._tokenizer.convert_tokens_to_ids(_stand_in(token.content)): number
            for number, token in self._control.items()
        }
        longest_first = sorted((token.content for token in control), key=len, reverse=True)
        self._written = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def control(self, text: str) -> str:
        """A template's text, changed so that its control tokens count as such."""
        return self._written.sub(lambda match: _stand_in(match[0]), text)

    def ids(self, text: str, where: str) -> list[int]:
        """Token ids of a text. See :meth:`spans`."""
        return self.spans(text, where)[0]

    def spans(self, text: str, where: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids of a text, and the characters that each stands for, from the first to behind the last.

        Parameters
        ----------
        where : what the text is, such as a document or a key of the config, for the message.

        Raises
        ------
        StudyError
            when the tokenizer reads a control token in spite of all, as one does whose vocabulary has it as a word.
        """
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        for number, (start, end) in zip(ids, offsets, strict=True):
            if (token := self._control.get(number)) is None:
                continue
            # The token for what is unknown is nothing that the text says, unless it spells its name.
            if number not in self._unknown or token.content.strip() in text[start:end]:
                raise StudyError(
                    f"{where}: the model's tokenizer takes {token.content!r} in this text for a control token; "
                    "take it out of the text or choose another model."
                )
        return [self._meant.get(number, number) for number in ids], offsets


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, AddedToken]:
    """A tokenizer's control tokens by their ids; see :class:`Encoder`."""
    template = chat_templates(tokenizer)
    return {
        number: token
        for number, token in tokenizer.added_tokens_decoder.items()
        if (content := token.content.strip())
        and (token.special or _BRACKETED.fullmatch(content) or content in template)
    }


def chat_templates(tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of a tokenizer's chat template, or of all, where it has several; empty where it has none."""
    template = tokenizer.chat_template or ""
    return "\n".join(template.values()) if isinstance(template, Mapping) else template


def _stand_in(content: str) -> str:
    return f"{_OPEN}{content}{_CLOSE}"


def decode(tokenizer: PreTrainedTokenizerBase, ids: list[int], **options) -> str:
    """The text of some tokens."""
    text = tokenizer.decode(ids, **options)
    assert isinstance(text, str)  # only several lists of tokens give several texts
    return text
