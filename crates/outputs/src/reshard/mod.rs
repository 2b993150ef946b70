//! From tars and a subset to new tars: every requested sample, as often as it is requested, its members byte for byte. First the headers of all
//! input tars are indexed, then the whole work is planned, then byte ranges are copied; images that are not wanted are never read, and nothing
//! is decoded. A plan is fixed before the first byte is written, which is what makes names and bytes the same for any number of threads
//! and lets a killed run go on shard by shard.
//!
//! Order: the samples come in the order of the input tars, copies of one sample side by side. Shards are cut at
//! [`ReshardOptions::shard_size`] samples, earlier only where [`ReshardOptions::max_shard_bytes`] would be exceeded.
//!
//! Keys. `original`: the key of the source; copy j > 0 gets `-{j}`. `uid`: `{uid}-{j}` for every copy, as DataComp's resharder names them. Should
//! an original key (or key of a copy) occur a second time in the whole output, that later sample gets `-{uid}` put behind its source key (and
//! `-{j}` for copies), so that no two samples share a key. Only then, and for `uid`, tar headers are rewritten.
//!
//! A uid that stands in several places of the input is taken from the first place (order of the tars, then of the samples); the other places
//! are counted and left alone. DataComp's resharder would write all of them.
//!
//! New captions ([`reshard_with_captions`]) change the `.json` members of the samples that have some, and their `.txt` members when asked. Everything
//! else is copied as ever.
//!
//! Output folder: `{:08d}.tar`, `{:08d}_stats.json`, `sizes.json`, `sample_ids.npy` (the subset as requested), `missing_uids.csv` (where samples are
//! missing), `reshard.json` (plan hash, counts, shards); while at work also `.reshard/` (index, plan, one marker a shard).
mod captions;
mod copy;
mod hash;
mod join;
mod members;
mod names;
mod open_clip;
mod options;
mod plan;
mod reconcile;
mod report;
mod run;
mod splice;
mod state;

pub use captions::{CaptionField, CaptionSource, CaptionWriter};
pub use members::CaptionCounts;
pub use open_clip::open_clip_flags;
pub use options::{KeyStyle, ReshardOptions, ShardFormat};
pub use report::{CaptionReport, ReshardReport, ShardReport, TarFault};
pub use run::{reshard, reshard_with_captions};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_captions;

use cribble_core::{Error, ErrorKind};
use cribble_io::IoError;

/// The error of a lower layer, with its hint.
fn input(error: IoError) -> Error {
    let hint = error.hint();
    let error = Error::wrap(ErrorKind::Input, error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
