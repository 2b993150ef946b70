//! The two files that `embedding-atlas map.parquet --x x --y y --text text --neighbors neighbors --labels labels.parquet` shows: one row a sample with its place on the
//! plane, and a text for each cluster. What the map can and cannot say stands in [`cribble_math::layout`].
mod labels;
mod neighbors;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, RecordBatch, StringArray},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Field, Float32Type, Int32Type, Schema, SchemaRef},
};
use cribble_core::{Error, Result, StepOptions, Uid};
use cribble_io::{SourceFile, StagedFolder, TableWriter, npy::NpyFile, uid_texts};
use cribble_math::{
    KMeansOptions, RowState, SliceRows, kmeans,
    layout::{Map, Tsne},
    nearest::FinderBuffers,
};
use cribble_pipeline::{
    RunEmbedding, RunView, Selection, StepContext, StepState,
    vectors::{Tile, for_tiles, math_error},
};
use serde::Serialize;

use self::labels::Labels;
use crate::{RunRows, columns::StepColumn, run_rows::caption_column};

/// Most centroids that are laid out; of more the middles of groups are. The layout takes O(k²).
const MOST_PLACES: usize = 4096;
/// Columns that are written under other names.
const TITLE: &str = "cluster_title";

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct AtlasExport {
    /// The folder with `map.parquet` and `labels.parquet`.
    pub folder: PathBuf,
    /// Rows of the map.
    pub rows: u64,
    /// Samples that are not on it, because they have no vector.
    pub without: u64,
    /// The step whose clusters are laid out.
    pub step: String,
    /// The embedding that places and neighbours are from.
    pub embedding: String,
    /// Labels.
    pub labels: u64,
    /// Nearest rows that each row names, exact; `None` where there are too many rows for it.
    pub neighbors: Option<usize>,
    /// Columns of the map.
    pub columns: Vec<String>,
}

