# Sets depend on levels and draws alone: a random one is the same under every intervention that draws it.
rule choose_head_sets:
    input:
        rules.rank_heads.output[0],
        # Which heads share keys and values, where random ones are to share them alike; which are induction heads, where
        # sets are to be without them.
        labels=lambda wildcards: (
            [PATHS.output("labels", model=wildcards.model)]
            if intervention("random_draws")(wildcards)["grouped"]
            or intervention("without_induction")(wildcards)
            else []
        ),
        # In another variant, the plain one's top heads are ablated too.
        plain=lambda wildcards: (
            []
            if wildcards.variant == PLAIN
            else [
                PATHS.output(
                    "rankings", model=wildcards.model, variant=PLAIN, length=wildcards.length
                )
            ]
        ),
    output:
        PATHS.output("head_sets"),
    log:
        PATHS.log("choose_head_sets", "head_sets"),
    priority: 3
    conda:
        "../envs/analysis.yaml"
    params:
        methods=lambda wildcards: ablated_methods(config, wildcards.intervention),
        levels=intervention("levels"),
        random_draws=intervention("random_draws"),
        without_induction=intervention("without_induction"),
        seed=config["seed"],
        code=code("choose_head_sets.py"),
    script:
        "../workflow/scripts/choose_head_sets.py"


# What the whole model answers, with and without the document: the same for all interventions, so it is asked once.
rule answer_unablated:
    input:
        prompts=rules.build_prompts.output[0],
        model=model_input,
    output:
        PATHS.output("unablated"),
    log:
        PATHS.log("answer_unablated", "unablated"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("unablated"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("unablated")),
        answer_types=ANSWER_TYPES,
        documents=lambda wildcards: unablated_documents(config, int(wildcards.length)),
        twinned=lambda wildcards: twinned_documents(
            config, int(wildcards.length), wildcards.variant
        ),
        generation=GENERATION,
        code=code("answer_unablated.py", *answer_files()),
    script:
        "../workflow/scripts/answer_unablated.py"


# What a replacement needs to know of a model, where it needs anything: its state, for each context length.
rule fit_replacement:
    input:
        prompts=rules.build_prompts.output[0],
        model=model_input,
    output:
        PATHS.output("replacements"),
    log:
        PATHS.log("fit_replacement", "replacements"),
    wildcard_constraints:
        replacement="|".join(map(re.escape, FITTED)) or "none",
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("replacements"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("replacements")),
        code=lambda wildcards: code(
            "fit_replacement.py", plugins.files("ablation.replacements")[wildcards.replacement]
        ),
    script:
        "../workflow/scripts/fit_replacement.py"


# What the whole model answers is no input, unless it says which prompts to ask: it stands beside these answers once the
# table is collected, so that asking the model more of them, for another intervention, makes no ablation stale.
rule ablate_heads:
    input:
        prompts=rules.build_prompts.output[0],
        head_sets=rules.choose_head_sets.output[0],
        unablated=answered,
        state=lambda wildcards: states(wildcards, [wildcards.length]),
        model=model_input,
    output:
        PATHS.output("ablation"),
    log:
        PATHS.log("ablate_heads", "ablation"),
    priority: 2
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("ablation"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("ablation")),
        answer_types=ANSWER_TYPES,
        mode=intervention("mode"),
        scope=intervention("scope"),
        documents=intervention("documents"),
        generation=GENERATION,
        code=ablation_code("ablate_heads.py", *answer_files()),
    script:
        "../workflow/scripts/ablate_heads.py"


# What the sets leave of the model's language: one job for all lengths, as a text is read so quickly.
rule measure_guard:
    input:
        head_sets=lambda wildcards: [
            PATHS.output("head_sets", length=length, **wildcards)
            for length in ablated_lengths(config, wildcards.intervention)
        ],
        states=lambda wildcards: states(wildcards, ablated_lengths(config, wildcards.intervention)),
        prose=given("prose"),
        model=model_input,
    output:
        PATHS.output("guard"),
    log:
        PATHS.log("measure_guard", "guard"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=guard_runtime,
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("guard")),
        files=content_of("prose"),
        mode=intervention("mode"),
        scope=intervention("scope"),
        code=ablation_code("measure_guard.py"),
    script:
        "../workflow/scripts/measure_guard.py"


rule summarise_ablation:
    input:
        PATHS.output("tables", table="ablation"),
    output:
        PATHS.output("tables", table="ablation_summary"),
    log:
        PATHS.log("summarise_ablation"),
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("summarise_ablation.py"),
    script:
        "../workflow/scripts/summarise_ablation.py"
