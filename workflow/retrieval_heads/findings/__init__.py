"""What the study found, in words: claims, sections, the page."""
