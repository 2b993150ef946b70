//! Ranges and combinations of options, checked before anything is read.
use crate::{Error, OneOrMany, Result, StepOptions, StepSpec};

/// One step by itself.
pub(crate) fn validate_step(options: &StepOptions) -> Result<()> {
    let fail = |text: String| Err(Error::usage(text));
    match options {
        StepOptions::Filter(filter) => {
            if filter.condition.trim().is_empty() {
                return fail("`where` is empty".into());
            }
        }
        StepOptions::Language(_) => {}
        StepOptions::Embed(embed) => embed.validate()?,
        StepOptions::Judge(judge) => judge.validate()?,
        StepOptions::Caption(caption) => caption.validate()?,
        StepOptions::Rewrite(rewrite) => rewrite.validate()?,
        StepOptions::Referee(referee) => referee.validate()?,
        StepOptions::Dedup(dedup) => {
            not_empty(&dedup.epsilon, "epsilon")?;
            for &epsilon in dedup.epsilon.as_slice() {
                if !(0.0..=1.0).contains(&epsilon) {
                    return fail(format!("epsilon = {epsilon} is outside 0 to 1"));
                }
            }
            if dedup.probe == 0 {
                return fail("probe = 0: every row searches at least its own cell".into());
            }
            if dedup.embedding.is_empty() && dedup.exact == crate::Exact::None {
                return fail("neither an embedding nor exact duplicates: nothing to compare".into());
            }
        }
        StepOptions::Cluster(cluster) => {
            if cluster.embedding.is_empty() {
                return Err(Error::usage("`embedding` is missing")
                    .with_hint("`cribble check INPUT` lists the arrays"));
            }
            not_empty(&cluster.k, "k")?;
            if cluster.k.as_slice().iter().any(|&k| k == 0 || k > u64::from(u32::MAX)) {
                return fail("k must be at least 1".into());
            }
            if !cluster.tolerance.is_finite() || cluster.tolerance < 0.0 {
                return fail(format!("tolerance = {} is no share", cluster.tolerance));
            }
        }
        StepOptions::Prune(prune) => {
            match (&prune.fraction, &prune.count) {
                (Some(_), Some(_)) => return fail("give either fraction or count, not both".into()),
                (None, None) => {
                    return Err(Error::usage("neither fraction nor count is given")
                        .with_hint("fraction = 0.3 keeps 30% of the rows"));
                }
                (Some(fractions), None) => {
                    not_empty(fractions, "fraction")?;
                    for &fraction in fractions.as_slice() {
                        if !(0.0..=1.0).contains(&fraction) {
                            return Err(Error::usage(format!("fraction = {fraction} is outside 0 to 1"))
                                .with_hint("fraction is the share to KEEP; for a number of rows use count"));
                        }
                    }
                }
                (None, Some(counts)) => not_empty(counts, "count")?,
            }
            if !(prune.temperature > 0.0 && prune.temperature.is_finite()) {
                return fail(format!("temperature = {} must be above 0", prune.temperature));
            }
            if !(0.0..=1.0).contains(&prune.balance) {
                return fail(format!("balance = {} is outside 0 to 1", prune.balance));
            }
            if prune.neighbors == 0 {
                return fail("neighbors must be at least 1".into());
            }
            if matches!(prune.keep, crate::Keep::Best(_)) && prune.method == crate::PruneMethod::Random {
                return fail("method = \"random\" keeps by a hash: `keep` has no meaning there".into());
            }
        }
    }
    Ok(())
}

fn not_empty<T>(values: &OneOrMany<T>, key: &str) -> Result<()> {
    if values.as_slice().is_empty() { Err(Error::usage(format!("{key} is an empty list"))) } else { Ok(()) }
}

/// Two embed steps of one base name would write into the same folders.
pub(crate) fn embeddings_differ(steps: &[StepSpec]) -> Result<()> {
    let mut known = std::collections::BTreeMap::new();
    for (index, spec) in steps.iter().enumerate() {
        let StepOptions::Embed(embed) = &spec.options else { continue };
        if let Some(first) = known.insert(embed.base(), index) {
            return Err(Error::usage(format!(
                "steps {} and {} both write the embedding '{}'",
                first + 1,
                index + 1,
                embed.base()
            ))
            .with_hint("give one of them a name of its own: embedding = \"…\""));
        }
    }
    Ok(())
}

/// Two steps that write one column of captions would hide each other's.
pub(crate) fn captions_differ(steps: &[StepSpec]) -> Result<()> {
    let mut known = std::collections::BTreeMap::new();
    for (index, spec) in steps.iter().enumerate() {
        let column = match &spec.options {
            StepOptions::Caption(caption) => caption.column.as_str(),
            StepOptions::Rewrite(rewrite) => rewrite.column.as_str(),
            _ => continue,
        };
        if let Some(first) = known.insert(column, index) {
            return Err(Error::usage(format!("steps {} and {} both write {column}", first + 1, index + 1))
                .with_hint("give one of them a name of its own: column = \"…\""));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Recipe, StepOptions};

    const JUDGE: &str = "[[step]]\nkind = \"judge\"\nvotes = 3\n[step.chat]\nendpoint = \"http://h/v1\"\nmodel = \"m\"\nextra = { top_p = 0.5 }\n";

    #[test]
    fn a_chat_table_is_read_and_written_back() {
        let recipe = Recipe::parse(JUDGE).unwrap();
        let text = recipe.to_toml().unwrap();
        assert!(text.contains("in_flight = 8") && text.contains("unparsed = \"keep\""), "{text}");
        assert_eq!(Recipe::parse(&text).unwrap(), recipe);
        let StepOptions::Judge(mut moved) = recipe.steps[0].options.clone() else { panic!() };
        let chat = moved.chat.as_mut().unwrap();
        (chat.endpoint, chat.in_flight, chat.max_cost) = ("http://elsewhere".into(), 64, 1.0);
        let moved = StepOptions::Judge(moved);
        assert_eq!(moved.without_costs(), recipe.steps[0].options.without_costs());
    }

    #[test]
    fn steps_with_models_are_checked() {
        let caption = |more: &str| {
            format!("[[step]]\nkind = \"caption\"\n{more}[step.chat]\nendpoint = \"e\"\nmodel = \"m\"\n")
        };
        assert!(Recipe::parse(&caption("")).is_ok());
        for text in [
            JUDGE.replace("votes = 3", "votes = 0"),
            JUDGE.replace("votes = 3", "nearest = 0\nfarthest = 0\nrandom = 0"),
            JUDGE.replace("\"m\"", "\"m\"\nmax_cost = 1.0"),
            JUDGE.replace("\"m\"", "\"m\"\ntimeout_seconds = nan"),
            JUDGE.replace("model = \"m\"\n", ""),
            caption("column = \"caption_A B\"\n"),
            caption("column = \"caption_best\"\n"),
            caption("image_size = 3\n"),
            caption("min_chars = 9\nmax_chars = 1\n"),
            caption("") + &caption(""),
            "[[step]]\nkind = \"referee\"\nprobability = 2.0".into(),
            "[[step]]\nkind = \"referee\"\ncandidates = [\"a\", \"a\"]".into(),
        ] {
            assert_eq!(Recipe::parse(&text).unwrap_err().kind(), ErrorKind::Usage, "{text}");
        }
    }
}
