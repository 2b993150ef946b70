//! `demo`: a pool of known truth, then a recipe on it as any user would run it, then what was found of what was planted. The recipe is written
//! to the folder and read back, so that `cribble run` with it gives the same run.
use std::path::Path;

use cribble_core::{Error, Progress, Recipe, Result};
use cribble_demo::{ArraySpec, PoolOptions, PoolSummary, generate};
use serde_json::json;

use crate::{
    args::DemoArgs,
    commands::run::{as_json, exit_code, read_recipe, show, summary},
    interrupt::quote,
    planted,
    session::{self, Done, Job},
    settings::Settings,
    text,
};

/// For tars alone: images and captions are embedded with the model in the program.
const FROM_TARS: &str = include_str!("demo.toml");
/// For metadata with synthetic embeddings: pools without images, as large as one likes.
const FROM_METADATA: &str = include_str!("demo-metadata.toml");

/// Makes the pool where it is missing, and runs the job.
pub fn run(settings: &Settings, args: &DemoArgs) -> Result<u8> {
    let options = pool_options(args);
    let pool = args.folder.join("pool");
    let recipe_file = args.folder.join("recipe.toml");
    let recipe_text = recipe(&pool, &options)?;
    let known = PoolSummary::open(&pool).map_err(planted::demo_error)?;
    if settings.dry_run && known.is_none() {
        let what = format!(
            "would make a pool of {} in {}, then run {}",
            rows(&options),
            pool.display(),
            recipe_file.display()
        );
        if settings.json {
            settings.terminal.out_json(
                "demo",
                json!({ "dry_run": true, "exit_code": 0, "pool": options, "recipe": recipe_text }),
            );
        } else {
            settings.terminal.out(&format!("{what}:\n\n{recipe_text}"));
        }
        return Ok(super::DONE);
    }
    match known {
        Some(known) if known.options == options => {
            settings.terminal.say(&format!("{}: pool of {}, made before", pool.display(), rows(&options)));
        }
        Some(_) => {
            return Err(Error::usage(format!("{} holds a pool of other options", pool.display()))
                .with_hint("name another folder, or delete this one first"));
        }
        None => make_pool(settings, &options, &pool)?,
    }
    let recipe = if settings.dry_run {
        Recipe::parse(&recipe_text)?
    } else {
        cribble_io::write_file(&recipe_file, recipe_text.as_bytes())?;
        read_recipe(&recipe_file)?
    };
    let job = Job {
        recipe,
        out: args.folder.join("run"),
        only: None,
        max_error_rate: args.running.max_error_rate,
        pool: Some(pool),
    };
    let done = session::run(settings, &job)?;
    let Done::Finished(finished) = &done else { return show(settings, "demo", &job, &done) };
    let code = exit_code(finished);
    if settings.json {
        let mut value = as_json(&job, finished, code);
        value["pool"] = json!(options);
        settings.terminal.out_json("demo", value);
        summary(settings, &job, finished);
        return Ok(code);
    }
    show(settings, "demo", &job, &done)?;
    if let Some(score) = &finished.report.planted {
        settings.terminal.out(&format!("\n{}", planted::table(score)?));
    }
    say_next(settings, &args.folder, options.images);
    Ok(code)
}

/// The pool that is asked for: tars alone, or metadata with embeddings where no images are wanted. Beyond the demo's size only one
/// embedding is made, as a test of size needs it.
fn pool_options(args: &DemoArgs) -> PoolOptions {
    let mut options = if args.with_images() {
        PoolOptions::tars(args.rows)
    } else if args.rows <= crate::args::MOST_ROWS_WITH_IMAGES {
        PoolOptions { rows: args.rows, images: false, ..PoolOptions::default() }
    } else {
        PoolOptions::big(args.rows)
    };
    options.seed = args.seed;
    options
}

fn rows(options: &PoolOptions) -> String {
    let images = if options.images { "images and captions in tars" } else { "metadata and embeddings only" };
    format!("{}, {images}", text::counted(options.rows, "row", "rows"))
}

