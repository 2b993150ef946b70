//! Groups of duplicates. What a sample duplicates may have been dropped itself, as the duplicate of a third one: from a random duplicate the
//! chain is followed up to the sample that was kept, and the group is what hangs on that chain. Other branches are not followed down, because
//! that would take a table of all duplicates.
use std::collections::{BTreeMap, BTreeSet};

use cribble_core::{DuplicateGroup, Result, Uid};
use cribble_pipeline::RunFolder;

use super::{
    Source,
    describe::{Group, Groups, describe, locate},
    draw::Place,
    plan::Plan,
    scan::Draws,
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
        let ends: BTreeSet<Uid> = chains.iter().filter_map(|chain| chain.nodes.last()).copied().collect();
        let (places, _) = locate(source.dataset, source.run, &ends, &[], source.cancel)?;
        let places: BTreeSet<Place> = places.into_values().collect();
        let (known, _) =
            describe(source.dataset, source.run, plan, &places, &BTreeSet::new(), source.cancel)?;
        let mut grew = false;
        for chain in &mut chains {
            let folder = &source.run.manifest.steps[plan.dedups[chain.step]].folder;
            let end = chain.nodes.last().and_then(|uid| known.get(&uid.to_string()));
            let dropped_here = end.filter(|sample| sample.dropped_by.as_ref() == Some(folder));
            let twin =
                dropped_here.and_then(|sample| Uid::parse(sample.duplicate_of.as_ref()?.as_bytes()).ok());
            if let Some(twin) = twin.filter(|twin| !chain.nodes.contains(twin)) {
                chain.nodes.push(twin);
                grew = true;
            }
        }
        if !grew {
            break;
        }
    }
    Ok(chains)
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
