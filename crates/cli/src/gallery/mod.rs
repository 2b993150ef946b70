//! The samples that the page of a run shows, drawn by seed from the whole run: [`gather`] goes through the tables twice, once to draw and once
//! to describe what was drawn, and reads no image that is not shown. What it finds is `gallery.json`, from which the page can be made again.
mod describe;
mod draw;
mod groups;
mod pictures;
mod plan;
mod scan;
mod site;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cribble_core::{
    Cancel, ClusterCard, Details, Error, ErrorKind, Gallery, Recipe, Result, RunReport, ScoreEnds, Strip, Uid,
};
use cribble_io::Dataset;
use cribble_pipeline::RunFolder;

use draw::{Place, SEED};
use plan::Plan;
use scan::Draws;

pub use site::write_site;

/// The file in the run folder.
pub const FILE: &str = "gallery.json";
const SCHEMA: u32 = 1;
/// Bytes of all thumbnails as they stand in the page.
const PICTURE_BYTES: usize = 14 << 20;
/// Captions shown of one step.
const CAPTIONS: usize = 30;

/// What it is gathered from. The selection must have been written.
pub struct Source<'a> {
    pub dataset: &'a Dataset,
    pub run: &'a RunFolder,
    pub recipe: &'a Recipe,
    pub report: &'a RunReport,
    pub cancel: &'a Cancel,
}

/// Draws the samples and describes them.
pub fn gather(source: &Source<'_>) -> Result<Gallery> {
    let Source { dataset, run, cancel, .. } = *source;
    let plan = Plan::new(dataset, run, source.recipe, source.report)?;
    let draws = scan::scan(dataset, run, &plan, cancel)?;
    let mut places = drawn(&draws);
    let compared: BTreeSet<Place> = draws.captioned.iter().map(|((_, _, place), ())| *place).collect();
    places.extend(&compared);
    let (mut samples, changes) = describe::describe(dataset, run, &plan, &places, &compared, cancel)?;
    let chains = groups::chains(source, &plan, &draws)?;
    // The twins of what was drawn are shown too, once it is known where they are.
    let twin_of =
        |sample: &cribble_core::GallerySample| Uid::parse(sample.duplicate_of.as_ref()?.as_bytes()).ok();
    let mut wanted: BTreeSet<Uid> = samples.values().filter_map(twin_of).collect();
    wanted.extend(chains.iter().flat_map(|chain| &chain.nodes));
    let (found, groups) = describe::locate(dataset, run, &wanted, &groups::nodes(&plan, &chains), cancel)?;
    let mut further: BTreeSet<Place> = found.into_values().collect();
    let groups = groups::merge(run, &plan, chains, groups, &mut further);
    let (more, _) = describe::describe(dataset, run, &plan, &further, &BTreeSet::new(), cancel)?;
    samples.extend(more);
    places.extend(further);

    let mut gallery = Gallery {
        schema_version: SCHEMA,
        seed: SEED,
        strips: strips(source.report, &draws),
        clusters: clusters(source, &plan, &draws),
        clusters_in_all: clusters_in_all(source, &plan),
        groups,
        captions: changes,
        scores: scores(&plan, &draws),
        ..Gallery::default()
    };
    few_captions(&mut gallery);
    let shown = in_turns(&gallery, &samples);
    let names: BTreeSet<&String> = shown.iter().collect();
    samples.retain(|uid, _| names.contains(uid));
    places.retain(|place| samples.contains_key(&place.uid.to_string()));
    let (thumbnails, notes) =
        pictures::each(dataset, run, &places, cancel, |_, bytes| pictures::thumbnail(bytes))?;
    let mut room = PICTURE_BYTES;
    for uid in &shown {
        let Some(url) = Uid::parse(uid.as_bytes()).ok().and_then(|uid| thumbnails.get(&uid)) else {
            continue;
        };
        if let Some(sample) = samples.get_mut(uid)
            && sample.image.is_none()
            && url.len() <= room
        {
            room -= url.len();
            sample.image = Some(url.clone());
        }
    }
    gallery.samples = samples;
    gallery.notes = notes;
    Ok(gallery)
}

