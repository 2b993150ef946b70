//! `qdrant`: a run in a collection of a vector database, and questions to it there or in the run folder.
use std::path::PathBuf;

use clap::{Args, Subcommand};
use cribble_search::Query;

/// Where `push` and `dedup` look for a server.
pub const USUAL_URL: &str = "http://localhost:6334";

/// `qdrant`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble qdrant push runs/dbp --url http://localhost:6334\n  cribble qdrant query runs/dbp \"a red car in snow\" --limit 5"
)]
pub struct QdrantArgs {
    #[command(subcommand)]
    pub command: QdrantCommand,
}

/// What `qdrant` can do.
#[derive(Debug, Subcommand)]
pub enum QdrantCommand {
    /// Send a run's samples to a collection; what is there with the same content is not sent again
    Push(PushArgs),
    /// Show the samples nearest to words, an image or a sample, or those for which a condition is true
    Query(QueryArgs),
    /// Find near duplicates through the vectors that a server holds
    Dedup(DedupPointsArgs),
    /// Write the samples of a query or of a condition as a subset file, or as a run of their own
    Pull(PullArgs),
}

/// Where the samples are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Name of the collection [default: the run folder's name]
    #[arg(long, value_name = "NAME")]
    pub collection: Option<String>,

    /// Name of the run inside the collection, where several may stand [default: the run folder's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Environment variable with the server's API key
    #[arg(long, value_name = "VARIABLE")]
    pub api_key_env: Option<String>,

    /// File with the server's API key
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_env")]
    pub api_key_file: Option<PathBuf>,

    /// The longest wait for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub timeout_seconds: f64,

    /// How often a call is repeated after a fault that may pass
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub retries: u32,

    /// Calls in flight, at most; a server that pushes back gets fewer
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub in_flight: u32,
}

/// `qdrant push`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble qdrant push runs/dbp --collection pool\n  cribble qdrant push runs/dbp --url https://q.org:6334 --api-key-env KEY"
)]
pub struct PushArgs {
    /// The run folder
    pub run: PathBuf,

    /// The server's address for gRPC; edge:FOLDER is Qdrant's embedded library, where it is built in
    #[arg(long, value_name = "URL", default_value = USUAL_URL)]
    pub url: String,

    /// Embeddings to send, by name [default: all that the run has]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub vectors: Vec<String>,

    /// Further columns of the input or of steps for the payload
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub payload: Vec<String>,

    /// Send only samples that the run keeps
    #[arg(long)]
    pub kept: bool,

    /// Points of a call, at most
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub batch: u64,

    /// Remove the collection first, with everything in it
    #[arg(long)]
    pub recreate: bool,

    /// Replace points under our samples' ids that another run put there
    #[arg(long)]
    pub take_over: bool,

    /// Remove points of this run that are no longer in it
    #[arg(long)]
    pub remove_gone: bool,

    #[command(flatten)]
    pub server: ServerArgs,
}

/// What is asked for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Question")]
pub struct QuestionArgs {
    /// Words to find the nearest samples to
    pub text: Option<String>,

    /// Image file to find the nearest samples to
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub image: Option<PathBuf>,

    /// Sample to find the nearest samples to; it is not among them
    #[arg(long, value_name = "UID", conflicts_with_all = ["text", "image"])]
    pub uid: Option<String>,

    /// Condition on the payload: "kept AND cluster IN (3, 5) AND clip_score > 0.3"
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,

    /// Embedding that is compared [default: the run's images]
    #[arg(long, value_name = "NAME")]
    pub vector: Option<String>,

    /// Model that encodes words and images [default: the one that made the embedding]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Compare with every vector instead of asking the server's index
    #[arg(long)]
    pub exact: bool,
}

impl QuestionArgs {
    /// What the nearest samples are sought to; `None` where only a condition is asked.
    pub fn query(&self) -> Option<Query> {
        let image = || self.image.clone().map(Query::Image);
        let sample = || self.uid.clone().map(Query::Sample);
        self.text.clone().map(Query::Text).or_else(image).or_else(sample)
    }
}

/// `qdrant query`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble qdrant query runs/dbp \"a red car in snow\" --where kept\n  cribble qdrant query runs/dbp --where kept --url http://localhost:6334"
)]
pub struct QueryArgs {
    /// The run folder
    pub run: PathBuf,

    #[command(flatten)]
    pub question: QuestionArgs,

    /// Samples to show, at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,

    /// The server's address for gRPC, or edge:FOLDER [default: none, the run folder itself is asked]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    #[command(flatten)]
    pub server: ServerArgs,
}

/// `qdrant dedup`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble qdrant dedup runs/dbp --epsilon 0.05 --out unique.npy\n  cribble qdrant dedup runs/dbp --where kept --pairs pairs.parquet --out u.npy"
)]
pub struct DedupPointsArgs {
    /// The run folder
    pub run: PathBuf,

    /// Samples with a similarity above 1 - EPSILON are duplicates
    #[arg(long, value_name = "EPSILON", default_value_t = 0.05, value_parser = epsilon)]
    pub epsilon: f64,

    /// The subset file to write: samples without duplicates before them in the order of uids
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,

    /// A parquet file to write with all pairs: uid, other, similarity
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,

    /// Compare only samples for which this is true
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,

    /// Embedding that is compared [default: the run's images]
    #[arg(long, value_name = "NAME")]
    pub vector: Option<String>,

    /// Compare all pairs instead of asking the server's index
    #[arg(long)]
    pub exact: bool,

    /// The server's address for gRPC; edge:FOLDER is Qdrant's embedded library, where it is built in
    #[arg(long, value_name = "URL", default_value = USUAL_URL)]
    pub url: String,

    #[command(flatten)]
    pub server: ServerArgs,
}

/// `qdrant pull`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble qdrant pull runs/dbp --where \"kept AND cluster = 3\" --out three.npy\n  cribble qdrant pull runs/dbp \"a dog\" --limit 500 --out dogs.npy"
)]
pub struct PullArgs {
    /// The run folder
    pub run: PathBuf,

    #[command(flatten)]
    pub question: QuestionArgs,

    /// Nearest samples to take, at most; of a condition alone all are taken [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// The subset file to write: .npy, .bin (headerless), .txt, .csv, .parquet or .pkl (pygtrie)
    #[arg(long, short, value_name = "FILE", required_unless_present = "out_run")]
    pub out: Option<PathBuf>,

    /// Write the samples, their payloads and all their vectors as a run of its own instead; the folder must be missing or empty
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub out_run: Option<PathBuf>,

    /// The server's address for gRPC, or edge:FOLDER [default: none, the run folder itself is asked]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    #[command(flatten)]
    pub server: ServerArgs,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(value),
        _ => Err("expected seconds, above 0 and at most 86400".into()),
    }
}

fn epsilon(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}
