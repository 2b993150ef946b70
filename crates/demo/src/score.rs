//! How much of what was planted a selection found. Twins are judged as groups at the step that dedups: which member survives is a
//! matter of taste (`keep = hard | easy`), so a twin counts as found when its group shrank by one on its account.
use crate::{CaptionKind, ImageKind, Truth};
use cribble_core::Uid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The score of one selection against the truth. Everything adds up: see each field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantedScore {
    /// Samples in the pool.
    pub rows: u64,
    /// Samples that no step dropped.
    pub kept: u64,
    /// One entry per kind of twin, of odd image and of wrong caption, in a fixed order; kinds that were not planted have zeros.
    pub kinds: Vec<KindScore>,
    /// The groups of an original and its twins.
    pub groups: GroupScore,
    /// What dedup dropped that no planted twin explains.
    pub false_positives: FalsePositives,
    /// What a judge of clusters dropped, against the planted junk captions; `None` where the run has no step of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeScore>,
}

/// How well the clusters that a judge dropped hold the planted junk (file names for captions). Precision is `junk` of `dropped`, recall
/// `junk` of `reached`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeScore {
    /// Planted junk captions that reached the judge.
    pub reached: u64,
    /// Samples that it dropped.
    pub dropped: u64,
    /// Of these, planted junk.
    pub junk: u64,
}

/// What became of one planted kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindScore {
    /// The word of `truth.parquet`: `byte_copy`, `tiny`, `wrong`, `file_name`, …
    pub kind: String,
    /// How many the pool holds.
    pub planted: u64,
    /// Twins: those that reached dedup after an earlier member of their group (the original, or a twin where a filter took the original).
    /// Others: as planted.
    pub reached: u64,
    /// Twins: those of `reached` that dedup removed, either the twin itself or another member in its place. Others: those dropped by any step.
    pub found: u64,
    /// Samples of this kind dropped, by step; the rest of `planted` is kept. Ordered by the steps' order.
    pub dropped_by: Vec<(String, u64)>,
}

/// What became of the groups (an original and its twins; at least two members). `reached` = `one_kept` + `several_kept` + `all_lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupScore {
    /// Groups in the pool.
    pub planted: u64,
    /// Groups of which at least two members reached dedup.
    pub reached: u64,
    /// Of those: exactly one member survived dedup, as it should.
    pub one_kept: u64,
    /// Of those: two or more survived, so duplicates were missed.
    pub several_kept: u64,
    /// Of those: none survived, so an image was lost (to a neighbour that is no twin, or by a chain).
    pub all_lost: u64,
    /// Of `one_kept`: groups whose survivor was dropped by a later step.
    pub lost_later: u64,
}

/// Samples that dedup dropped without a planted reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalsePositives {
    /// Samples outside every group that reached dedup: none of them has a twin.
    pub reached: u64,
    /// Of those: dropped by dedup. They are neighbours by embedding, not by pixels: a poor concept has many.
    pub dropped: u64,
}

/// One line for a table: what was planted and how much of it was found. All shares are of `planted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// What it is, in plain words: "byte copies", "wrong captions", …
    pub what: String,
    /// How many there are.
    pub planted: u64,
    /// How many of them reached the step that could find them.
    pub reached: u64,
    /// How many were found.
    pub found: u64,
    /// The step that dropped most of them, and how many; `None` where none was dropped.
    pub mostly: Option<(String, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Before,
    Dedup,
    After,
    Kept,
}

