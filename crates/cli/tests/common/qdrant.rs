//! Runs to push, servers to push to, and what a collection holds, as the official client reads it: nothing of our own client is used to check it.
#![allow(dead_code)]
use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use cribble_core::Uid;
use cribble_io::{Dataset, OpenOptions};
use cribble_qdrant::testing::{FakeOptions, FakeQdrant};
use qdrant_client::{
    Qdrant,
    qdrant::{
        CountPointsBuilder, PointId, ScrollPointsBuilder, point_id::PointIdOptions, value::Kind,
        vector_output, vectors_output::VectorsOptions,
    },
};
use serde_json::{Map, Value};

use crate::common::{Place, tables::step_tables};

/// Embeddings of the runs.
pub const VECTORS: [&str; 5] = ["demo_img", "demo_txt", "l14_img", "l14_txt", "short_txt"];
/// The step `rewrite` makes a second caption for nearly every sample.
pub const SHORT: &str = "text = \"text\"";
/// Another text, and none for about half of the samples.
pub const OTHER: &str = "text = \"url\"\nmax_chars = 49";

/// A recipe with every kind of field and vector: `short` says of what the second caption is made.
pub fn recipe(short: &str) -> String {
    format!(
        r#"
[input]
path = "pool/metadata"
images = "pool/shards"

[[step]]
kind = "filter"
where = "least(original_width, original_height) >= 200"

[[step]]
kind = "embed"
model = "builtin:demo-clip"
embedding = "demo"

[[step]]
kind = "rewrite"
column = "caption_short"
{short}

[[step]]
kind = "embed"
model = "builtin:demo-clip"
embedding = "short"
what = "text"
text = "caption_short"
score = "unused"

[[step]]
kind = "dedup"
embedding = "l14_img"
epsilon = 0.05
cells = 4

[[step]]
kind = "cluster"
embedding = "l14_img"
k = 3
iterations = 5

[[step]]
kind = "prune"
fraction = 0.6
"#
    )
}

/// A place with a finished run in `run`.
pub fn with_run(rows: u64) -> Place {
    let place = Place::with_pool(rows, true);
    run(&place, SHORT);
    place
}

/// Runs the recipe, again or for the first time.
pub fn run(place: &Place, short: &str) {
    place.write("recipe.toml", recipe(short));
    // Captions that are not there cannot be embedded, which is what some tests want.
    place.run(&["run", "recipe.toml", "--out", "run", "--max-error-rate", "1", "-q"], 0);
}

/// A server to test with.
pub struct Service {
    pub url: String,
    /// A name that no other test uses.
    pub collection: String,
    /// The test server, which may have Qdrant's embedded library behind it, and then a folder.
    fake: Option<FakeQdrant>,
    folder: Option<tempfile::TempDir>,
}

impl Service {
    /// The test server.
    pub fn fake(options: FakeOptions) -> Self {
        let fake = FakeQdrant::start(options).unwrap();
        Self { url: fake.url(), collection: "pool".into(), fake: Some(fake), folder: None }
    }

    /// The test server, its points kept by Qdrant's embedded library.
    #[cfg(feature = "qdrant-edge")]
    fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = FakeOptions { embedded: Some(folder.path().into()), ..FakeOptions::default() };
        let mut service = Self::fake(options);
        service.folder = Some(folder);
        service
    }

    /// What the test server lets itself be told.
    pub fn script(&self) -> &FakeQdrant {
        self.fake.as_ref().unwrap()
    }

    pub fn is_fake(&self) -> bool {
        self.fake.is_some() && self.folder.is_none()
    }

    /// Arguments that name it.
    pub fn words(&self) -> [&str; 4] {
        ["--url", &self.url, "--collection", &self.collection]
    }

    /// A push of `run`.
    #[track_caller]
    pub fn push(&self, place: &Place, more: &[&str], code: i32) -> Value {
        place.json(&[&["qdrant", "push", "run"], &self.words()[..], more].concat(), code)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.is_fake() {
            let (url, collection) = (self.url.clone(), self.collection.clone());
            let _ = block_on(async move { client(&url).delete_collection(collection).await });
        }
    }
}

/// The test server, the one that has Qdrant's library behind it where that is built, and a real one where CRIBBLE_QDRANT_URL says where it is.
pub fn services(test: &str) -> Vec<Service> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut services = vec![Service::fake(FakeOptions::default())];
    #[cfg(feature = "qdrant-edge")]
    services.push(Service::embedded());
    match std::env::var("CRIBBLE_QDRANT_URL") {
        Ok(url) => {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let collection = format!("cribble-test-{}-{number}-{test}", std::process::id());
            services.push(Service { url, collection, fake: None, folder: None });
        }
        // Not by `eprintln!`, which tests that pass keep to themselves.
        Err(_) => {
            let line = format!(
                "SKIPPED: {test} against a real Qdrant: set CRIBBLE_QDRANT_URL to one's address (gRPC)\n"
            );
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
    }
    services
}

