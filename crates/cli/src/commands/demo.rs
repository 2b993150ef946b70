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

const TEMPLATE: &str = include_str!("demo.toml");

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
    if finished.reshard.as_ref().is_some_and(|reshard| reshard.missing > 0) {
        settings.terminal.note("the missing ones are planted download failures: in the metadata, in no tar; the recipe allows them (allow_missing)");
    }
    say_next(settings, &args.folder, finished.reshard.is_some());
    Ok(code)
}

/// The pool that is asked for. Without images and beyond the demo's size only one embedding is made, as a test of size needs it.
fn pool_options(args: &DemoArgs) -> PoolOptions {
    let mut options = if args.with_images() || args.rows <= crate::args::MOST_ROWS_WITH_IMAGES {
        PoolOptions { rows: args.rows, ..PoolOptions::default() }
    } else {
        PoolOptions::big(args.rows)
    };
    options.seed = args.seed;
    options.images = args.with_images();
    options
}

fn rows(options: &PoolOptions) -> String {
    let images = if options.images { "with images" } else { "metadata and embeddings only" };
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
    settings.terminal.say(&format!(
        "made {} in {}, {}",
        text::counted(made.metadata_shards, "metadata shard", "metadata shards"),
        text::counted(made.tars, "tar", "tars"),
        text::bytes(made.bytes)
    ));
    Ok(())
}

/// The recipe for a pool: the template with its paths, its embedding and a number of clusters that suits its size.
fn recipe(pool: &Path, options: &PoolOptions) -> Result<String> {
    let path = |name: &str| match pool.join(name).to_str() {
        Some(text) => Ok(toml::Value::String(text.into()).to_string()),
        None => Err(Error::usage(format!("{} is no text: a recipe cannot name it", pool.display()))),
    };
    let names = |name: &str| options.arrays.iter().any(|ArraySpec { name: array, .. }| array == name);
    let embedding = if names("l14_img") { "l14_img" } else { "b32_img" };
    let images = if options.images {
        format!("images = {}", path("shards")?)
    } else {
        "# no images in this pool".into()
    };
    let text = TEMPLATE
        .replace("EMBEDDING", embedding)
        .replace(
            "SCORE",
            if embedding == "l14_img" { "clip_l14_similarity_score" } else { "clip_b32_similarity_score" },
        )
        .replace("CLUSTERS", &(options.rows / 200).clamp(1, 500).to_string())
        .replace("SHARDS", if options.images { "true" } else { "false" })
        // Paths come last: no word of theirs is taken for a blank to be filled.
        .replace("\"METADATA\"", &path("metadata")?)
        .replace("# IMAGES", &images);
    Recipe::parse(&text).map_err(|error| Error::bug(format!("the demo's recipe: {error}")))?;
    Ok(text)
}

fn say_next(settings: &Settings, folder: &Path, has_shards: bool) {
    let at = |name: &str| quote(&folder.join(name).display().to_string());
    let mut lines = vec![
        format!("open {} in a browser", folder.join("run/report.html").display()),
        format!(
            "change {} and: cribble run {} --out {}",
            folder.join("recipe.toml").display(),
            at("recipe.toml"),
            at("run")
        ),
        format!("cribble check {}", at("pool/metadata")),
        format!("cribble subset info {}", at("run/subset.npy")),
    ];
    if has_shards {
        let own = format!(
            "cribble reshard --input {} --subset {} --output {} --keys uid --allow-missing",
            at("pool/shards"),
            at("run/subset.npy"),
            at("curated")
        );
        lines.push(own);
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
            (default.clone(), "l14_img", 100),
            (PoolOptions { rows: 1, images: false, ..default }, "l14_img", 1),
            (PoolOptions::big(2_000_000), "b32_img", 500),
        ] {
            let recipe = Recipe::parse(&recipe(Path::new("it's \"here\""), &options).unwrap()).unwrap();
            assert_eq!(
                (recipe.input.images.is_some(), recipe.output.shards),
                (options.images, options.images)
            );
            let Some(StepOptions::Cluster(cluster)) =
                recipe.steps.iter().map(|step| &step.options).find(|options| options.kind() == "cluster")
            else {
                panic!("no cluster step")
            };
            assert_eq!((cluster.embedding.as_str(), cluster.k.as_slice()), (embedding, &[k][..]));
        }
    }
}