impl Truth {
    /// Scores a selection. `dropped_by` names the step that dropped a sample, or `None` where it was kept. Steps whose name contains
    /// `dedup` are the ones that look for twins; other steps count as before or after them by the order of their names, which is the
    /// recipe's order for `NN-kind` names. Where names carry no number use [`Truth::score_in_order`].
    pub fn score<'a>(&self, dropped_by: &dyn Fn(Uid) -> Option<&'a str>) -> PlantedScore {
        let mut steps: Vec<&str> = self.rows.iter().filter_map(|row| dropped_by(row.uid)).collect();
        steps.sort_unstable();
        steps.dedup();
        self.score_in_order(&steps, dropped_by)
    }

    /// Like [`Truth::score`], with the steps' names in the order in which they ran. A name outside the list counts as after dedup.
    pub fn score_in_order<'a>(
        &self,
        steps: &[&str],
        dropped_by: &dyn Fn(Uid) -> Option<&'a str>,
    ) -> PlantedScore {
        let first_dedup = steps.iter().position(|step| step.contains("dedup")).unwrap_or(steps.len());
        let place = |step: &str| steps.iter().position(|other| *other == step).unwrap_or(steps.len());
        let fates: Vec<(Fate, Option<&str>)> = self
            .rows
            .iter()
            .map(|row| match dropped_by(row.uid) {
                None => (Fate::Kept, None),
                Some(step) if step.contains("dedup") => (Fate::Dedup, Some(step)),
                Some(step) if place(step) < first_dedup => (Fate::Before, Some(step)),
                Some(step) => (Fate::After, Some(step)),
            })
            .collect();

        // Groups by row numbers: the original first, then its twins in row order.
        let row_of: HashMap<Uid, usize> =
            self.rows.iter().enumerate().map(|(row, truth)| (truth.uid, row)).collect();
        let mut groups = BTreeMap::<usize, Vec<usize>>::new();
        for (row, truth) in self.rows.iter().enumerate() {
            if let Some(original) = truth.twin_of.and_then(|uid| row_of.get(&uid)) {
                groups.entry(*original).or_insert_with(|| vec![*original]).push(row);
            }
        }

        let mut in_group = vec![false; self.rows.len()];
        let mut reached_twin = vec![false; self.rows.len()];
        let mut found_twin = vec![false; self.rows.len()];
        let mut score = GroupScore {
            planted: groups.len() as u64,
            reached: 0,
            one_kept: 0,
            several_kept: 0,
            all_lost: 0,
            lost_later: 0,
        };
        for members in groups.values() {
            members.iter().for_each(|&row| in_group[row] = true);
            let reached: Vec<usize> =
                members.iter().copied().filter(|&row| fates[row].0 != Fate::Before).collect();
            if reached.len() < 2 {
                continue;
            }
            score.reached += 1;
            let survivors: Vec<usize> =
                reached.iter().copied().filter(|&row| fates[row].0 != Fate::Dedup).collect();
            match survivors.as_slice() {
                [] => score.all_lost += 1,
                [only] => {
                    score.one_kept += 1;
                    score.lost_later += u64::from(fates[*only].0 == Fate::After);
                }
                _ => score.several_kept += 1,
            }
            // The first to arrive stands for the image (the original, unless a filter took it); every other member is surplus, found
            // if dedup dropped it. Where dedup dropped the first instead, the first survivor takes its place and counts as found: the
            // pair did shrink to one. So found = reached - survivors, summed over any group that keeps one.
            for &row in &reached[1..] {
                reached_twin[row] = true;
                let takes_its_place = survivors.first() == Some(&row) && fates[reached[0]].0 == Fate::Dedup;
                found_twin[row] = fates[row].0 == Fate::Dedup || takes_its_place;
            }
        }

        let kind_score = |kind: &str, is: &dyn Fn(usize) -> bool, twins: bool| {
            let rows: Vec<usize> = (0..self.rows.len()).filter(|&row| is(row)).collect();
            let mut dropped_by: Vec<(String, u64)> = Vec::new();
            for step in rows.iter().filter_map(|&row| fates[row].1) {
                match dropped_by.iter_mut().find(|(name, _)| name == step) {
                    Some((_, count)) => *count += 1,
                    None => dropped_by.push((step.to_owned(), 1)),
                }
            }
            dropped_by.sort_by(|a, b| (place(&a.0), &a.0).cmp(&(place(&b.0), &b.0)));
            let count = |of: &dyn Fn(usize) -> bool| rows.iter().filter(|&&row| of(row)).count() as u64;
            KindScore {
                kind: kind.to_owned(),
                planted: rows.len() as u64,
                reached: if twins { count(&|row| reached_twin[row]) } else { rows.len() as u64 },
                found: if twins {
                    count(&|row| found_twin[row])
                } else {
                    count(&|row| fates[row].0 != Fate::Kept)
                },
                dropped_by,
            }
        };
        let mut kinds: Vec<KindScore> = ImageKind::ALL
            .iter()
            .filter(|&&kind| kind != ImageKind::Original)
            .map(|&kind| kind_score(kind.as_str(), &|row| self.rows[row].kind == kind, kind.is_twin()))
            .collect();
        kinds.extend(
            [CaptionKind::Wrong, CaptionKind::FileName]
                .map(|kind| kind_score(kind.as_str(), &|row| self.rows[row].caption_kind == kind, false)),
        );

        let alone = |fate_is: &dyn Fn(Fate) -> bool| {
            (0..self.rows.len()).filter(|&row| !in_group[row] && fate_is(fates[row].0)).count() as u64
        };
        let junk = |row: usize| self.rows[row].caption_kind == CaptionKind::FileName;
        let judge = steps.iter().position(|step| step.contains("judge")).map(|judge| {
            let at = |row: usize| fates[row].1.map_or(usize::MAX, place);
            let count =
                |of: &dyn Fn(usize) -> bool| (0..self.rows.len()).filter(|&row| of(row)).count() as u64;
            JudgeScore {
                reached: count(&|row| junk(row) && at(row) >= judge),
                dropped: count(&|row| at(row) == judge),
                junk: count(&|row| junk(row) && at(row) == judge),
            }
        });
        PlantedScore {
            judge,
            rows: self.rows.len() as u64,
            kept: fates.iter().filter(|(fate, _)| *fate == Fate::Kept).count() as u64,
            kinds,
            groups: score,
            false_positives: FalsePositives {
                reached: alone(&|fate| fate != Fate::Before),
                dropped: alone(&|fate| fate == Fate::Dedup),
            },
        }
    }
}