/// The values that payloads have here.
fn json(value: qdrant_client::qdrant::Value) -> Value {
    match value.kind.unwrap() {
        Kind::BoolValue(value) => value.into(),
        Kind::IntegerValue(value) => value.into(),
        Kind::DoubleValue(value) => value.into(),
        Kind::StringValue(value) => value.into(),
        other => panic!("{other:?}"),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn client(url: &str) -> Qdrant {
    Qdrant::from_url(url).skip_compatibility_check().build().unwrap()
}

/// A point as the official client reads it, or as a run has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Without the hash, whose value is nobody's business.
    pub payload: Map<String, Value>,
    pub vectors: BTreeMap<String, Vec<f32>>,
}

/// The exact number of points of a collection.
pub fn count(service: &Service) -> u64 {
    let asked = CountPointsBuilder::new(&service.collection).exact(true);
    let answer = block_on(async { client(&service.url).count(asked).await });
    answer.map_or(0, |answer| answer.result.unwrap().count)
}

/// All points of a collection.
pub fn points(service: &Service) -> BTreeMap<Uid, Point> {
    let client = client(&service.url);
    let mut found = BTreeMap::new();
    let mut offset: Option<PointId> = None;
    loop {
        let mut asked =
            ScrollPointsBuilder::new(&service.collection).limit(100).with_payload(true).with_vectors(true);
        if let Some(offset) = offset {
            asked = asked.offset(offset);
        }
        let page = block_on(client.scroll(asked)).unwrap();
        for point in page.result {
            let Some(PointIdOptions::Uuid(uuid)) = point.id.unwrap().point_id_options else {
                panic!("a number as id")
            };
            let mut payload: Map<String, Value> =
                point.payload.into_iter().map(|(name, value)| (name, json(value))).collect();
            assert_eq!(payload.remove("content_hash").unwrap().as_str().unwrap().len(), 32);
            let vectors = match point.vectors.and_then(|vectors| vectors.vectors_options) {
                Some(VectorsOptions::Vectors(named)) => named.vectors,
                _ => HashMap::new(),
            };
            let vectors = vectors.into_iter().map(|(name, vector)| match vector.into_vector() {
                vector_output::Vector::Dense(dense) => (name, dense.data),
                other => panic!("{other:?}"),
            });
            let uid: Uid = uuid.replace('-', "").parse().unwrap();
            assert!(found.insert(uid, Point { payload, vectors: vectors.collect() }).is_none());
        }
        offset = page.next_page_offset;
        if offset.is_none() {
            return found;
        }
    }
}

/// What a run's points must be: its rows as `export` writes them, its vectors as its files have them.
pub fn expected(place: &Place, run: &str, name: &str) -> BTreeMap<Uid, Point> {
    let out = place.path("expected.jsonl");
    let _ = std::fs::remove_file(&out);
    place.run(&["export", run, "--format", "jsonl", "--all", "--out", "expected.jsonl", "-q"], 0);
    let vectors = vectors(place, run);
    let text = std::fs::read_to_string(out).unwrap();
    let rows = text.lines().map(|line| {
        let Value::Object(mut row) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        row.retain(|_, value| !value.is_null());
        let kept = row.remove("keep").unwrap();
        row.insert("kept".into(), kept);
        row.insert("run".into(), name.into());
        let uid: Uid = row["uid"].as_str().unwrap().parse().unwrap();
        (uid, Point { payload: row, vectors: vectors.get(&uid).cloned().unwrap_or_default() })
    });
    rows.collect()
}

/// The vectors of every sample, of unit length; those without a direction are left out.
fn vectors(place: &Place, run: &str) -> HashMap<Uid, BTreeMap<String, Vec<f32>>> {
    let mut found: HashMap<Uid, BTreeMap<String, Vec<f32>>> = HashMap::new();
    let mut add = |uid: Uid, name: &str, vector: &[f32]| {
        let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if length > 0.0 {
            let unit = vector.iter().map(|x| (f64::from(*x) / length) as f32).collect();
            found.entry(uid).or_default().insert(name.into(), unit);
        }
    };
    let dataset =
        Dataset::open(&OpenOptions::new(place.path("pool/metadata").to_str().unwrap().to_owned())).unwrap();
    for shard in dataset.shards() {
        let uids = dataset.uids(shard.index).unwrap();
        for array in dataset.arrays() {
            let mut values = vec![0.0; uids.len() * array.dim];
            dataset.open_array(shard.index, &array.name).unwrap().read_f32(0, &mut values).unwrap();
            for (uid, vector) in uids.iter().zip(values.chunks(array.dim)) {
                add(*uid, &array.name, vector);
            }
        }
    }
    let folder: &Path = &place.path(run);
    for table in step_tables(folder, "01-filter") {
        for name in ["demo_img", "demo_txt", "short_txt"] {
            for (uid, vector) in table.uids.iter().zip(table.vectors(folder, name).unwrap()) {
                add(*uid, name, &vector);
            }
        }
    }
    found
}

/// Compares points; vectors to the last few bits, because a server computes their length itself.
#[track_caller]
pub fn assert_points(found: &BTreeMap<Uid, Point>, expected: &BTreeMap<Uid, Point>) {
    let (a, b): (Vec<_>, Vec<_>) = (found.keys().collect(), expected.keys().collect());
    assert_eq!(a, b);
    for (uid, point) in found {
        let wanted = &expected[uid];
        // By value: the order of fields is no part of a payload.
        assert_eq!(Value::Object(point.payload.clone()), Value::Object(wanted.payload.clone()), "{uid}");
        let (a, b): (Vec<_>, Vec<_>) = (point.vectors.keys().collect(), wanted.vectors.keys().collect());
        assert_eq!(a, b, "{uid}");
        for (name, vector) in &point.vectors {
            let wanted: &Vec<f32> = &wanted.vectors[name];
            assert_eq!(vector.len(), wanted.len());
            let worst = vector.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{uid} {name}: {worst}");
        }
    }
}
