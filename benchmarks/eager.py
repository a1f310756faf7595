"""The usual way to score heads, as the yardstick: eager passes that build every attention matrix, one after the other.

A pass for each question for Summed Attention, two for QRHead (the question and the null question), and for Wu24 a pass
over everything so far for each generated token.
"""

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

Scores = dict[str, Tensor]
"""Method → scores (L, H)."""


class EagerScoring:
    """Scores by eager passes, which it counts."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.model, self.tokenizer, self.passes = model, tokenizer, 0

    def score(self, prompt, max_new_tokens: int, stop: list[str]) -> Scores:
        """The scores of all heads on one row of the prompts table, and Wu24's whatever the answer."""
        implementation = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            return {
                "summed_attention": self._summed_attention(prompt),
                "wu24": self._wu24(prompt, max_new_tokens, stop),
                "qrhead": self._qrhead(prompt),
            }
        finally:
            self.model.set_attn_implementation(implementation)

    def largest_difference(self, scores: pd.DataFrame, prompts: pd.DataFrame, **answering) -> float:
        """How far any score of a scores table is from the one by eager passes.

        Wu24 may be missing for a prompt, which the model does not answer then.
        """
        mine, worst = scores.set_index(["prompt_id", "method"])["scores"].to_dict(), 0.0
        for prompt in prompts.itertuples():
            for method, table in self.score(prompt, **answering).items():
                if (prompt.prompt_id, method) not in mine:
                    continue
                found = torch.tensor(mine[prompt.prompt_id, method]).view(table.shape)
                worst = max(worst, (found - table).abs().max().item())
        return worst

    @torch.inference_mode()
    def _run(self, ids: list[int]) -> tuple[tuple[Tensor, ...], int]:
        """All attention of a prompt, (1, H, T, T) for each layer, and the token that follows."""
        self.passes += 1
        out = self.model(
            torch.tensor([list(ids)], device=self.model.device),
            output_attentions=True,
            use_cache=False,
            logits_to_keep=1,
        )
        return out.attentions, int(out.logits[0, -1].argmax())

    def _summed_attention(self, prompt) -> Tensor:
        attentions, _ = self._run(prompt.input_ids)
        needle = slice(prompt.needle_start, prompt.needle_end)
        return torch.stack([layer[0, :, -1, needle].float().sum(-1) for layer in attentions])

    def _qrhead(self, prompt) -> Tensor:
        needle = slice(prompt.needle_start, prompt.needle_end)
        question, null = (
            torch.stack([layer[0, :, prompt.suffix_start :, needle].float().mean(1) for layer in self._run(ids)[0]])
            for ids in (prompt.input_ids, prompt.null_ids)
        )
        gain = question - null
        kept = gain > gain.mean(-1, keepdim=True) - 2 * gain.std(-1, keepdim=True)
        return (gain * kept).sum(-1)

    def _wu24(self, prompt, max_new_tokens: int, stop: list[str]) -> Tensor:
        ids, generated, hits = list(prompt.input_ids), [], 0
        while len(generated) < max_new_tokens:
            attentions, token = self._run(ids)
            text = self.tokenizer.decode([*generated, token], skip_special_tokens=True)
            if token == self.model.generation_config.eos_token_id or any(end in text for end in stop):
                break
            strongest = torch.stack([layer[0, :, -1].argmax(-1) for layer in attentions])
            inside = (strongest >= prompt.needle_start) & (strongest < prompt.needle_end)
            hits = hits + (inside & (torch.tensor(ids)[strongest] == token))
            generated.append(token)
            ids.append(token)
        return hits / (prompt.needle_end - prompt.needle_start)
