"""What a model reads: documents, haystacks, prompts; and what counts as a right answer."""