/// Reads the gallery of a run; `None` when there is none.
pub fn read(run: &Path) -> Result<Option<Gallery>> {
    let path = run.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(path.display())),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        Error::input(format!("{}: no gallery: {error}", path.display()))
            .with_hint("delete it and run the recipe again with the same --out: it is written anew")
    })
}

/// Writes it into the run.
pub fn write(run: &Path, gallery: &Gallery) -> Result<()> {
    let mut text = serde_json::to_vec(gallery).map_err(|error| Error::bug(error.to_string()))?;
    text.push(b'\n');
    Ok(cribble_io::write_file(&run.join(FILE), &text)?)
}

/// Everything that was drawn but captions to compare, which some steps do not have.
fn drawn(draws: &Draws) -> BTreeSet<Place> {
    let fates = draws.fates.values().flat_map(|draw| draw.iter().map(|((_, place), ())| *place));
    let ends = draws.clusters.values().flat_map(|draw| [&draw.nearest, &draw.farthest]);
    let ends = ends.chain([&draws.lowest, &draws.highest]);
    fates.chain(ends.flat_map(|draw| draw.iter().map(|((_, place), _)| *place))).collect()
}

fn strips(report: &RunReport, draws: &Draws) -> Vec<Strip> {
    let place_of = |name: &Option<String>| match name {
        None => usize::MAX,
        Some(name) => report.steps.iter().position(|step| step.step == *name).unwrap_or(report.steps.len()),
    };
    let rows_of = |step: Option<&str>, reason: Option<&str>| match (step, reason) {
        (None, _) => report.selection.kept,
        (Some(name), None) => report.selection.dropped_by.get(name).copied().unwrap_or(0),
        (Some(name), Some(reason)) => {
            let counts = report.steps.iter().find(|step| step.step == name).map(|step| &step.counts);
            counts
                .and_then(|of| of.dropped.get(reason).or_else(|| of.errors.get(reason)))
                .copied()
                .unwrap_or(0)
        }
    };
    let mut strips: Vec<Strip> = Vec::new();
    for ((step, reason), draw) in &draws.fates {
        let uids: Vec<String> = draw.iter().map(|((_, place), ())| place.uid.to_string()).collect();
        if !uids.is_empty() {
            strips.push(Strip {
                rows: rows_of(step.as_deref(), reason.as_deref()),
                step: step.as_deref().map(str::to_owned),
                reason: reason.as_deref().map(str::to_owned),
                uids,
            });
        }
    }
    strips.sort_by(|a, b| place_of(&a.step).cmp(&place_of(&b.step)).then(b.rows.cmp(&a.rows)));
    strips
}

fn clusters_in_all(source: &Source<'_>, plan: &Plan) -> u64 {
    let step = plan.clustering.as_ref().and_then(|(step, _)| source.report.steps.get(*step));
    match step.map(|step| &step.details) {
        Some(Details::Cluster(details)) => details.clusters.len() as u64,
        _ => 0,
    }
}

