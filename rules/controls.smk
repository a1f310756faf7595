# Controls of what a study finds, each made only where its config asks for it.

# --- transfer: the heads of one question, ablated while another is asked ------------------------------


# --- specificity: the same heads, ablated while facts and sums are asked that no context states -------


# --- compensation: what other heads make up for, what heads do together, what they restore ------------

# --- looks: what heads look at in the rows that produce the answer ------------------------------------
