//! `init`: a recipe that says what each key does, with the defaults of the libraries.
use cribble_core::{Error, Recipe, Result};
use serde_json::json;

use crate::{args::InitArgs, interrupt::quote, settings::Settings};

const TEMPLATE: &str = include_str!("init.toml");

/// Writes the recipe, unless the file exists.
pub fn run(settings: &Settings, args: &InitArgs) -> Result<u8> {
    let text = recipe(&args.input)?;
    if args.file.exists() {
        return Err(
            Error::usage(format!("{} is there already", args.file.display())).with_hint("name another file")
        );
    }
    if !settings.dry_run {
        cribble_io::write_file(&args.file, text.as_bytes())?;
    }
    let file = args.file.display().to_string();
    if settings.json {
        settings
            .terminal
            .out_json("init", json!({ "wrote": file, "dry_run": settings.dry_run, "exit_code": 0 }));
    }
    let verb = if settings.dry_run { "would write" } else { "wrote" };
    settings
        .terminal
        .say(&format!("{verb} {file}; next: cribble run {} --out runs/first --dry-run", quote(&file)));
    Ok(super::DONE)
}

fn recipe(input: &str) -> Result<String> {
    // Written as TOML writes it, so that no character of a path can break the file.
    let text = TEMPLATE.replace("\"INPUT\"", &toml::Value::String(input.into()).to_string());
    Recipe::parse(&text).map_err(|error| Error::bug(format!("the template: {error}")))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_core::{ClusterOptions, DedupOptions, PruneOptions, StepOptions};

    #[test]
    fn the_template_is_a_recipe_for_any_path() {
        for path in ["a/b", "it's \"quoted\" \\ here", "日本"] {
            let parsed = Recipe::parse(&recipe(path).unwrap()).unwrap();
            assert_eq!(parsed.input.path, path);
            assert_eq!(parsed.steps.len(), 4);
        }
    }

    #[test]
    fn the_template_names_the_defaults_of_the_libraries() {
        let parsed = Recipe::parse(&recipe("x").unwrap()).unwrap();
        for step in parsed.steps {
            match step.options {
                StepOptions::Dedup(dedup) => {
                    let defaults =
                        DedupOptions { embedding: dedup.embedding.clone(), ..DedupOptions::default() };
                    assert_eq!(dedup, defaults);
                }
                StepOptions::Cluster(cluster) => {
                    let defaults =
                        ClusterOptions { embedding: cluster.embedding.clone(), ..ClusterOptions::default() };
                    assert_eq!(cluster, defaults);
                }
                StepOptions::Prune(prune) => {
                    let defaults =
                        PruneOptions { fraction: prune.fraction.clone(), ..PruneOptions::default() };
                    assert_eq!(prune, defaults);
                }
                _ => {}
            }
        }
    }
}