/// Writes the kept samples (with `all` every sample) that have a vector, in the order of the input, placed by the centroids of the last cluster step. Memory is
/// bounded by a shard, a layout of 64 MiB, and 20,000 rows for the neighbours. The folder appears when it is whole.
///
/// # Errors
/// The run is not finished, has no cluster step (of `embedding`, where that is given), or files of it are missing; `out` is not empty.
pub fn embedding_atlas(
    view: &RunView,
    context: &StepContext<'_>,
    out: &Path,
    embedding: Option<&str>,
    all: bool,
) -> Result<AtlasExport> {
    let clusters = Clusters::find(view, embedding)?;
    let table = Table::open(view, &clusters, all)?;
    let labels = labels::gather(context, &table)?;
    let neighbors = neighbors::find(context, &table)?;
    let centroids = anchors(context, &clusters)?;
    context.progress.begin("layout", Tsne::default().iterations as u64, "passes");
    let each = |_| {
        context.progress.advance(1);
        if context.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let dim = clusters.embedding.embedding.info.dim;
    let map = Map::new(&centroids, dim, &Tsne::default(), &each).ok_or_else(Error::interrupted)?;
    context.progress.end();
    let staged = StagedFolder::create(out)?;
    let report = write(context, &table, &map, labels, neighbors, staged.path())?;
    staged.commit()?;
    Ok(AtlasExport { folder: out.into(), ..report })
}

/// The cluster step that is shown.
struct Clusters {
    name: String,
    folder: PathBuf,
    embedding: RunEmbedding,
}

impl Clusters {
    fn find(view: &RunView, embedding: Option<&str>) -> Result<Self> {
        let steps = view.run.manifest.steps.iter().zip(&view.recipe.steps).enumerate().rev();
        for (index, (step, spec)) in steps {
            if let StepOptions::Cluster(options) = &spec.options
                && step.state == StepState::Complete
                && embedding.is_none_or(|name| name == options.embedding)
            {
                return Ok(Self {
                    name: step.folder.clone(),
                    folder: view.run.step_folder(index),
                    embedding: view.embedding(&options.embedding)?,
                });
            }
        }
        let of = embedding.map(|name| format!(" of '{name}'")).unwrap_or_default();
        let place = view.run.path().display();
        Err(Error::usage(format!(
            "{place} has no complete cluster step{of}, and a map is drawn from clusters"
        ))
        .with_hint("put a step with kind = \"cluster\" into the recipe and run it again with the same --out"))
    }
}

/// The centroids that are laid out: all, or the middles of groups of them.
fn anchors(context: &StepContext<'_>, clusters: &Clusters) -> Result<Vec<f32>> {
    let file = NpyFile::open(SourceFile::open_local(clusters.folder.join("centroids.npy"))?)?;
    let (centroids, dim) = (file.read_all::<f32>()?, clusters.embedding.embedding.info.dim);
    if centroids.is_empty() || file.width() != dim as u64 {
        return Err(Error::input(format!(
            "{}: [{}, {}], expected at least one centroid of {dim} numbers",
            file.file().path().display(),
            file.rows(),
            file.width()
        ))
        .with_hint("delete the step's folder and run the recipe again with the same --out"));
    }
    if centroids.len() / dim <= MOST_PLACES {
        return Ok(centroids);
    }
    let mut options = KMeansOptions::new(MOST_PLACES);
    options.memory_bytes = (context.memory / 2) as usize;
    let cancel = |_: &_| {
        if context.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let trained = kmeans::train(&SliceRows::new(&centroids, dim), &options, &cancel);
    context.cancel.check()?;
    Ok(trained.map_err(math_error)?.centroids)
}

/// The rows as they are written, but for their places.
struct Table<'a> {
    view: &'a RunView,
    clusters: &'a Clusters,
    rows: RunRows<'a>,
    all: bool,
    caption: Option<&'static str>,
    /// Columns of [`RunRows`] that go into the map as they are.
    rest: Vec<usize>,
}

/// What is known of a shard's rows.
struct Part {
    uids: Vec<Uid>,
    selection: Vec<Selection>,
    columns: RecordBatch,
    /// Which rows are to be on the map, if they have a vector.
    wanted: Vec<bool>,
    cluster: ArrayRef,
    similarity: ArrayRef,
}

impl<'a> Table<'a> {
    fn open(view: &'a RunView, clusters: &'a Clusters, all: bool) -> Result<Self> {
        let rows = RunRows::open(&view.run, &view.dataset, &[])?;
        let caption = caption_column(&view.dataset);
        let names = rows.schema().fields().iter().map(|field| field.name().as_str()).enumerate();
        let is_taken = |name: &str| {
            let own =
                ["uid", "text", "x", "y", "kept", "dropped_by", "reason", "cluster", "title", "neighbors"];
            own.contains(&name) || name == TITLE || name == "centroid_sim" || Some(name) == caption
        };
        let rest = names.filter(|(_, name)| !is_taken(name)).map(|(at, _)| at).collect();
        Ok(Self { view, clusters, rows, all, caption, rest })
    }

    fn read(&self, shard: u32) -> Result<Part> {
        let crate::ShardRows { uids, selection, columns } = self.rows.read(shard)?;
        let wanted = selection.iter().map(|row| self.all || row.keep).collect();
        let name = &self.view.dataset.shards()[shard as usize].name;
        let own = |column: &str, kind| {
            let field = Field::new(column, kind, true);
            StepColumn { folder: self.clusters.folder.clone(), field }.read(name, &uids)
        };
        let (cluster, similarity) =
            (own("cluster", DataType::Int32)?, own("centroid_sim", DataType::Float32)?);
        if cluster.as_primitive_opt::<Int32Type>().is_none()
            || similarity.as_primitive_opt::<Float32Type>().is_none()
        {
            return Err(Error::input(format!(
                "shard {name} of {}: cluster and centroid_sim are not i32 and f32",
                self.clusters.name
            )));
        }
        Ok(Part { uids, selection, columns, wanted, cluster, similarity })
    }

    fn captions(&self, part: &Part) -> Result<Option<ArrayRef>> {
        let Some(column) = self.caption.and_then(|name| part.columns.column_by_name(name)) else {
            return Ok(None);
        };
        let text = cast(column, &DataType::Utf8);
        Ok(Some(text.map_err(|error| Error::input(format!("the captions are no text: {error}")))?))
    }

    fn schema(&self, with_neighbors: bool) -> SchemaRef {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let mut fields = vec![text("uid", false)];
        fields.extend(self.caption.map(|_| text("text", true)));
        fields.extend(["x", "y"].map(|name| Field::new(name, DataType::Float32, false)));
        if self.all {
            fields.push(Field::new("kept", DataType::Boolean, false));
            fields.extend([text("dropped_by", true), text("reason", true)]);
        }
        fields.push(Field::new("cluster", DataType::Int32, true));
        fields.push(Field::new("centroid_sim", DataType::Float32, true));
        fields.push(text("title", true));
        fields.extend(self.rest.iter().map(|&at| self.rows.schema().field(at).clone()));
        fields.extend(with_neighbors.then(neighbors::field));
        Arc::new(Schema::new(fields))
    }
}

/// The places of a shard's wanted rows, by row; none where there is no vector.
fn places(
    context: &StepContext<'_>,
    table: &Table<'_>,
    map: &Map<'_>,
    shard: u32,
    wanted: &[bool],
) -> Result<Vec<Option<[f32; 2]>>> {
    let mut places = vec![None; wanted.len()];
    let work = |buffers: &mut FinderBuffers, tile: &Tile<'_>| {
        let found = map.place(tile.values, buffers).into_iter().zip(tile.states);
        found.map(|(place, state)| (*state == RowState::Unit).then_some(place)).collect::<Vec<_>>()
    };
    for_tiles(context, &table.clusters.embedding.embedding, shard, wanted, work, |rows, found| {
        rows.iter().zip(found).for_each(|(&row, place)| places[row as usize] = place);
        Ok(())
    })?;
    Ok(places)
}

