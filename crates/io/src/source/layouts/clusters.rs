//! SemDeDup's sorted clusters as the ids of an array: each `cluster_{c}.npy` says which rows of the array it holds, how they are called and how far
//! from the centroid they lie. Rows stay in the order of the array, so reading a shard goes through all cluster files and keeps its own.
use crate::{
    Batches, IoError, Location, Result, Storage,
    sorted_clusters::SortedClusters,
    source::{
        LayoutKind, OpenOptions,
        layouts::arrays,
        listing::Listing,
        part::{Found, Rows},
    },
    uids::stable_uid,
};
use arrow::{
    array::{ArrayRef, Float32Array, Int32Array, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::Uid;
use std::sync::Arc;

/// What clustering writes beside the cluster files, and what is no array of samples.
const SIDE_FILES: [&str; 3] = ["kmeans_centroids.npy", "nearest_cent.npy", "dist_to_cent.npy"];

/// Whether a file is called `cluster_{number}.npy`.
pub(in crate::source) fn is_cluster_file(file: &Location) -> bool {
    let name = file.file_name();
    let number = name.strip_prefix("cluster_").and_then(|rest| rest.strip_suffix(".npy"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// A folder that holds cluster files and the array that they were made from.
pub(in crate::source) fn open(
    storage: &Arc<dyn Storage>,
    listing: &Listing,
    options: &OpenOptions,
) -> Result<Found> {
    let is_array = |file: &&Location| {
        let name = file.file_name();
        let is_raw = arrays::RAW_EXTENSIONS.contains(&file.extension().as_str());
        !is_cluster_file(file)
            && !SIDE_FILES.contains(&name.as_str())
            && (file.extension() == "npy" || is_raw)
    };
    let candidates: Vec<Location> = listing.files.iter().filter(is_array).cloned().collect();
    if candidates.len() != 1 || options.ids.is_some() {
        return Err(IoError::OptionNeeded {
            path: listing.root.path().into(),
            what: format!("the one array that the clusters were made from ({} in this folder)", candidates.len()),
            hint: "give the array as the path and this folder as the ids (and dim, when the array is headerless)".into(),
        });
    }
    let with_ids =
        OpenOptions { ids: Some(listing.root.path().to_string_lossy().into_owned()), ..options.clone() };
    arrays::open(storage, listing, &candidates, &with_ids)
}

/// The cluster files, opened once to count their rows.
#[derive(Debug, Clone)]
pub(in crate::source) struct ClusterIds {
    clusters: Arc<SortedClusters>,
    folder: Location,
    rows: u64,
    /// Whether every name must be a uid.
    strict: bool,
}

impl ClusterIds {
    pub const KIND: LayoutKind = LayoutKind::SortedClusters;

    pub fn open(storage: &Arc<dyn Storage>, folder: &Location) -> Result<Self> {
        let clusters = SortedClusters::open(&**storage, folder)?;
        if !clusters.missing.is_empty() {
            let missing: Vec<String> = clusters.missing.iter().take(5).map(u32::to_string).collect();
            let found = format!("no files for {} clusters: {}", clusters.missing.len(), missing.join(", "));
            return Err(IoError::malformed(folder.path(), "sorted clusters", None, "every cluster", found)
                .with_hint("copy the folder whole"));
        }
        let (mut rows, mut strict) = (0, None);
        for position in 0..clusters.files.len() {
            let mut reader = clusters.read(&**storage, position)?;
            rows += reader.len();
            if strict.is_none() {
                strict = reader.next().transpose()?.map(|row| Uid::parse(row.name.as_bytes()).is_ok());
            }
        }
        Ok(Self {
            clusters: Arc::new(clusters),
            folder: folder.clone(),
            rows,
            strict: strict.unwrap_or(false),
        })
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn files(&self) -> Vec<Location> {
        self.clusters.files.iter().map(|(_, location)| location.clone()).collect()
    }

    pub fn part(&self, storage: &Arc<dyn Storage>, source: &str, first: u64, count: u64) -> Box<dyn Rows> {
        Box::new(ClusterRows {
            storage: storage.clone(),
            ids: self.clone(),
            source: source.into(),
            first,
            count,
        })
    }
}

struct ClusterRows {
    storage: Arc<dyn Storage>,
    ids: ClusterIds,
    source: String,
    first: u64,
    count: u64,
}

/// What the cluster files say about a row.
struct Member {
    name: String,
    cluster: i32,
    dist: f32,
}

impl ClusterRows {
    /// The members of this shard, each exactly once.
    fn members(&self) -> Result<Vec<Member>> {
        let mut members: Vec<Option<Member>> = Vec::new();
        members.resize_with(self.count as usize, || None);
        for (position, (cluster, location)) in self.ids.clusters.files.iter().enumerate() {
            for (line, row) in (0..).zip(self.ids.clusters.read(&*self.storage, position)?) {
                let row = row?;
                let bad = |found: String| IoError::BadRow {
                    path: location.path().into(),
                    row: line,
                    expected: format!("each row below {} once", self.ids.rows),
                    found,
                };
                if row.row >= self.ids.rows {
                    return Err(bad(format!("row {}", row.row)));
                }
                let Some(place) = row.row.checked_sub(self.first).and_then(|at| members.get_mut(at as usize))
                else {
                    continue;
                };
                let cluster = i32::try_from(*cluster).map_err(|_| bad(format!("cluster {cluster}")))?;
                if place.replace(Member { name: row.name, cluster, dist: row.dist }).is_some() {
                    return Err(bad(format!("row {} again", row.row)));
                }
            }
        }
        // As many rows as the array has, none twice: a hole means one twice in another shard, which says so, or a changed folder.
        let hole = members.iter().position(Option::is_none);
        match hole {
            Some(at) => Err(IoError::malformed(
                self.ids.folder.path(),
                "sorted clusters",
                None,
                "every row of the array in one cluster",
                format!("row {} in none", self.first + at as u64),
            )),
            None => Ok(members.into_iter().flatten().collect()),
        }
    }
}

impl Rows for ClusterRows {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(if self.ids.strict { "uid" } else { "key" }, DataType::Utf8, true),
            Field::new("cluster", DataType::Int32, true),
            Field::new("centroid_dist", DataType::Float32, true),
        ]))
    }

    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches> {
        let all = self.schema();
        let fields: Vec<Field> =
            columns.iter().filter_map(|name| all.field_with_name(name).ok().cloned()).collect();
        let schema = Arc::new(Schema::new(fields));
        let members = self.members()?;
        let path = self.ids.folder.path().to_path_buf();
        let mut next = 0;
        Ok(Box::new(std::iter::from_fn(move || {
            let here = members
                .get(next..members.len().min(next + batch_rows.max(1)))
                .filter(|here| !here.is_empty())?;
            next += here.len();
            let column = |field: &Arc<Field>| -> ArrayRef {
                match field.data_type() {
                    DataType::Int32 => Arc::new(here.iter().map(|m| Some(m.cluster)).collect::<Int32Array>()),
                    DataType::Float32 => {
                        Arc::new(here.iter().map(|m| Some(m.dist)).collect::<Float32Array>())
                    }
                    _ => Arc::new(here.iter().map(|m| Some(m.name.as_str())).collect::<StringArray>()),
                }
            };
            let columns = schema.fields().iter().map(column).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(here.len()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
            Some(batch.map_err(|source| IoError::Arrow { path: path.clone(), source }))
        })))
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        let uid = |(row, member): (u64, &Member)| {
            if !self.ids.strict {
                return Ok(stable_uid(&self.source, &member.name));
            }
            let path = self.ids.folder.path();
            Uid::parse(member.name.as_bytes()).map_err(|source| IoError::BadUid {
                path: path.into(),
                row,
                source,
            })
        };
        (self.first..).zip(&self.members()?).map(uid).collect()
    }
}