/// The clusters in the order of the plan, with what judge and pruning said of them.
fn clusters(source: &Source<'_>, plan: &Plan, draws: &Draws) -> Vec<ClusterCard> {
    let Some((step, numbers)) = &plan.clustering else { return Vec::new() };
    let steps = &source.report.steps;
    let Some(Details::Cluster(figures)) = steps.get(*step).map(|step| &step.details) else {
        return Vec::new();
    };
    let after = || steps.iter().skip(*step);
    let verdicts = after().find_map(|step| match &step.details {
        Details::Judge(details) => Some(&details.verdicts),
        _ => None,
    });
    let quotas = after().find_map(|step| match &step.details {
        Details::Prune(details) if details.quotas.len() == figures.clusters.len() => Some(&details.quotas),
        _ => None,
    });
    let ends = |draw: &draw::Lowest<(u32, Place), f32>| {
        draw.iter().map(|((_, place), sim)| (place.uid.to_string(), *sim)).collect::<Vec<_>>()
    };
    let card = |&cluster: &u32| {
        let draw = draws.clusters.get(&cluster)?;
        let nearest = ends(&draw.nearest);
        // In a small cluster the same few would stand at both ends.
        let farthest = ends(&draw.farthest)
            .into_iter()
            .filter(|(uid, _)| nearest.iter().all(|(near, _)| near != uid))
            .collect();
        let mut card = ClusterCard {
            step: steps[*step].step.clone(),
            cluster,
            size: figures.clusters.get(cluster as usize)?.size,
            kept: draw.kept,
            quota: quotas.map(|quotas| quotas[cluster as usize].quota),
            nearest,
            farthest,
            ..ClusterCard::default()
        };
        if let Some(said) = verdicts.and_then(|all| all.iter().find(|said| said.cluster == cluster)) {
            card.title.clone_from(&said.title);
            card.category.clone_from(&said.category);
            card.verdict.clone_from(&said.verdict);
            card.reason.clone_from(&said.reason);
            card.keep = Some(said.keep);
        }
        Some(card)
    };
    numbers.iter().filter_map(card).collect()
}

fn scores(plan: &Plan, draws: &Draws) -> Vec<ScoreEnds> {
    let ends = |draw: &draw::Lowest<(u32, Place), f32>| {
        draw.iter().map(|((_, place), score)| (place.uid.to_string(), *score)).collect::<Vec<_>>()
    };
    let column = plan.score.iter().filter(|_| draws.scored > 0);
    column
        .map(|column| ScoreEnds {
            column: column.name.clone(),
            rows: draws.scored,
            lowest: ends(&draws.lowest),
            highest: ends(&draws.highest),
        })
        .collect()
}

/// As many captions of each step as are shown, those that differ first, in an order that does not follow the input.
fn few_captions(gallery: &mut Gallery) {
    gallery.captions.sort_by_key(|change| {
        let random = Uid::parse(change.uid.as_bytes()).map_or(0, |uid| uid.mix(SEED));
        (change.step.clone(), change.before == change.after, random, change.uid.clone())
    });
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    gallery.captions.retain(|change| {
        let so_far = shown.entry(change.step.clone()).or_default();
        *so_far += 1;
        *so_far <= CAPTIONS
    });
}

/// The samples that are shown, the first of each list before the second of any: whoever comes late may go without a picture.
fn in_turns(gallery: &Gallery, samples: &BTreeMap<String, cribble_core::GallerySample>) -> Vec<String> {
    let mut lists: Vec<Vec<&String>> = Vec::new();
    for strip in &gallery.strips {
        let twin = |uid: &String| samples.get(uid).and_then(|sample| sample.duplicate_of.as_ref());
        lists.push(strip.uids.iter().flat_map(|uid| std::iter::once(uid).chain(twin(uid))).collect());
    }
    for card in &gallery.clusters {
        lists.push(card.nearest.iter().map(|(uid, _)| uid).collect());
        lists.push(card.farthest.iter().map(|(uid, _)| uid).collect());
    }
    for group in &gallery.groups {
        lists.push(std::iter::once(&group.leader).chain(group.members.iter().map(|(uid, _)| uid)).collect());
    }
    for ends in &gallery.scores {
        lists.push(ends.lowest.iter().map(|(uid, _)| uid).collect());
        lists.push(ends.highest.iter().map(|(uid, _)| uid).collect());
    }
    // Captions come one by one: each is a list of its own, of which only the first turn has one.
    let captions: Vec<&String> = gallery.captions.iter().map(|change| &change.uid).collect();
    lists.extend(captions.chunks(CAPTIONS.div_ceil(4)).map(<[&String]>::to_vec));
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for turn in 0..longest {
        for uid in lists.iter().filter_map(|list| list.get(turn)) {
            if seen.insert(*uid) {
                order.push((*uid).clone());
            }
        }
    }
    order
}
