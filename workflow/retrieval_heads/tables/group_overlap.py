"""The group_overlap table: how far two rankings of key-value groups agree, in the form of the overlap table."""

from dataclasses import replace

from retrieval_heads.tables.overlap import OVERLAP

GROUP_OVERLAP = replace(OVERLAP, name="group_overlap")