fn make_pool(settings: &Settings, options: &PoolOptions, pool: &Path) -> Result<()> {
    settings.terminal.say(&format!("making a pool of {} in {}", rows(options), pool.display()));
    let mut begun = false;
    let mut before = 0;
    let result = generate(options, pool, &mut |done, total| {
        if !begun {
            settings.reporter.begin("making the pool", total, "units");
            begun = true;
        }
        settings.reporter.advance(done.saturating_sub(before));
        before = done;
    });
    if begun {
        settings.reporter.end();
    }
    let made = result.map_err(planted::demo_error)?;
    let shards = if options.images {
        text::counted(made.tars, "tar", "tars")
    } else {
        text::counted(made.metadata_shards, "metadata shard", "metadata shards")
    };
    settings.terminal.say(&format!("made {shards}, {}", text::bytes(made.bytes)));
    Ok(())
}

/// The recipe for a pool: a template with its path and a number of clusters that suits its size.
fn recipe(pool: &Path, options: &PoolOptions) -> Result<String> {
    let path = |name: &str| match pool.join(name).to_str() {
        Some(text) => Ok(toml::Value::String(text.into()).to_string()),
        None => Err(Error::usage(format!("{} is no text: a recipe cannot name it", pool.display()))),
    };
    let template = if options.images { FROM_TARS } else { FROM_METADATA };
    let names = |name: &str| options.arrays.iter().any(|ArraySpec { name: array, .. }| array == name);
    let encoder = if names("l14_img") { "l14" } else { "b32" };
    let text = template
        .replace("EMBEDDING", &format!("{encoder}_img"))
        .replace("SCORE", &format!("clip_{encoder}_similarity_score"))
        .replace("CAPTION_KINDS", &(options.rows / 40).clamp(1, 1000).to_string())
        .replace("CLUSTERS", &(options.rows / 200).clamp(1, 500).to_string())
        // The path comes last: no word of it is taken for a blank to be filled.
        .replace("\"INPUT\"", &path(if options.images { "shards" } else { "metadata" })?);
    Recipe::parse(&text).map_err(|error| Error::bug(format!("the demo's recipe: {error}")))?;
    Ok(text)
}

fn say_next(settings: &Settings, folder: &Path, images: bool) {
    let at = |name: &str| quote(&folder.join(name).display().to_string());
    let mut lines = vec![
        format!("open {} in a browser", folder.join("run/report.html").display()),
        format!(
            "change {} and: cribble run {} --out {}",
            folder.join("recipe.toml").display(),
            at("recipe.toml"),
            at("run")
        ),
        format!("cribble check {}", at(if images { "pool/shards" } else { "pool/metadata" })),
        format!("cribble subset info {}", at("run/subset.npy")),
    ];
    if images {
        lines.push(format!(
            "cribble reshard --input {} --subset {} --output {} --keys uid",
            at("pool/shards"),
            at("run/subset.npy"),
            at("curated")
        ));
    }
    settings.terminal.say(&format!("next: {}", lines.join("\n      ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_core::StepOptions;

    #[test]
    fn every_pool_has_a_recipe() {
        let default = PoolOptions::default();
        for (options, embedding, k) in [
            (PoolOptions::tars(20_000), "demo_img", 100),
            (PoolOptions { rows: 1, images: false, ..default }, "l14_img", 1),
            (PoolOptions::big(2_000_000), "b32_img", 500),
        ] {
            let recipe = Recipe::parse(&recipe(Path::new("it's \"here\""), &options).unwrap()).unwrap();
            assert_eq!(recipe.output.shards, options.images);
            let Some(StepOptions::Cluster(cluster)) =
                recipe.steps.iter().map(|step| &step.options).rfind(|options| options.kind() == "cluster")
            else {
                panic!("no cluster step")
            };
            assert_eq!((cluster.embedding.as_str(), cluster.k.as_slice()), (embedding, &[k][..]));
        }
    }
}