impl PlantedScore {
    /// The score as lines of a table, kinds that were not planted left out.
    pub fn rows(&self) -> Vec<ScoreRow> {
        self.kinds
            .iter()
            .filter(|kind| kind.planted > 0)
            .map(|kind| ScoreRow {
                what: plain_words(&kind.kind).to_owned(),
                planted: kind.planted,
                reached: kind.reached,
                found: kind.found,
                // The first of the largest, so that ties are settled by the order of the steps.
                mostly: kind.dropped_by.iter().rev().max_by_key(|(_, count)| *count).cloned(),
            })
            .collect()
    }
}

fn plain_words(kind: &str) -> &str {
    match kind {
        "byte_copy" => "byte copies",
        "reencoded" => "re-encodings",
        "cropped" => "crops",
        "mirrored" => "mirrored twins",
        "brightened" => "brightened twins",
        "tiny" => "tiny images",
        "extreme_aspect" => "extreme aspect ratios",
        "wrong" => "wrong captions",
        "file_name" => "file-name captions",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Language, TruthRow};

    /// Rows by (uid, kind, twin of, caption); uid 0 means none.
    fn truth(rows: &[(u128, ImageKind, u128, CaptionKind)]) -> Truth {
        let rows = rows
            .iter()
            .map(|&(uid, kind, twin_of, caption_kind)| TruthRow {
                uid: Uid(uid),
                concept: "fish".into(),
                kind,
                twin_of: (twin_of > 0).then_some(Uid(twin_of)),
                caption_kind,
                language: Language::English,
                has_image: true,
            })
            .collect();
        Truth { rows }
    }

    fn pool() -> Truth {
        use CaptionKind::{FileName, Matched, Wrong};
        use ImageKind::{ByteCopy, Cropped, Original, Reencoded, Tiny};
        truth(&[
            (1, Original, 0, Matched),
            (2, ByteCopy, 1, Matched),
            (3, Cropped, 1, Matched),
            (4, Original, 0, Wrong),
            (5, Reencoded, 4, Matched),
            (6, Tiny, 0, Matched),
            (7, Original, 0, FileName),
            (8, Original, 0, Matched),
        ])
    }

    fn score(dropped: &[(u128, &'static str)]) -> PlantedScore {
        pool().score(&|uid| dropped.iter().find(|(other, _)| Uid(*other) == uid).map(|(_, step)| *step))
    }

    fn kind<'a>(score: &'a PlantedScore, name: &str) -> &'a KindScore {
        score.kinds.iter().find(|kind| kind.kind == name).unwrap()
    }

    #[test]
    fn nothing_dropped_means_nothing_found() {
        let score = score(&[]);
        assert_eq!((score.rows, score.kept), (8, 8));
        assert!(score.kinds.iter().all(|kind| kind.found == 0 && kind.dropped_by.is_empty()));
        let expected =
            GroupScore { planted: 2, reached: 2, one_kept: 0, several_kept: 2, all_lost: 0, lost_later: 0 };
        assert_eq!(score.groups, expected);
        assert_eq!(score.false_positives, FalsePositives { reached: 3, dropped: 0 });
        assert_eq!(score.rows().len(), 6);
    }

    #[test]
    fn twins_found_are_the_members_dropped_whoever_survives() {
        // Group 1 keeps its original; group 4 keeps the twin instead. Sample 8 is a false positive.
        let score =
            score(&[(2, "02-dedup"), (3, "02-dedup"), (4, "02-dedup"), (8, "02-dedup"), (6, "01-filter")]);
        for name in ["byte_copy", "cropped", "reencoded"] {
            assert_eq!((kind(&score, name).planted, kind(&score, name).found), (1, 1), "{name}");
        }
        assert_eq!(kind(&score, "reencoded").dropped_by, []);
        assert_eq!(score.groups.one_kept, 2);
        assert_eq!(score.false_positives, FalsePositives { reached: 2, dropped: 1 });
        assert_eq!(kind(&score, "tiny").dropped_by, [("01-filter".to_owned(), 1)]);
        assert_eq!(kind(&score, "wrong").found, 1);
    }

    #[test]
    fn steps_before_and_after_dedup_are_told_apart() {
        // Group 1: filtered original, two twins left, one of them dropped, the other pruned later. Group 4: only one arrives.
        let score =
            score(&[(1, "01-filter"), (2, "02-dedup"), (3, "04-prune"), (4, "01-filter"), (7, "04-prune")]);
        let expected =
            GroupScore { planted: 2, reached: 1, one_kept: 1, several_kept: 0, all_lost: 0, lost_later: 1 };
        assert_eq!(score.groups, expected);
        // The copy stands for the filtered original, the crop takes its place: one pair arrived, one was found.
        assert_eq!((kind(&score, "byte_copy").reached, kind(&score, "byte_copy").found), (0, 0));
        assert_eq!((kind(&score, "cropped").reached, kind(&score, "cropped").found), (1, 1));
        assert_eq!(kind(&score, "reencoded").reached, 0);
        assert_eq!(kind(&score, "file_name").dropped_by, [("04-prune".to_owned(), 1)]);
    }

    #[test]
    fn a_group_dropped_whole_is_lost() {
        let score = score(&[(4, "02-dedup"), (5, "02-dedup")]);
        assert_eq!((score.groups.all_lost, score.groups.several_kept), (1, 1));
        assert_eq!(score.groups.reached, 2);
    }

    #[test]
    fn named_steps_are_ordered_by_the_recipe() {
        let dropped = |uid: Uid| match uid.0 {
            1 => Some("language"),
            2 => Some("near-dedup"),
            _ => None,
        };
        let ordered = pool().score_in_order(&["language", "near-dedup", "prune"], &dropped);
        assert_eq!((ordered.groups.reached, ordered.groups.one_kept, ordered.groups.several_kept), (2, 1, 1));
        let text = serde_json::to_string(&ordered).unwrap();
        assert_eq!(serde_json::from_str::<PlantedScore>(&text).unwrap(), ordered);
    }

    #[test]
    fn a_judge_is_scored_by_the_junk_that_reached_it() {
        let steps = ["size", "judge", "dedup"];
        let dropped = |uid: Uid| match uid.0 {
            6 => Some("size"),
            7 | 8 => Some("judge"),
            _ => None,
        };
        let score = pool().score_in_order(&steps, &dropped);
        assert_eq!(score.judge, Some(JudgeScore { reached: 1, dropped: 2, junk: 1 }));
        let early = pool().score_in_order(&steps, &|uid| (uid.0 == 7).then_some("size"));
        assert_eq!(early.judge, Some(JudgeScore { reached: 0, dropped: 0, junk: 0 }));
        assert_eq!(score_without().judge, None);
    }

    fn score_without() -> PlantedScore {
        score(&[(1, "01-filter")])
    }

    #[test]
    fn an_empty_pool_scores_zero() {
        let score = Truth::default().score(&|_| None);
        assert_eq!((score.rows, score.kept, score.groups.planted), (0, 0, 0));
        assert!(score.rows().is_empty());
    }
}
