//! `decide`: a person's word on a sample or a cluster, appended to `decisions.jsonl` of the run. It takes effect when the run's recipe is run
//! again: that is cheap, because only what depends on it is repeated, and no model is asked twice.
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use cribble_core::{Error, Result};
use cribble_outputs::card::day;
use cribble_pipeline::{Decided, Decision, Decisions, Place, RunFolder, StepState, read_column};
use serde_json::json;

use crate::{
    args::{DecideArgs, VerdictArg},
    interrupt::quote,
    settings::Settings,
};

/// Appends the decision.
pub fn run(settings: &Settings, args: &DecideArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let verdict = match args.verdict {
        VerdictArg::Keep => Decided::Keep,
        VerdictArg::Drop => Decided::Drop,
    };
    let user = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let mut decision = Decision {
        uid: None,
        cluster: args.cluster,
        clustering: None,
        verdict,
        why: args.why.clone(),
        when: rfc3339(SystemTime::now()),
        by: args.by.clone().or_else(user).unwrap_or_default(),
    };
    let what = match (&args.uid, args.cluster) {
        (Some(uid), _) => {
            let uid = Place::find(&run, uid)?.uid.to_string();
            decision.uid = Some(uid.clone());
            format!("sample {uid}")
        }
        (None, cluster) => {
            decision.clustering = Some(clustering(&run, cluster.unwrap_or_default())?);
            format!("cluster {}", cluster.unwrap_or_default())
        }
    };
    if settings.dry_run {
        settings.terminal.say(&format!("would write: {what} is {}", decision.reason()));
        return Ok(super::DONE);
    }
    Decisions::append(&args.run, &decision)?;
    if settings.json {
        settings.terminal.out_json("decide", json!({ "decision": decision }));
    }
    let path = args.run.display().to_string();
    settings.terminal.say(&format!(
        "{what} is {}; it counts once the recipe is run again: cribble run {} --out {}",
        decision.reason(),
        quote(&format!("{path}/recipe.toml")),
        quote(&path)
    ));
    Ok(super::DONE)
}

/// The hash of the run's last cluster step, once it is proven to have the cluster.
fn clustering(run: &RunFolder, cluster: u32) -> Result<String> {
    let steps = &run.manifest.steps;
    let found = steps.iter().rposition(|step| step.kind == "cluster" && step.state == StepState::Complete);
    let Some(index) = found else {
        return Err(Error::usage(format!("{} has no complete cluster step", run.path().display()))
            .with_hint("decide on samples with --uid"));
    };
    let later = &steps[index..];
    if !later.iter().any(|step| step.kind == "judge") {
        return Err(Error::usage(format!("no judge follows {}", steps[index].folder)).with_hint(
            "decisions on clusters override the verdicts of a judge step; add one to the recipe, or decide on samples with --uid",
        ));
    }
    let path = run.step_folder(index).join("clusters.parquet");
    let known = read_column(&path, "cluster")?;
    let known = known.as_primitive_opt::<Int32Type>().map_or(0, |known| known.len());
    if cluster as usize >= known {
        return Err(Error::usage(format!("there is no cluster {cluster}")).with_hint(format!(
            "{} has the clusters 0 to {}",
            steps[index].folder,
            known.saturating_sub(1)
        )));
    }
    Ok(steps[index].hash.clone())
}

/// A time as `2026-11-21T15:04:05Z` (RFC 3339, seconds).
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let rest = seconds % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", day(seconds), rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