fn write(
    context: &StepContext<'_>,
    table: &Table<'_>,
    map: &Map<'_>,
    mut labels: Labels,
    neighbors: Option<ArrayRef>,
    folder: &Path,
) -> Result<AtlasExport> {
    let schema = table.schema(neighbors.is_some());
    let mut file = TableWriter::create(folder.join("map.parquet"), schema.clone())?;
    let (mut written, mut without) = (0usize, 0u64);
    context.progress.begin("export", u64::from(context.shards()), "shards");
    for shard in 0..context.shards() {
        context.cancel.check()?;
        let part = table.read(shard)?;
        let places = places(context, table, map, shard, &part.wanted)?;
        without +=
            part.wanted.iter().zip(&places).filter(|(wanted, place)| **wanted && place.is_none()).count()
                as u64;
        let clusters = part.cluster.as_primitive::<Int32Type>();
        for (row, place) in places.iter().enumerate() {
            if let (Some(place), true) = (place, clusters.is_valid(row)) {
                labels.add(clusters.value(row), *place);
            }
        }
        let batch = batch(table, &part, &places, &labels, &schema)?;
        let batch = match &neighbors {
            // They were found for exactly these rows, in this order.
            Some(all) => {
                let own = all.slice(written, batch.num_rows());
                let columns = batch.columns().iter().cloned().chain([own]).collect();
                RecordBatch::try_new(schema.clone(), columns)
                    .map_err(|error| Error::bug(error.to_string()))?
            }
            None => batch,
        };
        written += batch.num_rows();
        file.write(&batch)?;
        context.progress.advance(1);
    }
    context.progress.end();
    file.finish()?;
    let count = labels.write(&folder.join("labels.parquet"))?;
    Ok(AtlasExport {
        folder: folder.into(),
        rows: written as u64,
        without,
        step: table.clusters.name.clone(),
        embedding: table.clusters.embedding.embedding.info.name.clone(),
        labels: count,
        neighbors: neighbors.map(|_| neighbors::MOST),
        columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
    })
}

/// The rows of a shard that have a place, without their neighbours.
fn batch(
    table: &Table<'_>,
    part: &Part,
    places: &[Option<[f32; 2]>],
    labels: &Labels,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = vec![uid_texts(part.uids.iter().copied())];
    columns.extend(table.captions(part)?);
    for axis in 0..2 {
        let values = places.iter().map(|place| place.map_or(0.0, |place| place[axis]));
        columns.push(Arc::new(Float32Array::from_iter_values(values)));
    }
    if table.all {
        let text = |of: fn(&Selection) -> Option<&str>| -> ArrayRef {
            Arc::new(part.selection.iter().map(of).collect::<StringArray>())
        };
        columns.push(Arc::new(part.selection.iter().map(|row| Some(row.keep)).collect::<BooleanArray>()));
        columns.extend([text(|row| row.dropped_by.as_deref()), text(|row| row.reason.as_deref())]);
    }
    let clusters = part.cluster.as_primitive::<Int32Type>();
    columns.extend([part.cluster.clone(), part.similarity.clone()]);
    columns.push(Arc::new(clusters.iter().map(|cluster| labels.title(cluster?)).collect::<StringArray>()));
    columns.extend(table.rest.iter().map(|&at| part.columns.column(at).clone()));
    let has_place = BooleanArray::from_iter(places.iter().map(|place| Some(place.is_some())));
    let fields: Vec<_> = schema.fields().iter().take(columns.len()).cloned().collect();
    let whole = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    let wrong = |error| Error::input(format!("a shard's columns: {error}"));
    filter_record_batch(&whole.map_err(wrong)?, &has_place).map_err(wrong)
}
