//! Groups of duplicates. What a sample duplicates may have been dropped itself, as the duplicate of a third one: from a random duplicate the
//! chain is followed up to the sample that was kept, and the group is what hangs on that chain. Other branches are not followed down, because
//! that would take a table of all duplicates.
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray};
use cribble_core::{DuplicateGroup, Result, Uid};
use cribble_pipeline::{RunFolder, read_column};
use rayon::prelude::*;

use super::{
    Source,
    describe::{Group, Groups},
    draw::Place,
    plan::{Plan, table},
    scan::{Draws, uid_at},
};

/// Groups shown of one step.
const GROUPS: usize = 24;
/// Links that are followed. Chains of scans are short; one that is longer is shown from there on.
const LONGEST: usize = 12;

/// The samples from a random duplicate's twin upwards; the last one stands for the group.
pub struct Chain {
    /// Place of the step among the plan's.
    step: usize,
    pub nodes: Vec<Uid>,
}

/// Follows the duplicates that were drawn, of each step as many as make the number of groups that is shown.
pub fn chains(source: &Source<'_>, plan: &Plan, draws: &Draws) -> Result<Vec<Chain>> {
    let mut chains = Vec::new();
    for (step, draw) in draws.duplicates.iter().enumerate() {
        let mut twins = Vec::new();
        for (_, &twin) in draw.iter() {
            if !twins.contains(&twin) && twins.len() < GROUPS {
                twins.push(twin);
            }
        }
        chains.extend(twins.into_iter().map(|twin| Chain { step, nodes: vec![twin] }));
    }
    for _ in 0..LONGEST {
        let mut grew = false;
        for (step, &dedup) in plan.dedups.iter().enumerate() {
            let of_step = || chains.iter().filter(|chain| chain.step == step);
            let ends: BTreeSet<Uid> = of_step().filter_map(|chain| chain.nodes.last()).copied().collect();
            let twins = dropped_for(source, dedup, &ends)?;
            for chain in chains.iter_mut().filter(|chain| chain.step == step) {
                let twin = chain.nodes.last().and_then(|end| twins.get(end));
                if let Some(&twin) = twin.filter(|twin| !chain.nodes.contains(twin)) {
                    chain.nodes.push(twin);
                    grew = true;
                }
            }
        }
        if !grew {
            break;
        }
    }
    Ok(chains)
}

/// What these samples were dropped for by a step; nothing for those that it kept.
fn dropped_for(source: &Source<'_>, step: usize, uids: &BTreeSet<Uid>) -> Result<BTreeMap<Uid, Uid>> {
    let in_shard = |name: &str| -> Result<BTreeMap<Uid, Uid>> {
        source.cancel.check()?;
        let path = table(source.run, step, name);
        let own = read_column(&path, "uid")?;
        let found: Vec<(usize, Uid)> = (0..own.len())
            .filter_map(|row| Some((row, uid_at(&own, row).filter(|uid| uids.contains(uid))?)))
            .collect();
        if found.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (keep, twins) = (read_column(&path, "keep")?, read_column(&path, "duplicate_of")?);
        let is_dropped =
            |row: usize| keep.as_boolean_opt().is_some_and(|keep| keep.is_valid(row) && !keep.value(row));
        Ok(found
            .into_iter()
            .filter(|(row, _)| is_dropped(*row))
            .filter_map(|(row, uid)| Some((uid, uid_at(&twins, row)?)))
            .collect())
    };
    let merge = |mut a: BTreeMap<Uid, Uid>, b| {
        a.extend(b);
        Ok(a)
    };
    source.dataset.shards().par_iter().map(|shard| in_shard(&shard.name)).try_reduce(BTreeMap::new, merge)
}

/// All samples of the chains of each step: whatever was dropped for one of them belongs to the group.
pub fn nodes(plan: &Plan, chains: &[Chain]) -> Vec<(usize, BTreeSet<Uid>)> {
    let of_step = |place: usize| chains.iter().filter(move |chain| chain.step == place);
    let nodes = |place| of_step(place).flat_map(|chain| chain.nodes.iter().copied()).collect();
    plan.dedups.iter().enumerate().map(|(place, &step)| (step, nodes(place))).collect()
}

/// One group for each sample that stands for one, the largest first; adds the places of their members.
pub fn merge(
    run: &RunFolder,
    plan: &Plan,
    chains: Vec<Chain>,
    mut found: Groups,
    places: &mut BTreeSet<Place>,
) -> Vec<DuplicateGroup> {
    let mut groups: BTreeMap<(usize, Uid), Group> = BTreeMap::new();
    for chain in chains {
        let Some(&leader) = chain.nodes.last() else { continue };
        let group = groups.entry((chain.step, leader)).or_default();
        for node in chain.nodes {
            // Chains that meet share the nodes above: each is counted once.
            if let Some(part) = found[chain.step].remove(&node) {
                group.dropped += part.dropped;
                group.members.merge(part.members);
            }
        }
    }
    let mut shown: Vec<(usize, DuplicateGroup)> = Vec::new();
    for ((step, leader), group) in groups {
        places.extend(group.members.iter().map(|((_, place), _)| *place));
        let members = group.members.iter().map(|((_, place), sim)| (place.uid.to_string(), *sim)).collect();
        let folder = run.manifest.steps[plan.dedups[step]].folder.clone();
        shown.push((
            step,
            DuplicateGroup { step: folder, leader: leader.to_string(), dropped: group.dropped, members },
        ));
    }
    shown.sort_by(|(a, one), (b, two)| {
        a.cmp(b).then(two.dropped.cmp(&one.dropped)).then_with(|| one.leader.cmp(&two.leader))
    });
    shown.into_iter().map(|(_, group)| group).collect()
}
